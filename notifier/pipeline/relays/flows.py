"""Know the relays of this process, and how many sessions to each it may hold.

Sessions are kept open between chunks; a relay that hangs holds only its own sessions.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from notifier.channels.base import Channel, Session
from notifier.decisions import ChannelStep
from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.pipeline.relays.routing import Movable, Routing, Way

_FEWER_SECONDS = 60.0
"""How long to keep to the sessions a relay admits."""
_NONE_SECONDS = 3.0
"""How long to do without any, where other processes have all that it admits; should they end, it must be noticed."""


class Flows:
    """The relays and providers, and the way of a message to one of them."""

    def __init__(self, channels: Mapping[str, Channel], routing: Routing) -> None:
        self._channels, self._routing = dict(channels), routing
        self._pools = {relay: _SessionPool(channel) for relay, channel in channels.items()}

    def way(self, channel: ChannelName, urgency: Urgency, tenant: str, message: UUID, address: str) -> Way:
        """Return where a new message goes: its relay and its destination."""
        return self._routing.way(channel, urgency, tenant, message, address)

    def relay(self, channel: ChannelName, urgency: Urgency, tenant: str, message: UUID) -> str:
        """Return the relay a message goes to."""
        return self._routing.relay(channel, urgency, tenant, message)

    @property
    def has_choice(self) -> bool:
        """Say whether any message could go more than one way."""
        return self._routing.has_choice

    def movable(self, relay: str, urgency: Urgency) -> Movable:
        """Return whose messages, waiting at a relay of ours, could go another way."""
        return self._routing.movable(relay, self._channels[relay].name, urgency)

    @property
    def uses(self) -> frozenset[str]:
        """The relays that routes give messages of their own."""
        return self._routing.uses

    def returnable(self, urgency: Urgency, recovered: Collection[str]) -> Iterator[tuple[str, Movable]]:
        """Return each relay of ours that stands in, with whose messages could go back from it."""
        for relay in sorted(self._routing.stand_ins & self._channels.keys()):
            movable = self._routing.returnable(relay, self._channels[relay].name, urgency, recovered)
            if movable.is_any:
                yield relay, movable

    def relays(self, channel: ChannelName) -> tuple[str, ...]:
        """Return all relays of a channel that this process can use."""
        return tuple(relay for relay, adapter in self._channels.items() if adapter.name is channel)

    def served(self, steps: Sequence[ChannelStep]) -> tuple[ChannelStep, ...]:
        """Return the steps of a plan that something here can send; all of them where that would be none."""
        there = {adapter.name for adapter in self._channels.values()}
        return tuple(step for step in steps if step.channel in there) or tuple(steps)

    @property
    def names(self) -> tuple[str, ...]:
        """The relays and providers of this process's configuration."""
        return tuple(self._channels)

    def knows(self, relay: str) -> bool:
        """Tell whether the relay is in this process's configuration."""
        return relay in self._channels

    def adapter(self, relay: str) -> Channel:
        """Return the adapter behind a relay."""
        return self._channels[relay]

    @contextmanager
    def place(self, relay: str) -> Iterator["Place | None"]:
        """Lend one of the relay's places, or None when all are taken."""
        pool = self._pools[relay]
        place = pool.lend()
        try:
            yield place
        finally:
            if place is not None:
                place.leave()
                pool.take_back(place)

    def close(self) -> None:
        """Close all idle sessions."""
        for pool in self._pools.values():
            pool.close()


class Place:
    """The right to hold one session to a relay, and the session once it is open."""

    def __init__(self, pool: "_SessionPool") -> None:
        self._pool = pool
        self._session: Session | None = None

    def session(self) -> Session:
        """Return an open session: an idle one, or a new one.

        Raises:
            SendError: the relay cannot be reached or does not let us in.
        """
        if self._session is not None and not self._session.is_usable:
            self._session.close()
            self._session = None
        if self._session is None:
            self._session = self._pool.idle() or self._pool.channel.open()
        # Here, before a message is marked: a worn connection must not cost a message one of its tries.
        self._session.refresh()
        return self._session

    @property
    def open_session(self) -> Session:
        """The session :meth:`session` returned last."""
        if self._session is None:
            raise AssertionError("session() comes first")
        return self._session

    @property
    def is_open(self) -> bool:
        """Say whether there is a session."""
        return self._session is not None

    def is_one_too_many(self, is_used_elsewhere: Callable[[], bool]) -> bool:
        """Say whether a session that was refused for its rate was one too many: others are open.

        There will be no more than those for a minute; none for a few seconds, where another process has them all.
        """
        return self._pool.keep_to_others(self) or (is_used_elsewhere() and self._pool.keep_to_none())

    def drop(self) -> None:
        """Close a session that behaved in a way nobody knows."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def leave(self) -> None:
        """Give the session back for the next chunk, if it still works."""
        if self._session is not None:
            self._pool.put_back(self._session)
            self._session = None


class _SessionPool:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._held: set[Place] = set()
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self._most, self._until = channel.connections, 0.0

    def lend(self) -> Place | None:
        with self._lock:
            most = self._most if time.monotonic() < self._until else self.channel.connections
            if len(self._held) >= most:
                return None
            place = Place(self)
            self._held.add(place)
            return place

    def take_back(self, place: Place) -> None:
        with self._lock:
            self._held.discard(place)

    def keep_to_others(self, place: Place) -> bool:
        with self._lock:
            others = len(self._idle) + sum(one.is_open for one in self._held if one is not place)
            if others:
                self._most, self._until = others, time.monotonic() + _FEWER_SECONDS
            return others > 0

    def keep_to_none(self) -> bool:
        with self._lock:
            self._most, self._until = 0, time.monotonic() + _NONE_SECONDS
        return True

    def idle(self) -> Session | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def put_back(self, session: Session) -> None:
        if session.is_usable:
            with self._lock:
                self._idle.append(session)
        else:
            session.close()

    def close(self) -> None:
        with self._lock:
            sessions, self._idle = self._idle, []
        for session in sessions:
            session.close()
