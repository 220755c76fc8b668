"""Say what is kept of what a message said: everything but its secrets, such as a reset link.

Seals nothing; who stores it does.
"""

import html
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import quote, quote_plus

from notifier.events import Event, Json
from notifier.messages import Rendered
from notifier.pipeline.composing.jobs import Job
from notifier.recipients.paths import look_up

REDIRECTED = "redirected"
"""Stands in what is kept of a message that safe mode sent elsewhere."""


def kept(
    job: Job,
    content: Rendered,
    live: Mapping[str, Json],
    version: str,
    links: list[str],
    *,
    is_redirected: bool = False,
) -> dict[str, Json]:
    """Return what is kept of what was said, and to whom; secrets such as a reset link are blanked."""
    secrets = [*links, *secrets_of(job)]
    safe = replace(
        content,
        subject=_blank(content.subject, secrets),
        text=_blank(content.text, secrets),
        html=_blank(content.html, secrets) if content.html is not None else None,
    )
    return {
        "subject": safe.subject,
        "text": safe.text,
        "html": safe.html,
        "live": dict(live),
        "template": version,
        **({REDIRECTED: True} if is_redirected else {}),
    }


def _at(event: Event, path: str) -> Iterator[str]:
    """Yield what stands at a secret path, in the event's data and in that of the alerts it tells of."""
    told = [one for part in ("firing", "resolved") for one in (event.alert or {}).get(part, ())]
    for data in (event.data, *(one["data"] for one in told)):
        value = look_up(data, path)
        if isinstance(value, str) and value:
            yield value


def _blank(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        # As it is, in markup, and in the address of a link.
        for form in {secret, html.escape(secret), quote(secret), quote(secret, safe=""), quote_plus(secret)}:
            text = text.replace(form, "[secret]")
    return text


def secrets_of(job: Job) -> list[str]:
    """Return the texts of the event that nobody may read in what is kept, or through a link that is counted."""
    return [value for path in job.entry.secret for value in _at(job.event, path)]
