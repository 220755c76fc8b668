"""Sound the database for readiness and metrics: its revision, the sweep's age, totals over all tenants.

Always over a connection of its own with short time limits, so that an answer never waits for a pool; never
reads a row of any tenant.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from sqlalchemy.engine import make_url

from notifier.store.backlogs import Backlog, ThrottleLevel, all_backlogs, throttle_levels
from notifier.store.database import Connection, DatabaseUnavailable
from notifier.store.heartbeats import age
from notifier.store.rule_sets import RulesView, view_rules

SWEEP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTotals:
    """Open alerts over all tenants; ``late`` is how many seconds a group has waited that should have spoken."""

    firing: int
    acknowledged: int
    late: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTotals:
    """Reports about messages that left, over all tenants; ``oldest`` is how many seconds one has waited."""

    waiting: int
    unmatched: int
    failed: int
    oldest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounding:
    """How the database is; None = it has no answer to that."""

    revision: str | None
    sweep_age: timedelta | None
    backlogs: tuple[Backlog, ...] = ()
    dead_letters: tuple[tuple[str, int], ...] = ()
    rules: RulesView | None = None
    alerts: AlertTotals | None = None
    throttles: tuple[ThrottleLevel, ...] = ()
    reports: ReportTotals | None = None
    unreadable: int | None = None
    """Mails that came back and could not be read."""


def essentials(url: str, within: timedelta) -> Sounding:
    """Return the revision and the sweep's age.

    Raises:
        DatabaseUnavailable: it does not answer within the time.
    """
    with _fresh(url, within) as connection:
        return _essentials(connection)


def sound(url: str, within: timedelta) -> Sounding:
    """Return everything, totals included.

    Raises:
        DatabaseUnavailable: it does not answer within the time.
    """
    with _fresh(url, within) as connection:
        found = _essentials(connection)
        if found.revision is None:
            return found
        letters = connection.execute("SELECT kind, waiting FROM notifier_dead_letters()").fetchall()
        return Sounding(
            revision=found.revision,
            sweep_age=found.sweep_age,
            backlogs=tuple(all_backlogs(connection)),
            dead_letters=tuple((kind, waiting) for kind, waiting in letters),
            rules=view_rules(connection),
            alerts=_alerts(connection),
            throttles=throttle_levels(connection),
            reports=report_totals(connection),
            unreadable=unreadable_mails(connection),
        )


def unreadable_mails(connection: Connection) -> int | None:
    """Count the mails that came back and could not be read."""
    row = connection.execute("SELECT notifier_unreadable()").fetchone()
    return row[0] if row else None


def _alerts(connection: Connection) -> AlertTotals | None:
    row = connection.execute("SELECT firing, acknowledged, late FROM notifier_alerts()").fetchone()
    return AlertTotals(firing=row[0], acknowledged=row[1], late=row[2]) if row else None


def report_totals(connection: Connection) -> ReportTotals | None:
    """Count the reports that wait, and those that came to nothing."""
    row = connection.execute("SELECT waiting, unmatched, failed, oldest FROM notifier_reports()").fetchone()
    return ReportTotals(waiting=row[0], unmatched=row[1], failed=row[2], oldest=row[3]) if row else None


def _essentials(connection: Connection) -> Sounding:
    has_schema = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    if not has_schema or not has_schema[0]:
        return Sounding(revision=None, sweep_age=None)
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return Sounding(revision=row[0] if row else None, sweep_age=age(connection, SWEEP))


@contextmanager
def _fresh(url: str, within: timedelta) -> Iterator[Connection]:
    milliseconds = int(within.total_seconds() * 1000)
    try:
        with psycopg.connect(
            make_url(url).set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
            application_name="notifier-probe",
            connect_timeout=max(2, round(within.total_seconds())),
            tcp_user_timeout=milliseconds,
            options=f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c jit=off",
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise DatabaseUnavailable(f"the database gives no answer: {type(error).__name__}") from error
