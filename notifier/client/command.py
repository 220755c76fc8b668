"""Hand one event over from a shell: ``notifier enqueue``.

Reads options and files, prints what came back, and turns errors into exit codes.
"""

import json
import mimetypes
import sys
from pathlib import Path
from typing import NoReturn

import click

from notifier.client.client import Client
from notifier.client.receipts import Receipt, Result
from notifier.client.wire import Until
from notifier.errors import (
    ConfigError,
    EventRefused,
    IntakeFull,
    IntakeUnavailable,
    NotDurable,
    NotifierError,
    ResultTimeout,
)
from notifier.events import LANES, Attachment, Json

USAGE, REFUSED, UNAVAILABLE, TIMEOUT = 2, 3, 4, 5

_EXIT_CODES: tuple[tuple[type[NotifierError], int], ...] = (
    (ConfigError, USAGE),
    (EventRefused, REFUSED),
    (IntakeFull, UNAVAILABLE),
    (IntakeUnavailable, UNAVAILABLE),
    (NotDurable, UNAVAILABLE),
    (ResultTimeout, TIMEOUT),
)


@click.command("enqueue")
@click.argument("type_", metavar="TYPE")
@click.option("--subject", required=True, help="What it is about: an order's or return's number.")
@click.option(
    "--data", required=True, metavar="@FILE|JSON|-", help="The event's data; - reads standard input."
)
@click.option("--to", multiple=True, metavar="ADDRESS", help="Who is to be told; may be repeated.")
@click.option("--id", "id_", help="Your id: the same id again is the same event. Minted otherwise.")
@click.option("--tenant", default="default", show_default=True, help="For whom.")
@click.option(
    "--urgency", type=click.Choice([lane.value for lane in LANES]), help="The type's own otherwise."
)
@click.option("--source", default="cli", show_default=True, envvar="NOTIFIER_SOURCE", help="Who you are.")
@click.option("--url", envvar="NOTIFIER_URL", help="Where the intake is; NOTIFIER_URL otherwise.")
@click.option(
    "--results-url", envvar="NOTIFIER_RESULTS_URL", help="Where to ask for results, with an outbox."
)
@click.option("--attach", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--durable", is_flag=True, help="Return only once the event is on disk.")
@click.option("--wait", type=click.Choice(["decided", "settled"]), help="Wait for what became of it.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True)
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
def enqueue(
    *, type_: str, subject: str, data: str, to: tuple[str, ...], id_: str | None, tenant: str,
    urgency: str | None, source: str, url: str | None, results_url: str | None, attach: tuple[Path, ...],
    durable: bool, wait: Until | None, timeout: float, is_json: bool,
) -> None:  # fmt: skip
    """Hand one event over to notifier.

    Exit codes: 0 accepted, 2 wrong usage, 3 refused, 4 intake full, unavailable or not durable,
    5 no result in time.
    """
    content = _read_data(data)
    try:
        with Client(url, source=source, results_url=results_url, durable=durable) as client:
            receipt = client.enqueue(
                type_, subject=subject, data=content, to=to or None, tenant=tenant, id=id_, urgency=urgency,
                attachments=[_attachment(path) for path in attach],
            )  # fmt: skip
            result = receipt.result(timeout, until=wait) if wait else None
    except NotifierError as error:
        if is_json and click.get_current_context().parent is not None:
            raise  # `notifier` writes it as an object
        _fail(error)
    click.echo(json.dumps(_as_json(receipt, result)) if is_json else _as_text(receipt, result))
    if result is not None and result.state == "refused":
        sys.exit(REFUSED)


def _read_data(text: str) -> Json:
    name, content = _source_of(text)
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise click.BadParameter(
            f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}", param_hint="--data"
        ) from None


def _source_of(text: str) -> tuple[str, str]:
    if text == "-":
        return "standard input", sys.stdin.buffer.read().decode(errors="replace")
    if not text.startswith("@"):
        return "--data", text
    path = Path(text[1:])
    try:
        return str(path), path.read_text(encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--data") from None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{path}: is not UTF-8", param_hint="--data") from None


def _attachment(path: Path) -> Attachment:
    media_type, encoding = mimetypes.guess_type(path.name)
    if media_type is None or encoding is not None:  # x.csv.gz is no text/csv
        media_type = "application/octet-stream"
    return Attachment(name=path.name, media_type=media_type, content=path.read_bytes())


def _as_json(receipt: Receipt, result: Result | None) -> dict[str, Json]:
    tenant, source, event_id = receipt.event
    out: dict[str, Json] = {"id": event_id, "tenant": tenant, "source": source, "lane": receipt.lane.value}
    return out if result is None else {**out, "result": result.to_json()}


def _as_text(receipt: Receipt, result: Result | None) -> str:
    lines = [f"accepted {receipt.id} ({receipt.lane} lane)"]
    if result is not None:
        # A refused event is ``refused`` twice, and one word says it.
        lines.append(" ".join(dict.fromkeys(filter(None, (result.state, result.verdict)))))
        lines += (f"  {reason}" for reason in result.reasons)
        for told in result.notifications:
            why = f": {told.reason}" if told.reason else ""
            lines.append(
                f"  {told.rule}: {told.channel or 'no channel'} {told.status}, attempts {told.attempts}{why}"
            )
    return "\n".join(lines)


def _fail(error: NotifierError) -> NoReturn:
    click.echo(f"error: {error}", err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(note, err=True)
    sys.exit(next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1))
