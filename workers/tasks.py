"""The tasks: a wake-up in, a summary out. What they do stands in ``notifier.pipeline``."""

from typing import Any

from celery import Task

from notifier.events import Urgency
from notifier.logs import bound_contextvars
from notifier.messages import ChannelName
from workers.app import app
from workers.events import QuietTask
from workers.failures import DeliveryFailed
from workers.process import patiently, services

Summary = dict[str, Any]


@app.task(name="notifier.ingest", base=QuietTask)
@patiently
def ingest(lane: str) -> Summary:
    """Empty an intake lane."""
    with bound_contextvars(stage="ingest", lane=lane):
        return dict(services().ingest.run(Urgency(lane)))


def _deliver(channel: ChannelName) -> Task:
    @app.task(name=f"notifier.deliver.{channel.value}", base=QuietTask, throws=(DeliveryFailed,))
    @patiently
    def deliver(lane: str) -> Summary:
        with bound_contextvars(stage="deliver", channel=channel.value, lane=lane):
            report = services().deliver.run(channel, lane)
        if report.failed:
            ids = [str(message) for message in report.failed]
            raise DeliveryFailed(len(ids), report.counts.total(), ids)
        return dict(report.counts)

    return deliver


deliver_tasks = {channel: _deliver(channel) for channel in ChannelName}


@app.task(name="notifier.track", base=QuietTask)
@patiently
def track() -> Summary:
    """Read what came back about messages that left."""
    with bound_contextvars(stage="track"):
        return dict(services().track.run())


@app.task(name="notifier.sweep", send_events=False, ignore_result=True)
@patiently
def sweep() -> Summary:
    """Find what is due, or was left by the dead."""
    with bound_contextvars(stage="sweep"):
        return dict(services().sweep.run())
