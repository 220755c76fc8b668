"""``notifier rules graph``: the routing as a picture."""

from pathlib import Path

import click

from notifier.cli.opening import opened
from notifier.cli.output import json_option, say, show_json
from notifier.errors import ConfigError
from notifier.rules.drawing import draw
from notifier.rules.graph import graph_of


@click.command()
@click.option("--type", "type_", metavar="TYPE", help="Only what becomes of this event type.")
@click.option(
    "--out", metavar="FILE.svg", type=click.Path(path_type=Path, dir_okay=False), help="Else standard output."
)
@json_option
def graph(*, type_: str | None, out: Path | None, is_json: bool) -> None:
    """Draw the routing as SVG: event types, rules, routes, people, with the waits on the way.

    With --json what is in the picture.
    """
    with opened() as services:
        only = services.catalog[type_].type if type_ else None
        found = graph_of(services.rules, [entry.type for entry in services.catalog], only)
    if is_json:
        show_json(found)
        return
    picture = draw(found, title=f"Rules for {only}" if only else "Rules")
    if out is None:
        click.echo(picture, nl=False)
        return
    try:
        out.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise ConfigError(error.strerror or "cannot be written", file=out, mend="name another file") from None
    say(f"written: {out}", is_error=True)
