"""Deliver: send what is due on a channel and lane, a chunk per relay."""

from collections import Counter

from notifier.broker.wakeups import WakeUp
from notifier.logs import get_logger
from notifier.messages import ChannelName
from notifier.pipeline.chunk import Chunk
from notifier.pipeline.settle import Settler
from notifier.pipeline.tools import Report, Tools
from notifier.store import relays

log = get_logger("deliver")


class Deliver:
    """The deliver stage."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.settler = Settler(tools)

    def run(self, channel: ChannelName, lane: str) -> Report:
        """Send one chunk over each relay of the channel that is neither resting nor at its limit."""
        tools = self._tools
        tools.wake_ups.answer(WakeUp("deliver", lane, channel.value))
        report = Report()
        with tools.database.connection() as connection:
            paused = relays.failures(connection)
        for relay in tools.flows.relays(channel):
            must_rest, failures, _ = paused.get(relay, (False, 0, ""))
            if must_rest or tools.stopping.is_set():
                continue
            with tools.flows.place(relay) as place:
                if place is not None:
                    Chunk(tools, self.settler, relay, place, failures, report).run(channel, lane)
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
