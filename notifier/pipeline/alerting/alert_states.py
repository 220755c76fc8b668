"""Seal what is known of an alert, and read it back.

Knows the form only; ``notifier.rules.alerting`` decides what it means.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from notifier.alerts import AlertState, AlertStatus, Newest
from notifier.crypto import Keyring
from notifier.events import Json
from notifier.store.alerts import AlertRow, KeptAlert

_PURPOSE = b"alert"
_MOMENTS = (
    *("started_at", "ended_at", "heard_at", "expires_at", "acknowledged_at", "acknowledged_until"),
    *("look_at", "release_at"),
)


def state_json(state: AlertState) -> dict[str, Json]:
    """Return a state's JSON form; moments as ISO 8601."""
    value: dict[str, Json] = orjson.loads(orjson.dumps(state))
    return value


def read_state(value: Json) -> AlertState:
    """Read a state's JSON form."""
    fields: dict[str, Any] = dict(value)
    for name in _MOMENTS:
        if fields.get(name) is not None:
            fields[name] = datetime.fromisoformat(fields[name])
    fields["status"] = AlertStatus(fields["status"])
    fields["changes"] = tuple(datetime.fromisoformat(one) for one in fields["changes"])
    if (newest := fields["newest"]) is not None:
        fields["newest"] = Newest(**{**newest, "to": tuple(newest["to"])})
    return AlertState(**fields)


def open_state(keyring: Keyring, data_key: bytes | None, sealed: bytes | None) -> AlertState:
    """Unseal a state; an alert of which nothing is known yet is quiet.

    Raises:
        KeyMissing: this process lacks the master key it needs.
        CannotUnseal: the bytes were changed.
    """
    if sealed is None or data_key is None:
        return AlertState()
    return read_state(orjson.loads(keyring.open_data_key(data_key).unseal(sealed, _PURPOSE)))


def alert_row(keyring: Keyring, alert: UUID, state: AlertState, *, is_source: bool) -> AlertRow:
    """Return an alert's row, sealed under a new key."""
    key = keyring.new_data_key()
    return AlertRow(
        id=alert,
        status=state.status.value,
        occurrence=state.occurrence,
        severity=state.severity,
        subject=state.newest.subject if state.newest is not None else None,
        is_source=is_source,
        started_at=state.started_at,
        ended_at=state.ended_at,
        due_at=state.due_at,
        data_key=key.wrapped,
        sealed=key.seal(orjson.dumps(state), _PURPOSE),
    )


def open_alert(keyring: Keyring, kept: KeptAlert) -> AlertState:
    """Unseal the state of an alert that was read."""
    return open_state(keyring, kept.data_key, kept.sealed)
