"""``notifier oncall``: who is on call, and who takes over when."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import click

from notifier.cli.arguments import iso_moment
from notifier.cli.opening import opened
from notifier.cli.output import json_option, say, show_json
from notifier.events import Recipient
from notifier.reports.naming import NotFound
from notifier.rules.alerting.rotations import Rotation, Shift, next_hand_over, shifts, turn_at

_AHEAD = timedelta(days=28)


@click.group()
def oncall() -> None:
    """See who is on call."""


@oncall.command()
@click.argument("rotation", required=False)
@click.option("--at", "text", metavar="TIME", help="Then; now, unless given.")
@click.option(
    "--next", "count", type=click.IntRange(0, 50), default=3, show_default=True, help="Turns ahead."
)
@json_option
def show(*, rotation: str | None, text: str | None, count: int, is_json: bool) -> None:
    """Show who is on call, and the next hand-overs; of all rotations unless one is named."""
    with opened() as services:
        at = iso_moment(text, "--at") if text else services.clock.now()
        rotations = _chosen(services.rules.setting.rotations, rotation)
    documents = [_document(one, at, count) for one in rotations]
    if is_json:
        show_json(documents)
        return
    if not documents:
        say("there are no rotations; docs/how-to/alerts.md tells how to write one")
    for one, found in zip(rotations, documents, strict=True):
        zone = one.zone
        say(f"{one.name}: {_people(found['on_call'])} ({found['why']})")
        for shift in found["next"]:
            say(f"  {shift['start'].astimezone(zone):%a %Y-%m-%d %H:%M %Z}  {_people(shift['people'])}")


def _chosen(rotations: Mapping[str, Rotation], name: str | None) -> list[Rotation]:
    if name is None:
        return list(rotations.values())
    if name not in rotations:
        known = ", ".join(rotations) or "none"
        raise NotFound(f"there is no rotation {name!r}; there are: {known}")
    return [rotations[name]]


def _document(rotation: Rotation, at: datetime, count: int) -> dict[str, Any]:
    turn = turn_at(rotation, at)
    return {
        "rotation": rotation.name,
        "zone": str(rotation.zone),
        "at": at,
        "on_call": [_person(one) for one in turn.people],
        "why": turn.why,
        "next": [
            {
                "start": one.start,
                "end": one.end,
                "people": [_person(who) for who in one.turn.people],
                "why": one.turn.why,
            }
            for one in _ahead(rotation, at, count)
        ],
    }


def _ahead(rotation: Rotation, at: datetime, count: int) -> list[Shift]:
    """Return the turns after the one that runs, from its end on."""
    first = next_hand_over(rotation, at) if count else None
    if first is None:
        return []
    span = _AHEAD
    while len(found := shifts(rotation, first, first + span)) <= count and span < _AHEAD * 16:
        span *= 2  # long turns: look further
    return list(found[:count])


def _person(one: Recipient) -> dict[str, str]:
    return {
        name: value for name in ("name", "email", "phone", "contact") if (value := getattr(one, name, None))
    }


def _people(people: list[dict[str, str]]) -> str:
    return ", ".join(next(iter(one.values()), "?") for one in people) or "nobody"
