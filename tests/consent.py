"""A notifier that writes to people who may refuse it: news, a password reset of the same category, and more."""

import re
import shutil
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

from notifier.clock import Clock
from notifier.crypto import blind_index
from notifier.decisions import Contact
from notifier.rendering.templates import Templates
from notifier.store.contacts import save_contact
from tests.services import ROOT, Flow, MakeFlow

PUBLIC = "https://notifier.example.com/n"
ANN = "ann@example.org"
LINK = re.compile(rf"{PUBLIC}(/[up]/[A-Za-z0-9_-]+)")

TYPES = """
events:
  - {type: news.made, title: News, category: news, class: subscription, schema: {type: object}, sample: {},
     sample_subject: x, secret: [reset_url, code]}
  - {type: offer.made, title: Offer, category: offers, class: marketing, schema: {type: object}, sample: {},
     sample_subject: x}
  - {type: club.made, title: Club, category: club, class: marketing, preference: opt_in, schema: {type: object},
     sample: {}, sample_subject: x}
  - {type: password.reset, title: Reset, category: news, class: transactional, schema: {type: object}, sample: {},
     sample_subject: x, secret: [reset_url]}
  - {type: order.made, title: Order, category: orders, class: transactional, schema: {type: object}, sample: {},
     sample_subject: x}
  - {type: law.changed, title: Law, category: law, class: subscription, preference: cant_unsubscribe,
     schema: {type: object}, sample: {}, sample_subject: x}
  - {type: disk.full, title: Disk, category: it, class: operational, schema: {type: object}, sample: {},
     sample_subject: x}
  - {type: fire.seen, title: Fire, category: it, class: operational, urgency: urgent, schema: {type: object},
     sample: {}, sample_subject: x}
"""
NAMES = (
    "news.made", "offer.made", "club.made", "password.reset", "order.made", "law.changed", "disk.full", "fire.seen",
)  # fmt: skip
_BODY = """{% extends "_layouts/base.html.j2" %}
{% block heading %}Hello{% endblock %}
{% block content %}<p>See <a href="https://shop.example/a?b=1&amp;c=2">this</a>{% if data.reset_url is defined %}
or <a href="{{ data.reset_url | url }}">reset</a>{% endif %}{% if data.code is defined %}
or <a href="https://shop.example/in?code={{ data.code | urlencode }}">in</a>{% endif %}
or <a href="mailto:x@example.org">write</a>.</p>
{% endblock %}
"""
_TEXT = """{% extends "_layouts/base.txt.j2" %}
{% block heading %}Hello{% endblock %}
{% block content %}See this: https://shop.example/a?b=1&c=2{% if data.reset_url is defined %} or
{{ data.reset_url }}{% endif %}{% endblock %}
"""


class Stage:
    """A notifier with these types, run by hand."""

    def __init__(
        self, make_flow: MakeFlow, folder: Path, *, clock: Clock | None = None, **settings: Any
    ) -> None:
        write_config(folder)
        self.flow: Flow = make_flow(
            clock=clock,
            **{"config_dir": folder, "templates_dir": folder / "templates", "public_url": PUBLIC, **settings},
        )
        vars(self.flow.services)["templates"] = _templates(folder / "templates")

    def tell(self, type_: str, *, to: str = ANN, locale: str = "en", **data: Any) -> EmailMessage | None:
        """Let something happen that is told to somebody; return the mail, None where none went out."""
        before = len(self.flow.smtp.received)
        event = {"type": type_, "subject": "S-1", "data": {"to": to, "locale": locale, **data}}
        self.flow.ingest(event)
        self.flow.deliver()
        new = self.flow.smtp.received[before:]
        return message_from_bytes(new[0].data, policy=policy.default) if new else None  # type: ignore[return-value]

    def know(self, *, email: str = ANN, reference: str = "C-1", **fields: Any) -> None:
        """Put somebody into the address book."""
        services = self.flow.services
        key = ("default", self.index(email))
        person = services.persons.get([key])[key]
        contact = Contact(reference=reference, email=email, **fields)
        with services.database.connection() as connection:
            save_contact(connection, services.keyring, "default", contact, person)

    def index(self, email: str = ANN) -> bytes:
        """Return an address's keyed hash."""
        return blind_index(self.flow.services.keyring.index_key, "default", email)

    def suppressed(self) -> set[tuple[str, str]]:
        """Return (scope, reason) of all that is suppressed."""
        return set(self.flow.query("SELECT scope, reason FROM suppression"))  # type: ignore[arg-type]


@cache
def _loaded() -> list[Templates]:
    return []


def _templates(folder: Path) -> Templates:
    """Load them once: they are the same for every test."""
    if not _loaded():
        _loaded().append(Templates.load(folder))
    return _loaded()[0]


def write_config(folder: Path) -> None:
    """Write types, rules and templates."""
    (folder / "rules").mkdir()
    (folder / "events").mkdir()
    (folder / "events" / "types.yaml").write_text(TYPES)
    rules = "".join(
        f"  - {{notify: {name.replace('.', '-')}, on: {name}, channels: [email], template: some/thing,\n"
        "     recipients: [{data: to, locale: locale}]}\n"
        for name in NAMES
    )
    (folder / "rules" / "rules.yaml").write_text(f"rules:\n{rules}")
    templates = folder / "templates"
    (templates / "some" / "thing").mkdir(parents=True)
    shutil.copytree(ROOT / "templates" / "_layouts", templates / "_layouts")
    for name, text in (("body.html.j2", _BODY), ("body.txt.j2", _TEXT), ("subject.txt.j2", "Hello")):
        (templates / "some" / "thing" / name).write_text(text)


def path_of(mail: EmailMessage | None, page: str = "u") -> str:
    """Return the path of a mail's link to a page."""
    assert mail is not None
    body = mail.get_body(("plain",))
    assert body is not None
    paths: list[str] = LINK.findall(body.get_content())
    return next(path for path in paths if path.startswith(f"/{page}/"))


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
