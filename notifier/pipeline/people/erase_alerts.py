"""Take a person out of alerts and of what their groups remember.

What is over and speaks of the person goes; what still fires, or waits to be told as over, goes on without
them.
"""

from collections.abc import Mapping
from uuid import UUID

import orjson

from notifier.alerts import AlertState
from notifier.crypto import Keyring
from notifier.errors import CannotUnseal, KeyDestroyed
from notifier.events import Json
from notifier.pipeline.alerting.alert_states import alert_row, open_state, read_state, state_json
from notifier.recipients.mentions import Known, blank_mentions
from notifier.store import alert_groups, alert_members, alerts
from notifier.store.database import Connection


def erase_from_alerts(connection: Connection, keyring: Keyring, tenant: str, known: Known) -> int:
    """Return how many alerts and groups spoke of the person; none of them does any more."""
    named = [
        alert
        for alert, data_key, sealed in alerts.readable_alerts(connection, tenant)
        if _names(keyring, known, data_key, sealed)
    ]
    gone: list[UUID] = []
    locked = alerts.lock_these(connection, named)
    believed = alert_members.believed_firing(connection, named)
    for kept in locked:
        state = _state(keyring, kept.data_key, kept.sealed)
        if state is None or not (state.is_firing or kept.id in believed):
            gone.append(kept.id)
            continue
        left = read_state(blank_mentions(state_json(state), known))
        alerts.save_alerts(connection, [alert_row(keyring, kept.id, left, is_source=bool(left.labels))])
    alert_members.drop_members_of(connection, gone)
    alerts.forget_alerts(connection, gone)
    return len(named) + _groups(connection, keyring, tenant, known)


def _groups(connection: Connection, keyring: Keyring, tenant: str, known: Known) -> int:
    count = 0
    for row in alert_groups.lock_groups_of(connection, tenant):
        key = keyring.open_data_key(row.data_key)
        private = orjson.loads(key.unseal(row.sealed, b"alert-group"))
        if known.is_in(private):
            # What it is found by goes with the person; without it the group stays the home of what it has.
            unnamed = {name: value for name, value in private.items() if name != "home"}
            left: Json = blank_mentions({**unnamed, **_others(private, known)}, known)
            new = keyring.new_data_key()
            alert_groups.reseal_group(
                connection, row.id, new.wrapped, new.seal(orjson.dumps(left), b"alert-group")
            )
            count += 1
    return count


def _others(private: Mapping[str, Json], known: Known) -> dict[str, list[Json]]:
    """Return a group's people without the person; who was told keeps their place in the list."""
    told, people = private.get("told", ()), private.get("people", ())
    return {
        "told": [None if one is None or known.is_addressee(one) else one for one in told],
        "people": [one for one in people if not known.is_addressee(one)],
    }


def _names(keyring: Keyring, known: Known, data_key: bytes, sealed: bytes) -> bool:
    state = _state(keyring, data_key, sealed)
    return state is None or known.is_in(state_json(state))


def _state(keyring: Keyring, data_key: bytes | None, sealed: bytes | None) -> AlertState | None:
    """Return a state; None where nobody can read it any more."""
    try:
        return open_state(keyring, data_key, sealed)
    except (KeyDestroyed, CannotUnseal):
        return None
