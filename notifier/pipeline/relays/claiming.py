"""Claim what is due on a relay and may go: tokens first, then as many messages, in turn by tenant.

Sends nothing. One claimer serves one stint of a worker: it remembers which flows rest or have used their tokens up.
"""

import functools
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from notifier.delivery.destinations import WHOLE_RELAY
from notifier.errors import SendError
from notifier.messages import ChannelName
from notifier.pipeline.relays.throttling import Taken, Throttling
from notifier.pipeline.relays.turns import Turns
from notifier.store import throttles, work
from notifier.store.database import Connection, Database
from notifier.store.throttles import Standing
from notifier.store.work import Claim


@dataclass(slots=True)
class Claimer:
    """Claims for one relay, chunk after chunk."""

    relay: str
    throttling: Throttling
    turns: Turns
    lease: timedelta
    standing: Standing | None
    """What is known against flows; None: to be read again."""
    has_endpoints: bool = False
    """Each recipient is a service of its own."""
    _waiting: set[str] = field(default_factory=set)
    """Destinations that rest, or whose tokens are used up."""
    _went: set[str] = field(default_factory=set)
    """Destinations of which a message of this chunk was taken, and none refused since."""
    _taken: Taken = field(default_factory=lambda: Taken({}))
    _known: Standing | None = None

    def claim(self, connection: Connection, channel: ChannelName, lane: str, limit: int) -> list[Claim]:
        """Take up to ``limit`` messages, each flow its share."""
        if self.standing is None:
            self.standing = throttles.standing(connection)
        standing = self._known = self.standing
        self._waiting |= self.throttling.resting(standing, self.relay)
        self._went.clear()
        taken = self._taken = self._take(connection, standing, channel, lane, limit)
        if not taken.shares:
            return []
        claims = work.claim(
            connection, relay=self.relay, channel=channel.value, lane=lane, limit=limit, token=uuid4(),
            lease=self.lease, shares=taken.shares,
        )  # fmt: skip
        self.throttling.give_back(taken, claims)
        return claims

    @property
    def has_passed_over(self) -> bool:
        """Say whether tokens ran out: there may be others behind those flows, who need none."""
        return bool(self._taken.exhausted - {WHOLE_RELAY})

    def sent(self, claim: Claim) -> None:
        """Note that a message was taken."""
        self.throttling.sent(self.relay, claim.destination)
        self._went.add(claim.destination)

    def slow_down(self, connection: Connection, claim: Claim, failure: SendError) -> bool:
        """Let the flow rest of which a message was refused for its rate; True where that is the whole relay."""
        slowed = self.throttling.refused(
            connection, self._known, self.relay, claim, failure, has_endpoints=self.has_endpoints
        )
        self._waiting.add(slowed)
        self._went.discard(claim.destination)
        self.standing = None
        return slowed == WHOLE_RELAY

    def done(self, database: Database) -> None:
        """Let limited flows go faster of which messages were taken in this chunk."""
        if self._known is None or not (self._taken.asks and self._went):
            return
        with database.connection() as connection:
            self.throttling.took(connection, self._known, self.relay, self._taken, self._went)
        self.standing = None

    def _take(
        self, connection: Connection, standing: Standing, channel: ChannelName, lane: str, limit: int
    ) -> Taken:
        narrow = functools.partial(
            self.turns.narrowed, connection, relay=self.relay, channel=channel.value, lane=lane
        )
        taken = Taken({})
        while WHOLE_RELAY not in self._waiting:
            due = self.turns.next(
                connection, relay=self.relay, channel=channel.value, lane=lane, limit=limit,
                resting=sorted(self._waiting),
            )  # fmt: skip
            taken = self.throttling.take(standing, self.relay, lane, due, limit=limit, narrow=narrow)
            # Stepped over from now on, so that those behind them are found.
            self._waiting |= taken.exhausted
            if WHOLE_RELAY in taken.exhausted:
                self.turns.served(taken.shares, relay=self.relay, channel=channel.value, lane=lane)
            if taken.shares or not taken.exhausted:
                break
            # A destination had none; what the relay gave for it is for the others.
            self.throttling.give_back(taken, ())
        return taken
