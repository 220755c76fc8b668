"""``notifier unknown``: mails of which nobody knows whether they arrived, and what to do about them."""

from datetime import UTC, datetime, timedelta

import click

from notifier.broker.wakeups import WakeUp
from notifier.cli.arguments import moment as moment_type
from notifier.cli.arguments import only
from notifier.cli.opening import opened, who
from notifier.cli.output import Column, json_option, say, show_json, show_lines, show_table
from notifier.cli.resend import resender
from notifier.errors import ConfigError
from notifier.pipeline.sending.resend import Choice
from notifier.pipeline.tracking.unknowns import Unknowns
from notifier.reports.naming import NotFound, read_id
from notifier.reports.unknowns import UnknownMessage, list_unknown

_COLUMNS = (
    Column("id", 36, is_whole=True), Column("made (UTC)", 19, is_whole=True), Column("by", 8, is_whole=True),
    Column("type", 14), Column("subject", 10, is_optional=True), Column("waits for", 24),
)  # fmt: skip
_RESENDS = {"same": Choice.SAME, "new": Choice.NEW, "drop": Choice.DROP}


@click.group()
def unknown() -> None:
    """See and settle what was cut off behind its last byte: nobody knows whether it arrived.

    A report by the provider settles it by itself; these had none.
    """


@unknown.command("list")
@click.option("--tenant", help="One tenant's only.")
@click.option(
    "--since", type=moment_type, metavar="2h|TIME", help="Of those given up, made since then; a week."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_(*, tenant: str | None, since: datetime | None, limit: int, is_json: bool) -> None:
    """List them, the oldest first, with what each waits for."""
    since = since or datetime.now(UTC) - timedelta(days=7)
    with opened() as services, services.database.connection() as connection:
        found = list_unknown(connection, tenant=tenant, since=since, limit=limit)
    if is_json:
        show_lines(found)
        return
    rows = [(one.id, one.created_at, one.channel, one.type, one.subject, _waits(one)) for one in found]
    show_table(_COLUMNS, rows, empty="nothing is unknown")
    if found:
        say(
            "\nFind out from the provider's log or the recipient: notifier unknown settle ID --arrived, or --lost"
        )


@unknown.command()
@click.argument("message", metavar="MESSAGE")
@click.option("--arrived", is_flag=True, help="It arrived: it is not sent again.")
@click.option("--lost", is_flag=True, help="It did not: the next channel has its turn.")
@click.option("--same", is_flag=True, help="Held: send it again with the same Message-ID.")
@click.option("--new", is_flag=True, help="Held: send a new message.")
@click.option("--drop", is_flag=True, help="Held: leave it at that.")
@json_option
def settle(*, message: str, is_json: bool, **flags: bool) -> None:
    """Say what became of a message, or what to do without knowing."""
    choice = only(flags)
    if choice is None:
        raise ConfigError(
            "say what became of it",
            field="--arrived",
            mend="--arrived or --lost; --same, --new or --drop if held",
        )
    with opened() as services:
        found = read_id(message, services.keyring.token_key)
        if found is None:
            raise NotFound(f"{message!r} is neither a message's id nor one of our Message-IDs")
        if choice in _RESENDS:
            did = resender(services).resend(found, _RESENDS[choice], by=who()).did
        else:
            unknowns = Unknowns(services.database, services.lost_messages, services.clock)
            did = "noted that it arrived"
            if choice == "arrived":
                unknowns.arrived(found, by=who())
            else:
                flows = unknowns.lost(found, by=who())
                for channel, lane in flows:
                    services.wake_ups.ring(WakeUp("deliver", lane, channel))
                did = "noted that it was lost" + "".join(f"; now by {channel}" for channel, _ in flows)
    show_json({"message_id": str(found), "did": did}) if is_json else say(f"{did}: {found}")


def _waits(one: UnknownMessage) -> str:
    if one.waits_for == "person":
        return "you: it is held"
    if one.waits_for == "retry":
        return f"its next try at {one.due_at:%H:%M:%S}, with the same Message-ID"
    return "nothing: it was given up"
