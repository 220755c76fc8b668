"""``notifier log``: search the messages, newest first."""

import shlex
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import click

from notifier.cli.arguments import moment
from notifier.cli.opening import opened
from notifier.cli.output import Column, json_option, say, show_lines, show_table
from notifier.delivery.fate import Fate
from notifier.messages import ChannelName, MessageStatus
from notifier.reports.naming import NotFound, read_id
from notifier.reports.search import LIMIT, LogQuery, LogRow, search

_COLUMNS = (
    Column("id", 36, is_whole=True),
    Column("made (UTC)", 14, is_whole=True),
    Column("to", 14),
    Column("status", 10, is_whole=True),
    Column("by", 7, is_whole=True, is_optional=True),
    Column("type", 14, is_optional=True),
    Column("subject", 10, is_optional=True),
    Column("tries", 5, is_optional=True),
    Column("why", 20, is_optional=True),
)
# How a message stands, and what became of it after it left; deferred is both.
_STATUSES = list(dict.fromkeys([one.value for one in (*MessageStatus, *Fate)]))


@click.command()
@click.option("--to", "address", metavar="ADDRESS", help="Whom it went to: an address or a phone number.")
@click.option("--subject", metavar="REF", help="What it was about, such as an order's number.")
@click.option("--type", "type_", metavar="TYPE", help="The event's type.")
@click.option(
    "--status", "statuses", type=click.Choice(_STATUSES), multiple=True,
    help="How it stands; several times for any of them.",
)  # fmt: skip
@click.option("--channel", type=click.Choice([one.value for one in ChannelName]))
@click.option("--tenant", help="One tenant's only.")
@click.option("--since", type=moment, metavar="2h|TIME", help="Made since then.")
@click.option("--until", type=moment, metavar="2h|TIME", help="Made before then.")
@click.option("--message-id", metavar="MID", help="The Message-ID header of one of our mails.")
@click.option("--limit", type=click.IntRange(1, LIMIT), default=50, show_default=True)
@click.option("--after", type=click.UUID, metavar="ID", help="Go on below this message.")
@json_option
def log(
    *, address: str | None, subject: str | None, type_: str | None, statuses: tuple[str, ...],
    channel: str | None, tenant: str | None, since: datetime | None, until: datetime | None,
    message_id: str | None, limit: int, after: UUID | None, is_json: bool,
) -> None:  # fmt: skip
    """Search the messages, newest first, a page at a time.

    Everything given must hold. With --json one object a line; the last one's id is the next page's --after.
    """
    with opened() as services:
        message = _message(message_id, services.keyring.token_key)
        query = LogQuery(
            address=address, subject=subject, type=type_, statuses=statuses, channel=channel, tenant=tenant,
            since=since, until=until, message=message, after=after, limit=limit,
        )  # fmt: skip
        with services.database.connection() as connection:
            page = search(connection, services.keyring, query)
    if is_json:
        show_lines(page.rows)
        return
    show_table(_COLUMNS, [_cells(row) for row in page.rows], empty="no message matches")
    if page.has_more:
        say(f"\nmore: {next_page(click.get_current_context().params, page.rows[-1].id)}")


def next_page(given: Mapping[str, object], last: UUID) -> str:
    """Return the command that shows the next page."""
    names = {"address": "to", "type_": "type", "statuses": "status", "message_id": "message-id"}
    parts = ["notifier", "log"]
    for name, value in given.items():
        if name in {"after", "is_json"} or value is None or (name, value) == ("limit", 50):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            # A length of time would mean another moment by then: the moment itself is repeated.
            text = one.isoformat(timespec="seconds") if isinstance(one, datetime) else str(one)
            parts += [f"--{names.get(name, name)}", text]
    return shlex.join([*parts, "--after", str(last)])


def _message(text: str | None, token_key: bytes) -> UUID | None:
    if text is None:
        return None
    message = read_id(text, token_key)
    if message is None:
        raise NotFound("this Message-ID is not one of ours, or was forged")
    return message


def _cells(row: LogRow) -> tuple[object, ...]:
    made = f"{row.created_at:%m-%d %H:%M:%S}"
    return (
        row.id, made, row.to, row.fate or row.status, row.channel, row.type, row.subject, row.attempts,
        row.fate_reason or row.reason,
    )  # fmt: skip
