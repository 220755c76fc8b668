"""``notifier queue``: what waits, how fast it goes, and when it will be gone."""

from dataclasses import asdict
from datetime import datetime, timedelta

import click

from notifier.cli.opening import opened
from notifier.cli.output import Column, json_option, show_lines, show_table
from notifier.reports.queue import QueueLine, queue_lines

_COLUMNS = (
    Column("relay", 10, is_whole=True),
    Column("lane", 6, is_whole=True),
    Column("destination", 11),
    Column("waiting", 8, is_whole=True),
    Column("due", 8, is_whole=True),
    Column("outlook (UTC)", 30),
)

_FOR_EVER = timedelta(days=9_999)


@click.command()
@json_option
def queue(*, is_json: bool) -> None:
    """Show what waits in each flow, how fast it goes, and when it will be gone."""
    with opened() as services, services.database.connection() as connection:
        now = services.clock.now()
        found = queue_lines(connection, services.throttling, now)
    if is_json:
        show_lines(asdict(one) for one in found)
        return
    rows = [
        (one.relay, one.lane, one.destination, str(one.waiting), str(one.due), _outlook(one, now))
        for one in found
    ]
    show_table(_COLUMNS, rows, empty="nothing waits")


def _outlook(line: QueueLine, now: datetime) -> str:
    rest = f"rests until {_time(line.rests_until, now)}; " if line.rests_until else ""
    if line.rests_until is not None and line.rests_until - now > _FOR_EVER:
        return "rests until it is woken"
    if line.drains_at is None or line.rate is None:
        return f"{rest}nobody can say"
    about = "about " if line.rate_is == "measured" else ""
    return f"{rest}drains at {_time(line.drains_at, now)} at {about}{line.rate:.3g}/s"


def _time(moment: datetime, now: datetime) -> str:
    """Write a moment of the next day by its time alone."""
    is_near = moment - now < timedelta(hours=24)
    return f"{moment:%H:%M}" if is_near else f"{moment:%Y-%m-%d %H:%M}"
