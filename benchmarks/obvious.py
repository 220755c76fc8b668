"""The obvious stack: one Celery task per mail, premailer per message, a new connection, one log row.

What a team writes in an afternoon, with the same templates and the same data, and Celery as it comes.
"""

import os
import smtplib
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import premailer
import psycopg
from celery import Celery

from notifier.messages import ChannelName
from notifier.rendering.context import contract
from notifier.rendering.environment import READER, Reader
from notifier.rendering.templates import Templates

app = Celery("obvious", broker=os.environ.get("BENCH_REDIS", "redis://"))
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)

_templates: list[Templates] = []


@app.task
def empty() -> None:
    """Do nothing."""


@app.task
def send(context: dict[str, Any], to: str) -> None:
    """Render, inline, build, connect, send, log."""
    subject, html, text = _render(context)
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "shop@example.com", to
    mail.set_content(text)
    mail.add_alternative(premailer.transform(html, allow_network=False), subtype="html")
    with smtplib.SMTP("127.0.0.1", int(os.environ["BENCH_SMTP_PORT"])) as relay:
        relay.send_message(mail)
    with psycopg.connect(os.environ["BENCH_DATABASE"]) as log:
        log.execute("INSERT INTO obvious_log (recipient, subject) VALUES (%s, %s)", [to, subject])


def _render(context: dict[str, Any]) -> tuple[str, str, str]:
    """Render the three parts with plain Jinja2, nothing prepared at load but the parsed templates."""
    if not _templates:
        _templates.append(Templates.load(Path(os.environ["BENCH_TEMPLATES"])))
    templates = _templates[0]
    parts, locale = templates.sources.choose("order/shipped", ChannelName.EMAIL, "en")
    values = contract(context, {}, locale)
    values["say"] = templates._words["en"]  # noqa: SLF001 - the same words as ours
    token = READER.set(Reader(locale=locale, zone="UTC"))
    try:
        done = {
            part.value: templates._plain.get_template(path).render(values)  # noqa: SLF001
            for part, path in parts.items()
        }
    finally:
        READER.reset(token)
    names = sorted(done)
    html = next(done[name] for name in names if "html" in name)
    subject = next(done[name] for name in names if "subject" in name)
    text = next(done[name] for name in names if "text" in name or name.endswith("txt"))
    return " ".join(subject.split()), html, text
