"""``notifier delays``: how long the messages of each type take."""

from dataclasses import asdict
from datetime import datetime, timedelta

import click

from notifier.cli.arguments import moment
from notifier.cli.opening import opened
from notifier.cli.output import Column, json_option, show_lines, show_table
from notifier.reports.delays import Delay, delays

_COLUMNS = (
    Column("type", 14),
    Column("by", 7, is_whole=True),
    Column("tenant", 8, is_optional=True),
    Column("sent", 6, is_whole=True),
    Column("half within", 11, is_whole=True),
    Column("95 %", 7, is_whole=True),
    Column("longest", 7, is_whole=True),
    Column("delivered", 9, is_whole=True, is_optional=True),
    Column("half within", 11, is_whole=True, is_optional=True),
    Column("waiting", 7, is_whole=True),
    Column("longest", 7, is_whole=True),
)
_DAY = timedelta(days=1)
_MINUTE, _HOUR = 60, 3600


@click.command(name="delays")
@click.option("--since", type=moment, metavar="2h|TIME", help="Made since then; a day, unless given.")
@click.option("--type", "type_", metavar="TYPE", help="One event type's only.")
@click.option("--tenant", help="One tenant's only.")
@json_option
def delays_(*, since: datetime | None, type_: str | None, tenant: str | None, is_json: bool) -> None:
    """Show how long messages take, by type and channel, the slowest first.

    From when a message was made until it was taken over, and until the other side said that it arrived.
    """
    with opened() as services, services.database.connection() as connection:
        found = delays(connection, since or services.clock.now() - _DAY, tenant=tenant, type_=type_)
    if is_json:
        show_lines(asdict(one) for one in found)
        return
    show_table(_COLUMNS, [_cells(one) for one in found], empty="no message was made")


def _cells(line: Delay) -> tuple[object, ...]:
    return (
        line.type, line.channel, line.tenant,
        line.sent, _length(line.sent_p50), _length(line.sent_p95), _length(line.sent_longest),
        line.delivered or "", _length(line.delivered_p50),
        line.waiting or "", _length(line.waiting_longest),
    )  # fmt: skip


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / _MINUTE:.1f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"
