"""Keep alerts, one row each, locked while a batch or the sweep moves them on.

Stores states sealed; what a state means is not known here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from notifier.crypto import Keyring
from notifier.ids import uuid7
from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection
from notifier.store.notifications import notification_digest

AlertId = tuple[str, str, bytes]
"""Tenant, rule, keyed hash of what identifies the alert."""


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A row of ``alert`` as it is written; fields in the order of the statement."""

    id: UUID
    status: str
    occurrence: int
    severity: int
    subject: str | None
    is_source: bool
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    data_key: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class KeptAlert:
    """An alert as it is read; ``sealed`` is None where nothing is known of it yet."""

    id: UUID
    tenant: str
    rule: str
    digest: bytes
    data_key: bytes | None
    sealed: bytes | None


def alert_id(keyring: Keyring, tenant: str, rule: str, key: str) -> AlertId:
    """Return what an alert is found by."""
    return tenant, rule, notification_digest(keyring.index_key, "alert", tenant, rule, key)


_ENSURE = BulkInsert(
    "alert", id="uuid", tenant="text", rule="text", digest="bytea", then="ON CONFLICT DO NOTHING"
)
_VALUES = attrgetter(*AlertRow.__slots__)
_TRIES = 5
_COLUMNS = "alert.id, alert.tenant, alert.rule, alert.digest, alert.data_key, alert.sealed"

_WANTED = """FROM alert JOIN unnest(%b::text[], %b::text[], %b::bytea[]) AS wanted (tenant, rule, digest)
             USING (tenant, rule, digest)"""
_KNOWN = f"SELECT tenant, rule, digest {_WANTED}"
_LOCK = f"SELECT {_COLUMNS} {_WANTED} ORDER BY tenant, rule, digest FOR UPDATE OF alert"


def lock_alerts(connection: Connection, ids: Iterable[AlertId]) -> list[KeptAlert]:
    """Lock the alerts, in key order, making a row for each that has none.

    All new rows are made before any row is locked, so that nobody waits for a row of ours while we wait for
    theirs. A row may be forgotten by somebody else before we have it: then it is made anew.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return []
    columns = [list(column) for column in zip(*wanted, strict=True)]
    for _ in range(_TRIES):
        known = set(connection.execute(_KNOWN, columns, prepare=True).fetchall())
        _ENSURE.run(connection, [(uuid7(), *one) for one in wanted if one not in known])
        rows = connection.execute(_LOCK, columns, prepare=True).fetchall()
        if len(rows) == len(wanted):
            return [KeptAlert(*row) for row in rows]
    raise RuntimeError("alerts are forgotten faster than they can be locked")


def lock_these(connection: Connection, ids: Iterable[UUID]) -> list[KeptAlert]:
    """Lock alerts by id, in key order."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM alert WHERE id = ANY(%b) ORDER BY tenant, rule, digest FOR UPDATE",
        [list(ids)],
    ).fetchall()
    return [KeptAlert(*row) for row in rows]


def take_due_alerts(connection: Connection, now: datetime, limit: int) -> list[KeptAlert]:
    """Lock and return alerts whose moment has come, leaving alone what others hold."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM alert WHERE due_at <= %b ORDER BY due_at LIMIT %b
            FOR UPDATE SKIP LOCKED""",
        [now, limit],
        prepare=True,
    ).fetchall()
    return [KeptAlert(*row) for row in rows]


def save_alerts(connection: Connection, rows: Sequence[AlertRow]) -> None:
    """Write alerts that are locked."""
    if not rows:
        return
    connection.execute(
        """UPDATE alert SET status = new.status, occurrence = new.occurrence, severity = new.severity,
                  subject = new.subject, is_source = new.is_source, started_at = new.started_at,
                  ended_at = new.ended_at, due_at = new.due_at, data_key = new.data_key,
                  sealed = new.sealed, updated_at = now()
           FROM unnest(%b::uuid[], %b::text[], %b::integer[], %b::smallint[], %b::text[], %b::boolean[],
                       %b::timestamptz[], %b::timestamptz[], %b::timestamptz[], %b::bytea[], %b::bytea[])
                AS new (id, status, occurrence, severity, subject, is_source, started_at, ended_at, due_at,
                        data_key, sealed)
           WHERE alert.id = new.id""",
        [list(column) for column in zip(*map(_VALUES, rows), strict=True)],
        prepare=True,
    )


def forget_alerts(connection: Connection, ids: Sequence[UUID]) -> None:
    """Remove alerts of which nothing came."""
    if ids:
        connection.execute("DELETE FROM alert WHERE id = ANY(%b)", [list(ids)], prepare=True)


def live_sources(connection: Connection, tenants: Sequence[str]) -> list[KeptAlert]:
    """Return the alerts of the tenants that fire and may mute others."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM alert
            WHERE tenant = ANY(%b) AND is_source AND status IN ('firing', 'acknowledged')""",
        [list(tenants)],
        prepare=True,
    ).fetchall()
    return [KeptAlert(*row) for row in rows]


def firing_alerts(connection: Connection, tenant: str) -> list[KeptAlert]:
    """Return the alerts of a tenant that fire, unlocked."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM alert WHERE tenant = %b AND status IN ('firing', 'acknowledged')
            ORDER BY started_at, id""",
        [tenant],
    ).fetchall()
    return [KeptAlert(*row) for row in rows]


def put_off_alert(connection: Connection, alert: UUID, until: datetime) -> None:
    """Leave an alert alone for a while."""
    connection.execute("UPDATE alert SET due_at = %b WHERE id = %b", [until, alert])


def readable_alerts(connection: Connection, tenant: str) -> Iterator[tuple[UUID, bytes, bytes]]:
    """Yield (id, wrapped key, sealed state) of all alerts of a tenant."""
    with connection.cursor(name="readable_alerts") as cursor:
        cursor.itersize = 500
        cursor.execute(
            "SELECT id, data_key, sealed FROM alert WHERE tenant = %s AND sealed IS NOT NULL", [tenant]
        )
        yield from ((row[0], row[1], row[2]) for row in cursor)
