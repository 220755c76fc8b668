"""``notifier show``: the story of a message, notification or event, in the order of time."""

from dataclasses import asdict

import click

from notifier.bootstrap import Services
from notifier.cli.arguments import tenant_option
from notifier.cli.opening import opened
from notifier.cli.output import json_option, say, show_fields, show_json, style_of
from notifier.events import Json
from notifier.reports.explanation import explain_letter
from notifier.reports.histories import Histories
from notifier.reports.history import Content, EventHistory, MessageHistory
from notifier.reports.letters import Letter, letter_of, open_letter
from notifier.reports.naming import Kind, find
from notifier.reports.timeline import REDIRECTED, Line, moment, standing, timeline


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--source", help="ID is this producer's.")
@tenant_option
@click.option("--body", is_flag=True, help="Also the event's data, and what was said, as it is kept.")
@json_option
def show(*, id_: str, source: str | None, tenant: str, body: bool, is_json: bool) -> None:
    """Tell the story of an event, notification or message: every try with the server's reply.

    ID is one of ours, a mail's Message-ID, or with --source a producer's.
    """
    with opened() as services, services.database.connection() as connection:
        key = services.keyring.token_key
        named = find(connection, id_, token_key=key, tenant=tenant, source=source)
        if named.kind is Kind.DEAD_LETTER:
            letter = open_letter(letter_of(connection, named.id), services.keyring, services.catalog)
            show_json(letter) if is_json else show_letter(letter)
            return
        story = histories(services).load(connection, named)
    if is_json:
        show_json(_document(story, with_body=body))
        return
    _show_event(story, with_data=body)
    _show_lines(timeline(story))
    for notification in story.notifications:
        say()
        say(f"notification {notification.id} by rule {notification.rule}: {standing(notification)}")
        for message in notification.messages:
            _show_message(message, with_body=body)


def histories(services: Services) -> Histories:
    """Return what loads stories."""
    return Histories(services.keyring, services.catalog, services.settings.mail.domain)


def show_letter(letter: Letter) -> None:
    """Show an event that was not accepted."""
    summary = letter.summary
    say(f"dead letter {summary.id}: {summary.kind}", style=style_of(summary.kind))
    show_fields(
        {
            "event": " / ".join(filter(None, (summary.tenant, summary.source, summary.external_id))),
            "type": summary.type,
            "came in": f"{moment(summary.first_at)} to {moment(summary.last_at)}, {summary.seen} x",
            "lane": summary.lane,
            "why": "\n".join(explain_letter(summary).notes), "content": letter.event,
        }
    )  # fmt: skip


def _document(story: EventHistory, *, with_body: bool) -> dict[str, Json]:
    out: dict[str, Json] = asdict(story)
    if not with_body:
        for notification in out["notifications"]:
            for message in notification["messages"]:
                del message["content"]
    return {**out, "timeline": [asdict(line) for line in timeline(story)]}


def _show_event(story: EventHistory, *, with_data: bool) -> None:
    say(f"event {story.id}: {story.type} about {story.subject}")
    show_fields(
        {
            "from": f"{story.source}, its id {story.external_id}, tenant {story.tenant}",

            "happened": moment(story.time), "to": story.to, "files": story.attachments,
            "data": story.data if with_data else None,
        }
    )  # fmt: skip
    say()


def _show_lines(lines: list[Line]) -> None:
    width = max(len(line.what) for line in lines)
    for line in lines:
        what = click.style(f"{line.what:<{width}}", fg=style_of(line.what))
        click.echo(f"{moment(line.at, timespec='milliseconds')}  {what}  ", nl=False)
        say(line.text)


def _show_message(message: MessageHistory, *, with_body: bool) -> None:
    became = f", {message.fate}" if message.fate else ""
    to = message.to + (REDIRECTED if message.is_redirected else "")
    say(f"  message {message.id} by {message.channel} to {to}: {message.status}{became}")
    if message.message_id:
        say(f"    Message-ID {message.message_id}")
    if message.live:
        say(f"    live data {message.live}")
    if with_body:
        _show_content(message.content)


def _show_content(content: Content | str | None) -> None:
    if not isinstance(content, Content):
        say(f"    body {content or 'not kept: it was never rendered, or is past retention'}")
        return
    say(f"    template {content.template}" + (f", subject: {content.subject}" if content.subject else ""))
    for line in content.text.splitlines():
        say(f"    | {line}")
