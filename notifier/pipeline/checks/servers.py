"""Look whether the servers we need are as they must be: the database, what waits in it, Redis and its intake.

Opens connections and closes them; sends nothing, changes nothing, and never raises: what fails is a finding.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg

from notifier.broker.connection import BrokerUnavailable, speaking
from notifier.broker.intake import Intake
from notifier.crypto import MasterKeys
from notifier.errors import NotifierError
from notifier.pipeline.checks.verdict import Check, State, fail, ok, said, warn
from notifier.store import backlogs, heartbeats, relays
from notifier.store.database import Connection, Database
from notifier.store.keyrings import load_keyring
from notifier.store.migrate import newest

CLOCK_LIMIT = timedelta(seconds=2)
SWEEP_LIMIT = timedelta(seconds=10)
LATE, TOO_LATE = timedelta(minutes=1), timedelta(minutes=15)
"""How long due work may wait before it is strange, and before it is wrong."""

_COUNT_LIMIT = 1000


class Redis(Protocol):
    """What is asked of the Redis client."""

    def info(self, section: str) -> Any:
        """Return a section of INFO."""
        ...


def check_database(database: Database) -> Iterator[Check]:
    """Reachable, at the newest revision, in step with our clock, with partitions ahead."""
    try:
        with database.connection() as connection:
            yield ok("database", _version(connection))
            revision = _revision(connection)
            yield revision
            yield _clock(connection)
            if revision.state is not State.FAIL:
                yield from _log_partitions(connection)
    except (NotifierError, psycopg.Error) as error:
        yield fail(
            "database",
            said(error),
            "start PostgreSQL, and see NOTIFIER_DATABASE_URL; nothing is lost meanwhile",
        )


def check_keyring(database: Database, master: MasterKeys) -> Check:
    """The keys in the database open with the master keys at hand."""
    try:
        with database.connection() as connection:
            load_keyring(connection, master)
    except (NotifierError, psycopg.Error) as error:
        return fail("keyring", said(error), "set NOTIFIER_MASTER_KEY_FILE to the file that has the key")
    return ok("keyring", f"opens with master key {master.active}")


def check_queue(database: Database) -> Iterator[Check]:
    """The sweep is alive, due work is taken, nothing rests, is held or is dead."""
    try:
        with database.connection() as connection:
            yield _sweep(heartbeats.age(connection, "sweep"))
            yield _due_work(backlogs.backlog(connection))
            yield from _resting(connection)
            yield _held(connection)
            yield _dead(connection)
    except (NotifierError, psycopg.Error) as error:
        yield fail("queue", said(error), "see the checks of the database")


def check_redis(redis: Redis) -> Iterator[Check]:
    """Reachable, and set up to keep what it is given."""
    try:
        with speaking():
            server, persistence, memory = (redis.info(name) for name in ("server", "persistence", "memory"))
    except BrokerUnavailable as error:
        yield fail("redis", str(error), "start it, and see NOTIFIER_REDIS_URL; producers keep their events")
        return
    version = server.get("valkey_version") or server.get("redis_version")
    yield ok("redis", f"version {version}")
    if persistence.get("aof_enabled"):
        yield ok("redis persistence", "appendonly yes")
    else:
        yield warn(
            "redis persistence",
            "appendonly no: a restart loses events not yet ingested",
            "set appendonly yes",
        )
    policy = memory.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield ok("redis memory", "maxmemory-policy noeviction")
    else:
        yield fail(
            "redis memory", f"maxmemory-policy {policy}: events may be thrown away",
            "set maxmemory-policy noeviction",
        )  # fmt: skip


def check_intake(intake: Intake, limit: int) -> Check:
    """The streams are being emptied."""
    try:
        lengths = intake.lengths()
    except BrokerUnavailable as error:
        return fail("intake", str(error), "see the checks of Redis")
    most = max(lengths.values(), default=0)
    detail = ", ".join(f"{lane} {length}" for lane, length in lengths.items())
    if most >= limit:
        return fail("intake", f"full: {detail}", "start or add `worker core`; clients get IntakeFull")
    if most >= limit // 2:
        return warn("intake", f"filling up: {detail}", "see that `worker core` runs")
    return ok("intake", detail)


def _version(connection: Connection) -> str:
    number = connection.info.server_version
    return f"PostgreSQL {number // 10000}.{number % 100}"


def _revision(connection: Connection) -> Check:
    needed = newest()
    [(is_there,)] = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchall()
    found = connection.execute("SELECT version_num FROM alembic_version").fetchall() if is_there else []
    if not found:
        return fail("schema", "the tables are missing", "run `notifier migrate`")
    if found[0][0] != needed:
        return fail("schema", f"at {found[0][0]}, this release needs {needed}", "run `notifier migrate`")
    return ok("schema", f"at {needed}")


def _clock(connection: Connection) -> Check:
    before = datetime.now(UTC)
    [(theirs,)] = connection.execute("SELECT clock_timestamp()").fetchall()
    after = datetime.now(UTC)
    difference = abs(theirs - (before + (after - before) / 2))
    detail = f"{difference.total_seconds():.3f} s from the database's"
    if difference > CLOCK_LIMIT:
        return warn("clock", detail, "let both machines follow one time server")
    return ok("clock", detail)


_PARTITIONS = """
SELECT to_regclass('message' || to_char(month, '_YYYY_MM')) IS NOT NULL FROM generate_series(
    date_trunc('month', now() AT TIME ZONE 'UTC'), now() AT TIME ZONE 'UTC' + interval '1 month',
    interval '1 month'
) AS month"""


def _log_partitions(connection: Connection) -> Iterator[Check]:
    there = [row[0] for row in connection.execute(_PARTITIONS).fetchall()]
    mend = "see that the sweep runs: it makes them every six hours"
    if not there[0]:
        yield fail("partitions", "this month's are missing", mend)
    elif not all(there):
        yield warn("partitions", "next month's are missing", mend)
    else:
        yield ok("partitions", "made ahead")
    stray = connection.execute("SELECT EXISTS (SELECT FROM message_default)").fetchone()
    if stray is not None and stray[0]:
        yield warn(
            "partitions", "rows outside of every month: a clock was wrong", "correct it; the rows are kept"
        )


def _sweep(age: timedelta | None) -> Check:
    mend = "start `beat` and `worker core`"
    if age is None:
        return fail("sweep", "has never run", mend)
    detail = f"last ran {_seconds(age)} ago"
    return fail("sweep", detail, mend) if age > SWEEP_LIMIT else ok("sweep", detail)


def _due_work(backlog: list[tuple[str, str, int, float]]) -> Check:
    if not backlog:
        return ok("due work", "none waits")
    channel, lane, _, seconds = max(backlog, key=lambda row: row[3])
    waiting = sum(row[2] for row in backlog)
    oldest = timedelta(seconds=seconds)
    detail = f"{waiting} queued, none late"
    if seconds >= 1:
        detail = f"{waiting} queued, the oldest due one ({channel}, {lane}) for {_seconds(oldest)}"
    mend = "see that the deliver workers run, and the checks of the relays"
    if oldest > TOO_LATE:
        return fail("due work", detail, mend)
    return warn("due work", detail, mend) if oldest > LATE else ok("due work", detail)


def _resting(connection: Connection) -> Iterator[Check]:
    for relay, (must_rest, failures, reason) in sorted(relays.failures(connection).items()):
        if must_rest:
            times = "once" if failures == 1 else f"{failures} times in a row"
            yield warn(f"flow {relay}", f"{reason}; failed {times}", f"see the check of relay {relay}")


def _held(connection: Connection) -> Check:
    row = connection.execute(
        """SELECT count(*), min(message_id::text)
           FROM (SELECT message_id FROM work WHERE state = 3 LIMIT %s) AS held""",
        [_COUNT_LIMIT],
    ).fetchone()
    if row is None or not row[0]:
        return ok("held", "nothing waits for a person")
    return warn(
        "held", f"{_many(row[0], 'message')} may have arrived and wait for a person",
        f"decide: notifier resend {row[1]} --same, --new or --drop",
    )  # fmt: skip


def _dead(connection: Connection) -> Check:
    row = connection.execute(
        "SELECT count(*) FROM (SELECT FROM dead_letter WHERE retried_at IS NULL LIMIT %s) AS waiting",
        [_COUNT_LIMIT],
    ).fetchone()
    if row is None or not row[0]:
        return ok("dead letters", "none")
    return warn("dead letters", f"{_many(row[0], 'event')} not accepted", "`notifier dead list` says why")


def _many(count: int, noun: str) -> str:
    more = " or more" if count >= _COUNT_LIMIT else ""
    return f"{count}{more} {noun}" + ("" if count == 1 else "s")


def _seconds(age: timedelta) -> str:
    return f"{age.total_seconds():.1f} s" if age < timedelta(minutes=2) else str(age).partition(".")[0]
