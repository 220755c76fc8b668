"""``notifier rules simulate``: what would have been told, had other rules held; nothing is sent."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from notifier.cli.arguments import moment, tenant_option
from notifier.cli.opening import opened
from notifier.cli.output import json_option, say, show_json
from notifier.events import Json
from notifier.reports.replay import Replay
from notifier.rules.comparison import Change, Comparison, Difference, compare
from notifier.rules.load import read_rules
from notifier.rules.simulation.told import Told

_SHOWN = 100
_STYLES = {Change.MORE: "green", Change.LESS: "red", Change.MOVED: "yellow", Change.OTHERWISE: "yellow"}


@click.command()
@click.option(
    "--since", type=moment, metavar="30d|TIME", default="30d", show_default=True, help="Events since then."
)
@click.option("--until", type=moment, metavar="1d|TIME", help="Events until then; now.")
@click.option(
    "--rules", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
    help="The folder of the other rules.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(min=0), default=_SHOWN, show_default=True, help="Differences to show."
)
@tenant_option
@json_option
def simulate(
    *, since: datetime, until: datetime | None, folder: Path, limit: int, tenant: str, is_json: bool
) -> None:
    """Run stored events through other rules, and show who would have got what more, less, otherwise or at another time.

    Both the running rules and the others run on a virtual clock and start with nothing known: alerts and journeys
    that began before are not seen. Silences, acknowledgements and the address book are left aside. Nothing is sent.
    """
    end = until or datetime.now(UTC)
    with opened() as services, services.database.connection() as connection:
        other = read_rules(
            folder, types=[entry.type for entry in services.catalog], lists=list(services.lists)
        )
        replay = Replay(
            connection=connection, keyring=services.keyring, tenant=tenant, since=since, until=end
        )
        found = compare(replay, services.rules, other, services.catalog, services.lists, start=since, end=end)
    if is_json:
        show_json(
            {**_counts(found, replay.withheld), "differences": [_plain(one) for one in found.differences]}
        )
        return
    _show(found, replay.withheld, limit)


def _show(found: Comparison, withheld: int, limit: int) -> None:
    counts = _counts(found, withheld)
    say(
        ", ".join(
            f"{name.replace('_', ' ')}: {count}"
            for name, count in counts.items()
            if count or name == "events"
        )
    )
    shown: Sequence[Difference] = found.differences[:limit]
    for one in shown:
        say(f"{one.change.value:<9} {_words(one)}", style=_STYLES[one.change])
    if len(found.differences) > len(shown):
        say(f"… and {len(found.differences) - len(shown)} more: --limit, or --json for all")
    if not found.differences:
        say("everybody would have got the same at the same time")


def _counts(found: Comparison, withheld: int) -> dict[str, int]:
    return {
        "events": found.events, "unreadable": withheld, "unfit": found.refused,
        "messages_before": found.before, "messages_after": found.after,
        **{change.value: found.count(change) for change in Change},
    }  # fmt: skip


def _words(one: Difference) -> str:
    words = _message(one.shown)
    if one.change is Change.MOVED and one.before is not None:
        return f"{words}; was {one.before.at:%Y-%m-%d %H:%M:%S}"
    if one.change is Change.OTHERWISE and one.before is not None:
        return f"{words}; was {_form(one.before)}"
    return words


def _message(one: Told) -> str:
    about = ", ".join((*one.firing, *one.resolved)) or one.event.subject
    why = "" if one.why == "event" else f", {one.why}"
    return (
        f"{one.at:%Y-%m-%d %H:%M:%S} {one.recipient.identity} {_form(one)}: {one.event.type} about {about}"
        f" ({one.rule}{why})"
    )


def _form(one: Told) -> str:
    return f"by {' → '.join(channel.value for channel in one.channels)}, {one.template}, {one.urgency.value}"


def _plain(one: Difference) -> dict[str, Json]:
    return {
        "change": one.change.value,
        "before": _plain_told(one.before) if one.before is not None else None,
        "after": _plain_told(one.after) if one.after is not None else None,
    }


def _plain_told(one: Told) -> dict[str, Json]:
    return {
        "at": one.at, "recipient": one.recipient.identity, "rule": one.rule, "why": one.why,
        "channels": [channel.value for channel in one.channels], "template": one.template,
        "urgency": one.urgency.value, "type": one.event.type, "subject": one.event.subject,
        "firing": list(one.firing), "resolved": list(one.resolved),
    }  # fmt: skip
