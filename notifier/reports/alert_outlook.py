"""Say of a stored event which alerts it speaks of, where they stand now, and when their groups speak next.

Changes nothing; quotes no label, for labels may be personal.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import orjson

from notifier.crypto import Keyring
from notifier.errors import CannotUnseal, KeyDestroyed
from notifier.events import Event, read_private
from notifier.reports.timeline import moment
from notifier.rules.ruleset import RuleSet
from notifier.store.alerts import alert_id
from notifier.store.database import Connection


def alert_outlook(connection: Connection, keyring: Keyring, rules: RuleSet, event: UUID) -> tuple[str, ...]:
    """Return a line for each alert the rules find in the event, and one for each group that tells of it."""
    stored = _event(connection, keyring, event)
    if stored is None:
        return ()
    lines: list[str] = []
    for rule, key in rules.alert_keys(stored):
        if key and rules.alert(rule) is not None:
            tenant, _, digest = alert_id(keyring, stored.tenant, rule, key)
            lines += _alert(connection, tenant, rule, digest)
    return tuple(lines)


def _event(connection: Connection, keyring: Keyring, event: UUID) -> Event | None:
    row = connection.execute(
        "SELECT external_id, source, type, subject, time, tenant, data_key, sealed FROM event WHERE id = %s",
        [event],
    ).fetchone()
    if row is None:
        return None
    name, source, type_, subject, time, tenant, data_key, sealed = row
    try:
        private = read_private(orjson.loads(keyring.open_data_key(data_key).unseal(sealed, b"event")))
    except (KeyDestroyed, CannotUnseal):
        return None
    return Event(id=name, source=source, type=type_, subject=subject, time=time, tenant=tenant, **private)


def _alert(connection: Connection, tenant: str, rule: str, digest: bytes) -> Iterator[str]:
    row = connection.execute(
        """SELECT id, status, started_at, ended_at FROM alert
           WHERE tenant = %s AND rule = %s AND digest = %s""",
        [tenant, rule, digest],
    ).fetchone()
    if row is None:
        return
    alert, status, started, ended = row
    when = f"since {moment(started)}" if status in {"firing", "acknowledged"} and started else ""
    when = f"since {moment(ended)}" if status == "resolved" and ended else when
    yield f"{rule}: now {status} {when}".rstrip() + f"; notifier alert show {alert}"
    groups = connection.execute(
        """SELECT alert_group.id, due_at, number, told_firing, muted_by
           FROM alert_member JOIN alert_group ON alert_group.id = alert_member.group_id
           WHERE alert_id = %s ORDER BY alert_group.id""",
        [alert],
    ).fetchall()
    for group, due, number, told, muted in groups:
        yield f"  its group {group} {_group(due, number, told=told, muted=muted)}"


def _group(due: datetime | None, number: int, *, told: bool | None, muted: str | None) -> str:
    said = f"has sent {number} message{'s' * (number != 1)}" if number else "has said nothing yet"
    known = "; this alert was told" if told else "; this alert was not told"
    why = f", it is muted by {muted}" if muted else ""
    following = f"; it looks again {moment(due)}" if due is not None else "; nothing is due"
    return f"{said}{known}{why}{following}"
