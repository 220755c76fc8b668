"""``notifier relay``: which relays and providers work, and let one rest by hand."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click

from notifier.bootstrap import Services
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened, who
from notifier.cli.output import Column, json_option, say, show_json, show_lines, show_table
from notifier.cli.replies import reply
from notifier.documents import read_duration
from notifier.errors import ConfigError
from notifier.store import relays
from notifier.store.relays import RelayState


@click.group()
def relay() -> None:
    """See which relays and providers work; let one rest, wake it; see what an answer means."""


relay.add_command(reply)


@relay.command("list")
@json_option
def list_(*, is_json: bool) -> None:
    """List all relays and providers: how each is, until when, why, and how much waits for it."""
    with opened() as services:
        found = list(_rows(services))
    if is_json:
        show_lines(found)
        return
    columns = (
        Column("relay", 12, is_whole=True), Column("channel", 8), Column("state", 8), Column("until (UTC)", 20),
        Column("waiting", 8), Column("why", 30),
    )  # fmt: skip
    rows = [
        (
            one["relay"],
            one["channel"],
            one["state"],
            (one["until"] or "").removesuffix("+00:00").replace("T", " "),
            str(one["waiting"]),
            one["why"] or "",
        )
        for one in found
    ]
    show_table(columns, rows, empty="no relays")


@relay.command()
@click.argument("name", metavar="NAME")
@click.option("--for", "span", metavar="LENGTH", help="How long, such as 2h; until it is woken otherwise.")
@click.option("--why", default="", metavar="TEXT", help="For whoever asks later.")
@json_option
def rest(*, name: str, span: str | None, why: str, is_json: bool) -> None:
    """Let nobody use a relay: what waits for it goes another way, where a route names one, or waits.

    What is being sent at this moment still goes out.
    """
    reason = f"{who()} let it rest" + (f": {why}" if why else "")
    with opened() as services:
        _check(services, name)
        with services.database.connection() as connection:
            relays.rest_relay(connection, name, _span(span), reason)
    _report(name, "rests", is_json=is_json)


@relay.command()
@click.argument("name", metavar="NAME")
@json_option
def wake(*, name: str, is_json: bool) -> None:
    """Let a relay be used again, whether it failed, limited us or was told to rest; limits learned are forgotten."""
    with opened() as services:
        _check(services, name)
        with services.database.connection() as connection:
            was_resting = relays.wake_relay(connection, name)
    _report(name, "is used again" if was_resting else "did not rest", is_json=is_json)
    if not was_resting:
        click.get_current_context().exit(FINDING)


def _rows(services: Services) -> Iterator[dict[str, Any]]:
    flows = services.flows
    with services.database.connection() as connection:
        states = relays.states(connection, services.settings.failover_after)
        for name in sorted({*flows.names, *states}):
            state = states.get(name)
            yield {
                "relay": name,
                "channel": flows.adapter(name).name.value if flows.knows(name) else "-",
                "state": _word(state) if flows.knows(name) else "unknown",
                "until": _until(state),
                "failures": state.failures if state else 0,
                "waiting": relays.waiting_at(connection, name),
                "why": state.reason if state else None,
            }


def _word(state: RelayState | None) -> str:
    if state is None:
        return "works"
    if state.is_limited and not state.is_down:
        return "limited"
    if state.by_operator and state.is_resting:
        return "rests"
    # Failing: too short for others to stand in. Trying: one message at a time, to see whether it works again.
    return ("down" if state.is_down else "failing") if state.is_resting else "trying"


def _until(state: RelayState | None) -> str | None:
    if state is None or not state.is_resting:
        return None
    is_open_ended = state.by_operator and state.until - state.since > timedelta(days=9_999)
    return "woken" if is_open_ended else state.until.isoformat(timespec="seconds")


def _span(text: str | None) -> timedelta | None:
    try:
        span: timedelta | None = read_duration(text) if text is not None else None
    except ValueError as error:
        raise ConfigError(str(error), field="--for", mend="such as 30m or 2h") from None
    if span is not None and span <= timedelta(0):
        raise ConfigError("must be longer than 0s", field="--for", mend="such as 30m or 2h")
    return span


def _check(services: Services, name: str) -> None:
    known = services.flows.names
    if name not in known:
        raise ConfigError(f"no relay {name!r}", field="NAME", mend=f"one of {', '.join(known)}")


def _report(name: str, what: str, *, is_json: bool) -> None:
    if is_json:
        show_json({"relay": name, "did": what})
    else:
        say(f"{name} {what}")
