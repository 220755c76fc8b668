"""Show what fires and who has it in hand: alerts and silences, as people read them.

Changes nothing; what cannot be unsealed is shown as a word that says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from notifier.alerts import SEVERITIES, AlertState
from notifier.crypto import Keyring
from notifier.errors import CannotUnseal, KeyDestroyed
from notifier.events import Json
from notifier.pipeline.alerting.alert_states import open_state
from notifier.reports.naming import NotFound
from notifier.rules.alerting.silences import Silence
from notifier.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEntry:
    """An alert in a list."""

    id: UUID
    status: str
    severity: str
    rule: str
    subject: str | None
    started_at: datetime | None
    ended_at: datetime | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    muted_by: tuple[str, ...]
    groups: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDetails:
    """All that is known of an alert."""

    entry: AlertEntry
    tenant: str
    labels: dict[str, str]
    occurrence: int
    heard_at: datetime | None
    expires_at: datetime | None
    is_flapping: bool
    newest_type: str | None
    data: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceEntry:
    """A silence, as a person sees it."""

    id: str
    state: str
    matchers: tuple[tuple[str, ...], ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str


_COLUMNS = """alert.id, alert.status, alert.severity, alert.rule, alert.subject, alert.started_at,
       alert.ended_at, alert.data_key, alert.sealed, alert.tenant,
       array_remove(array_agg(DISTINCT member.muted_by), NULL),
       array_remove(array_agg(member.group_id ORDER BY member.group_id), NULL)"""
_FROM = "FROM alert LEFT JOIN alert_member member ON member.alert_id = alert.id"
_OPEN = ("firing", "acknowledged")


def list_alerts(
    connection: Connection,
    keyring: Keyring,
    tenant: str,
    *,
    statuses: Sequence[str] = _OPEN,
    rule: str | None = None,
    limit: int,
) -> list[AlertEntry]:
    """Return the alerts of a tenant, the strongest and newest first."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} {_FROM}
            WHERE alert.tenant = %s AND alert.status = ANY(%s) AND (%s::text IS NULL OR alert.rule = %s)
            GROUP BY alert.id
            ORDER BY (alert.status = 'resolved'), alert.severity DESC, alert.started_at DESC NULLS LAST, alert.id
            LIMIT %s""",
        [tenant, list(statuses), rule, rule, limit],
    ).fetchall()
    return [_entry(row, _state(keyring, row)) for row in rows]


def show_alert(connection: Connection, keyring: Keyring, alert: UUID) -> AlertDetails:
    """Return everything about one alert.

    Raises:
        NotFound: nothing has this id.
    """
    row = connection.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE alert.id = %s GROUP BY alert.id", [alert]
    ).fetchone()
    if row is None:
        raise NotFound(f"no alert has the id {alert}; `notifier alert list --all` lists them")
    state = _state(keyring, row)
    newest = state.newest
    return AlertDetails(
        entry=_entry(row, state),
        tenant=row[9],
        labels=dict(sorted(state.labels.items())),
        occurrence=state.occurrence,
        heard_at=state.heard_at,
        expires_at=state.expires_at,
        is_flapping=state.is_held,
        newest_type=newest.type if newest is not None else None,
        data=dict(newest.data) if newest is not None else {},
    )


def silence_entry(silence: Silence, now: datetime) -> SilenceEntry:
    """Return a silence for display."""
    return SilenceEntry(
        id=silence.id,
        state=silence.state(now).value,
        matchers=tuple(tuple(str(one) for one in matchers) for matchers in silence.matcher_sets),
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        created_by=silence.created_by,
        comment=silence.comment,
    )


def is_group(connection: Connection, id_: UUID) -> bool:
    """Tell whether an id is a group's."""
    return connection.execute("SELECT 1 FROM alert_group WHERE id = %s", [id_]).fetchone() is not None


def is_alert(connection: Connection, id_: UUID) -> bool:
    """Tell whether an id is an alert's."""
    return connection.execute("SELECT 1 FROM alert WHERE id = %s", [id_]).fetchone() is not None


def _state(keyring: Keyring, row: Sequence[Any]) -> AlertState:
    try:
        return open_state(keyring, row[7], row[8])
    except (CannotUnseal, KeyDestroyed):
        return AlertState()


def _entry(row: Sequence[Any], state: AlertState) -> AlertEntry:
    return AlertEntry(
        id=row[0],
        status=row[1],
        severity=SEVERITIES[row[2]],
        rule=row[3],
        subject=row[4],
        started_at=row[5],
        ended_at=row[6] if row[1] == "resolved" else None,
        acknowledged_by=state.acknowledged_by,
        acknowledged_at=state.acknowledged_at,
        muted_by=tuple(row[10]),
        groups=tuple(row[11]),
    )
