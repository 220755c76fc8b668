"""Write a notification's channel plan to JSON and read it back."""

from collections.abc import Sequence
from datetime import timedelta

import orjson

from notifier.decisions import ChannelStep
from notifier.events import Json
from notifier.messages import ChannelName


def plan_json(steps: Sequence[ChannelStep]) -> str:
    """Return the plan as it is stored: a list of ``{"channel": …, "within": seconds or null}``."""
    return orjson.dumps(
        [
            {
                "channel": step.channel.value,
                "within": step.within.total_seconds() if step.within is not None else None,
            }
            for step in steps
        ]
    ).decode()


def read_plan(plan: Sequence[Json]) -> tuple[ChannelStep, ...]:
    """Read a stored plan."""
    return tuple(
        ChannelStep(
            channel=ChannelName(step["channel"]),
            within=timedelta(seconds=step["within"]) if step["within"] is not None else None,
        )
        for step in plan
    )
