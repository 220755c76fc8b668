"""Hand over what waits for a relay that failed for long to those that stand in for it.

Never what may have arrived by that relay already, and nothing while a message tries whether it works again.
"""

from collections import Counter
from datetime import timedelta
from uuid import UUID

from notifier.events import Urgency
from notifier.logs import get_logger
from notifier.messages import ChannelName
from notifier.pipeline.flows import Flows
from notifier.pipeline.routing import Movable
from notifier.store import moves, relays
from notifier.store.database import Connection, Database
from notifier.store.relays import RelayState

log = get_logger("deliver")

_BATCH, _BATCHES = 2_000, 5
"""So much in one commit, and in one round of the sweep for a relay and lane."""


class Failover:
    """Hands over."""

    def __init__(self, database: Database, flows: Flows, after: timedelta) -> None:
        """``after``: for how long a relay must have failed."""
        self._database, self._flows, self._after = database, flows, after

    def run(self) -> tuple[int, set[tuple[str, str]]]:
        """Hand over what could go another way; return how much, and the (channel, lane) pairs it waits in."""
        if not self._flows.has_choice:
            return 0, set()
        with self._database.connection() as connection:
            states = relays.states(connection, self._after)
        handed, flows = 0, set[tuple[str, str]]()
        for state in states.values():
            if state.is_down and state.is_resting and self._flows.knows(state.relay):
                channel = self._flows.adapter(state.relay).name
                for urgency in Urgency:
                    count = self._hand_over(state, channel, urgency)
                    if count:
                        handed += count
                        flows.add((channel.value, urgency.value))
        return handed, flows

    def _hand_over(self, state: RelayState, channel: ChannelName, urgency: Urgency) -> int:
        movable = self._flows.movable(state.relay, urgency)
        if not movable.is_any:
            return 0
        to: Counter[str] = Counter()
        for _ in range(_BATCHES):
            batch = self._database.retrying(
                lambda connection: self._batch(connection, state.relay, channel, urgency, movable)
            )
            to.update(batch)
            if batch.total() < _BATCH:
                break
        if to:
            log.warning(
                "deliver.handed_over", relay=state.relay, to=dict(to), lane=urgency.value, reason=state.reason
            )
        return to.total()

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
