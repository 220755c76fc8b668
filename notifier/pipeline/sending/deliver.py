"""Deliver: send what is due on a channel and lane, a chunk per relay."""

import time
from collections import Counter

from notifier.broker.wakeups import WakeUp
from notifier.delivery.endpoints import HAS_ENDPOINTS
from notifier.logs import get_logger
from notifier.messages import ChannelName
from notifier.pipeline.relays.breaker import Breaker
from notifier.pipeline.relays.chunk_sizes import ChunkSizes
from notifier.pipeline.relays.claiming import Claimer
from notifier.pipeline.relays.turns import Turns
from notifier.pipeline.sending.chunk import Chunk
from notifier.pipeline.sending.settle import Settler
from notifier.pipeline.sending.tools import Report, Tools
from notifier.store import throttles

log = get_logger("deliver")

_UNTRIED = (False, 0)
"""A relay nothing is known against."""

_STINT_SECONDS = 0.5
"""A task ends after this long where more is due: no lane or relay holds a thread for ever."""


class Deliver:
    """The deliver stage."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.settler = Settler(tools)
        self._turns = Turns()
        self._sizes = ChunkSizes(tools.tuning.deliver_chunk)

    def run(self, channel: ChannelName, lane: str) -> Report:
        """Send what is due over each relay of the channel that is neither resting nor at its limit.

        Chunk after chunk, for a stint at most: a Celery task costs as much as a mail.
        """
        tools = self._tools
        tools.wake_ups.answer(WakeUp("deliver", lane, channel.value))
        report = Report()
        with tools.database.connection() as connection:
            standing = throttles.standing(connection)
        awake = [
            relay for relay in tools.flows.relays(channel) if not standing.relays.get(relay, _UNTRIED)[0]
        ]
        for relay in awake:
            with tools.flows.place(relay) as place:
                if place is not None and not tools.stopping.is_set():
                    failures = standing.relays.get(relay, _UNTRIED)[1]
                    others = relay != awake[-1]
                    lease = tools.tuning.claim_lease
                    has_endpoints = channel in HAS_ENDPOINTS
                    claimer = Claimer(relay, tools.throttling, self._turns, lease, standing, has_endpoints)
                    chunk = Chunk(
                        tools,
                        self.settler,
                        relay,
                        place,
                        report,
                        claimer,
                        Breaker(relay, failures, has_endpoints),
                        self._sizes,
                        are_others_waiting=others,
                    )
                    end, is_more = time.monotonic() + _STINT_SECONDS, True
                    while is_more and time.monotonic() < end:
                        is_more = chunk.run(channel, lane)
        self._count(channel, lane, report)
        return report

    def _count(self, channel: ChannelName, lane: str, report: Report) -> None:
        if report.counts:
            log.info(
                "deliver.done",
                channel=channel.value,
                lane=lane,
                events=report.events,
                counts=dict(report.counts),
            )
            labels = Counter({f"{channel.value}|{outcome}|{lane}": n for outcome, n in report.counts.items()})
            self._tools.counters.add(
                labels, [(f"{channel.value}|{lane}", seconds) for seconds in report.latencies]
            )
