"""Ask, before anything is claimed, how much may go; learn from refusals how fast.

Flows without a limit cost nothing here. Where Redis is away each process goes on by itself, at a part of the rate.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from notifier.broker.buckets import Ask, Buckets
from notifier.broker.connection import BrokerUnavailable
from notifier.delivery.buckets import Bucket, full
from notifier.delivery.destinations import OTHER, WHOLE_RELAY, own_group
from notifier.delivery.limits import configured, effective
from notifier.delivery.shares import Due, shares, wanted
from notifier.errors import Phase, SendError, TemporaryFailure
from notifier.logs import get_logger
from notifier.setting_tables import RateLimits
from notifier.store import moves, throttles
from notifier.store.database import Connection
from notifier.store.relays import QUOTA
from notifier.store.throttles import Standing
from notifier.store.turns import Flow
from notifier.store.work import Claim

log = get_logger("deliver")

_ALONE = 4
"""While nobody counts for all, each process takes a quarter: few installations run more that send."""
_ABOUT_THE_RELAY = frozenset({Phase.MAIL, Phase.REQUEST})
"""Where no recipient, or none but ours, is judged: the limit is the relay's own."""
_MOVED = 2_000
_REMEMBERED = 10_000
"""So many flows of the last seconds at most: each domain, and each endpoint, that once limited us is one."""

Narrow = Callable[[Sequence[Due], str, int], list[Due]]
"""(What is due, destination, how many may go to it) → what is due, of that destination only so many."""


@dataclass(slots=True)
class Taken:
    """What may be claimed: how much of each (destination, tenant), and which destinations have no tokens left."""

    shares: dict[Flow, int]
    asks: list[Ask] = field(default_factory=list)
    """The tokens that were handed out."""
    exhausted: set[str] = field(default_factory=set)


class Throttling:
    """Limits, set and learned."""

    def __init__(self, limits: Mapping[str, RateLimits], buckets: Buckets) -> None:
        self._limits, self._buckets = limits, buckets
        self._local = _Local()
        self._recent: dict[throttles.Flow, tuple[int, int, int]] = {}

    def resting(self, standing: Standing, relay: str) -> set[str]:
        """Return the destinations that rest; among them the relay itself, where it does as a whole."""
        return {
            name
            for (one, name), throttle in standing.throttles.items()
            if one == relay and throttle.is_resting
        }

    def take(
        self, standing: Standing, relay: str, lane: str, due: Sequence[Due], *, limit: int, narrow: Narrow
    ) -> Taken:
        """Return what may be claimed of what is due, with the tokens for it taken.

        ``narrow`` leaves of a destination, which got fewer tokens than it could use, those whose turn it is.
        """
        counts = wanted(due, limit)
        total = min(limit, sum(counts.values()))
        asks = [
            Ask(relay=relay, destination=name, rate=rate, count=count)
            for name, count in ((WHOLE_RELAY, total), *counts.items())
            if count and (rate := self._rate(standing, relay, name)) is not None
        ]
        if not asks:
            return Taken(shares(due, limit))
        granted = self._tokens(lane, asks)
        allowed = {ask.destination: got for ask, got in zip(asks, granted, strict=True)}
        exhausted = {ask.destination for ask, got in zip(asks, granted, strict=True) if got < ask.count}
        room = min(limit, allowed.pop(WHOLE_RELAY, limit))
        for name in exhausted & allowed.keys() if room else ():
            due = narrow(due, name, allowed[name])
        taken = shares(due, room, allowed)
        handed = [
            Ask(relay=relay, destination=ask.destination, rate=ask.rate, count=got)
            for ask, got in zip(asks, granted, strict=True)
        ]
        return Taken(taken, handed, exhausted)

    def give_back(self, taken: Taken, claims: Sequence[Claim]) -> None:
        """Return the tokens for what was not claimed."""
        used: dict[str, int] = {WHOLE_RELAY: len(claims)}
        for claim in claims:
            used[claim.destination] = used.get(claim.destination, 0) + 1
        left = [
            Ask(relay=ask.relay, destination=ask.destination, rate=ask.rate, count=count)
            for ask in taken.asks
            if (count := ask.count - used.get(ask.destination, 0)) > 0
        ]
        if left:
            try:
                self._buckets.give_back(left)
            except BrokerUnavailable:
                return  # a second without them

    def sent(self, relay: str, destination: str) -> None:
        """Note that a message was taken: the first guess at a limit starts from what went through before it."""
        second = int(time.monotonic())
        since, count, before = self._recent.get((relay, destination), (second, 0, 0))
        if since != second:
            since, count, before = second, 0, count if since == second - 1 else 0
        if len(self._recent) > _REMEMBERED:
            self._recent = {flow: seen for flow, seen in list(self._recent.items()) if seen[0] >= second - 1}
        self._recent[relay, destination] = (since, count + 1, before)

    def refused(
        self,
        connection: Connection,
        known: Standing | None,
        relay: str,
        claim: Claim,
        failure: SendError,
        *,
        has_endpoints: bool = False,
    ) -> str:
        """Slow the flow of a message down that was refused for its rate; return its destination.

        A small domain gets a group of its own, and what waits for it moves there.
        """
        hint = failure.retry_after if isinstance(failure, TemporaryFailure) else None
        is_all = failure.reply.phase in _ABOUT_THE_RELAY or failure.reason == QUOTA
        destination = WHOLE_RELAY if is_all and not has_endpoints else claim.destination
        is_small = destination == OTHER and claim.domain is not None
        if is_small and claim.domain is not None:
            destination = own_group(claim.domain)
        slowed, rate, span = throttles.refuse(
            connection, (relay, destination), observed=self._observed(relay, destination, claim.destination),
            hint=hint, reason=failure.reason, known=known.throttles if known else None,
            is_alone=has_endpoints,
        )  # fmt: skip
        log.warning(
            "deliver.throttled", relay=relay, destination=slowed, rate=round(rate, 2),
            seconds=round(span.total_seconds(), 1), code=failure.reply.code, reason=failure.reason,
        )  # fmt: skip
        if is_small and slowed == destination and claim.domain is not None:
            while moves.move_domain(connection, relay, claim.domain, destination, _MOVED) == _MOVED:
                pass
        return slowed

    def took(
        self, connection: Connection, standing: Standing, relay: str, taken: Taken, went: set[str]
    ) -> None:
        """Let flows go faster of which messages were taken, and none was refused."""
        for (one, destination), throttle in standing.throttles.items():
            is_ours = one == relay and (destination in went or (destination == WHOLE_RELAY and went))
            # A learned limit above the set one limits nothing: grown further, no refusal would be felt.
            ceiling = configured(self._limits.get(relay), destination)
            is_less = ceiling is None or throttle.pace.rate < ceiling
            was_the_limit = is_less and destination in taken.exhausted
            if is_ours and (was_the_limit or throttle.pace.refusals):
                throttles.grow(connection, (relay, destination), throttle, was_the_limit=was_the_limit)

    def rate(self, standing: Standing, relay: str, destination: str) -> float | None:
        """Return how many messages a second a flow may send; None where it has no limit."""
        return self._rate(standing, relay, destination)

    def _rate(self, standing: Standing, relay: str, destination: str) -> float | None:
        learned = standing.throttles.get((relay, destination))
        return effective(self._limits.get(relay), destination, learned.pace.rate if learned else None)

    def _tokens(self, lane: str, asks: Sequence[Ask]) -> list[int]:
        try:
            return self._buckets.take(lane, asks)
        except BrokerUnavailable:
            return [self._local.take(ask) for ask in asks]

    def _observed(self, relay: str, destination: str, group: str) -> float:
        """Return how many messages a second went through just now, over this process."""
        name = destination if destination == WHOLE_RELAY else group
        counts = [
            seen for flow, seen in list(self._recent.items())
            if flow[0] == relay and name in {WHOLE_RELAY, flow[1]}
        ]  # fmt: skip
        second = int(time.monotonic())
        observed = float(max(1, sum(max(one[1], one[2]) for one in counts if one[0] >= second - 1)))
        return min(observed, configured(self._limits.get(relay), destination) or observed)


class _Local:
    """Buckets of this process alone, for while Redis is away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}

    def take(self, ask: Ask) -> int:
        rate, now = ask.rate / _ALONE, time.monotonic()
        with self._lock:
            bucket, granted = self._buckets.get(ask.key, full(rate, now)).take(rate, ask.count, now)
            self._buckets[ask.key] = bucket
        return granted
