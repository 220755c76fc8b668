"""Hand over what waits for a relay that failed for long to those that stand in for it, and back when it works again.

Never what may have arrived by a relay already.
"""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from notifier.events import Urgency
from notifier.logs import get_logger
from notifier.messages import ChannelName
from notifier.pipeline.relays.flows import Flows
from notifier.pipeline.relays.routing import Movable
from notifier.store import moves, relays
from notifier.store.database import Connection, Database
from notifier.store.relays import RelayState

log = get_logger("deliver")

_BATCH, _BATCHES = 2_000, 5
"""So much in one commit, and in one round of the sweep for a relay and lane."""


class Failover:
    """Hands over, and back."""

    def __init__(self, database: Database, flows: Flows, after: timedelta) -> None:
        """``after``: for how long a relay must have failed, and for how long it must have worked again."""
        self._database, self._flows, self._after = database, flows, after
        # What happened before this process began is not known: each may have failed until now.
        self._failed_at = dict.fromkeys(flows.uses, time.monotonic())

    def run(self) -> tuple[int, set[tuple[str, str]]]:
        """Hand over what could go another way; return how much, and the (channel, lane) pairs it waits in."""
        if not self._flows.has_choice:
            return 0, set()
        with self._database.connection() as connection:
            states = relays.states(connection, self._after)
        handed: Counter[tuple[str, str]] = Counter()
        for state in states.values():
            if state.is_down and state.is_resting and self._flows.knows(state.relay):
                for urgency in Urgency:
                    movable = self._flows.movable(state.relay, urgency)
                    handed += self._hand_over(state.relay, urgency, movable, state.reason)
        handed += self._bring_back(states)
        return handed.total(), set(handed)

    def _bring_back(self, states: Mapping[str, RelayState]) -> Counter[tuple[str, str]]:
        """Hand back what waits at those that stood in; once, when a relay has worked for a while."""
        now = time.monotonic()
        down = {name for name, state in states.items() if state.is_down}
        self._failed_at |= dict.fromkeys(self._flows.uses & down, now)
        recovered = {
            name
            for name, at in self._failed_at.items()
            if now - at >= self._after.total_seconds() and not (name in states and states[name].is_failing)
        }
        back: Counter[tuple[str, str]] = Counter()
        if recovered:
            for urgency in Urgency:
                for relay, movable in self._flows.returnable(urgency, recovered):
                    back += self._hand_over(relay, urgency, movable, "what it stood in for works again")
        if not back:
            for name in recovered:
                del self._failed_at[name]
        return back

    def _hand_over(
        self, relay: str, urgency: Urgency, movable: Movable, reason: str
    ) -> Counter[tuple[str, str]]:
        """Hand over what waits in a lane; return how much, by (channel, lane)."""
        channel, to = self._flows.adapter(relay).name, Counter[str]()
        for _ in range(_BATCHES if movable.is_any else 0):
            batch = self._database.retrying(
                lambda connection: self._batch(connection, relay, channel, urgency, movable)
            )
            to.update(batch)
            if batch.total() < _BATCH:
                break
        if to:
            log.warning("deliver.handed_over", relay=relay, to=dict(to), lane=urgency.value, reason=reason)
        return Counter({(channel.value, urgency.value): to.total()} if to else {})

    def _batch(
        self, connection: Connection, relay: str, channel: ChannelName, urgency: Urgency, movable: Movable
    ) -> Counter[str]:
        """Move a batch in the transaction of its locks; nobody can send what moves."""
        waiting = moves.lock_waiting(
            connection, relay=relay, channel=channel.value, lane=urgency.value, limit=_BATCH,
            named=movable.named, of_named=movable.of_named, has_others=movable.others,
        )  # fmt: skip
        moved: dict[UUID, str] = {
            message: self._flows.relay(channel, urgency, tenant, message) for message, tenant in waiting
        }
        moved = {message: other for message, other in moved.items() if other != relay}
        moves.move(connection, moved)
        return Counter(moved.values())
