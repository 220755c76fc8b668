"""A notifier on real servers whose clock is in the test's hand, with people who set something for themselves."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from notifier.catalog import Catalog
from notifier.clock import VirtualClock
from notifier.crypto import blind_index
from notifier.decisions import Contact
from notifier.events import Urgency
from notifier.pipeline.incoming import Arrival
from notifier.recipients.wishes_form import read_wishes
from notifier.store.contacts import save_contact
from tests.services import ROOT, Flow, MakeFlow

ANN, PHONE = "ann@example.org", "+4930123456"
ZONE = ZoneInfo("Asia/Kolkata")
"""Where clocks never change: the test says how the night goes, whatever day it runs on."""
NIGHTS = {"quiet": [{"from": "22:00", "until": "07:00"}]}

RULES = """
rules:
  - notify: news
    on: news.made
    recipients: [{data: to}]
    channels: [email]
    template: server/down
  - notify: loud
    on: news.urgent
    recipients: [{data: to}]
    channels: [email]
    template: server/down
    urgency: urgent
  - notify: insistent
    on: news.insistent
    recipients: [{data: to}]
    channels: [email]
    template: server/down
    ignore_quiet: true
  - notify: texts
    on: text.made
    recipients: [{data: to}]
    channels: [sms]
    template: server/down
  - notify: both
    on: both.made
    recipients: [{data: to, phone: phone}]
    channels: [email, sms]
    template: server/down
  - notify: letters
    on: letter.made
    recipients: [{data: to}]
    channels: [email]
    template: server/down
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    labels: {host: data.host}
    key: [host]
    severity: data.severity
    first_after: 0s
    batch_every: 1m
    recipients: [{list: operators}]
    channels: [email]
"""
TYPE = """
  - type: {type}
    title: {title}
    category: {category}
    class: operational
    audience: ["*"]
    schema: {{type: object}}
    sample_subject: x
    sample: {{}}
    {more}
"""
TYPES = (
    ("news.made", "News", "news", ""),
    ("news.urgent", "Loud news", "news", ""),
    ("news.insistent", "Insistent news", "news", ""),
    ("text.made", "Text", "texts", ""),
    ("both.made", "Both", "both", ""),
    ("letter.made", "Letter", "letters", "preference: opt_in"),
    ("server.down", "Server down", "it", ""),
    ("server.recovered", "Server recovered", "it", ""),
)


@cache
def server_down() -> Mapping[str, Any]:
    """Return what the template in use needs."""
    found = Catalog.load(ROOT / "config" / "events")
    return {**found["server.down"].sample, **found["server.recovered"].sample}


def evening() -> datetime:
    """Return the next moment at which it is 21:00 there: the database's own clock never passes it."""
    today = datetime.now(ZONE).replace(hour=21, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1)).astimezone(UTC)


class Stage:
    """A notifier whose clock is in the test's hand."""

    def __init__(self, make_flow: MakeFlow, folder: Path, **settings: Any) -> None:
        (folder / "rules").mkdir()
        (folder / "rules" / "rules.yaml").write_text(RULES)
        (folder / "events").mkdir()
        entries = "".join(
            TYPE.format(type=type_, title=title, category=category, more=more)
            for type_, title, category, more in TYPES
        )
        (folder / "events" / "types.yaml").write_text(f"events:{entries}")
        shipped = (ROOT / "config" / "events" / "notifier.yaml").read_text()
        (folder / "events" / "notifier.yaml").write_text(shipped)
        self.clock = VirtualClock(evening())
        lists = {"operators": [ANN]}
        self.flow: Flow = make_flow(clock=self.clock, config_dir=folder, lists=lists, **settings)

    def set(self, wishes: Mapping[str, Any], *, email: str = ANN, zone: str = ZONE.key) -> None:
        """Let a person set something."""
        services = self.flow.services
        key = ("default", blind_index(services.keyring.index_key, "default", email))
        person = services.persons.get([key])[key]
        read_wishes(wishes)
        contact = Contact(reference=email, email=email, zone=zone, wishes=wishes)
        with services.database.connection() as connection:
            save_contact(connection, services.keyring, "default", contact, person)

    def feed(self, type_: str, *subjects: str, to: str = ANN, **data: Any) -> None:
        """Let something happen that is told to somebody, now."""
        for subject in subjects:
            self.together({"type": type_, "subject": subject, "data": {"to": to, **data}})

    def together(self, *events: Mapping[str, Any]) -> None:
        """Let several things happen in one batch."""
        now = self.clock.now()
        arrivals = []
        for event in events:
            data = {**server_down(), "host": event["subject"], **event["data"]}
            payload = self.flow.payload({**event, "data": data, "time": now.isoformat()})
            arrivals.append(Arrival(payload=payload, lane=Urgency.NORMAL, at=now))
        self.flow.services.ingest.arrivals(arrivals)

    def wait(self, **span: float) -> list[str]:
        """Let time pass, then sweep and send; return the new mails' subjects."""
        before = len(self.flow.smtp.received)
        self.clock.advance(timedelta(**span))
        self.flow.services.sweep.run()
        self.flow.deliver()
        return [
            str(message_from_bytes(one.data, policy=policy.default)["Subject"])
            for one in self.flow.smtp.received[before:]
        ]

    def texts(self) -> list[str]:
        """Return what went out by SMS."""
        return [one["Body"] for one in self.flow.sms.received]

    def standing(self) -> list[tuple[str, str, str | None]]:
        """Return subject, state and reason of every notification, oldest first."""
        return [
            (row[0], row[1], row[2])
            for row in self.flow.query("SELECT subject, state, state_reason FROM notification ORDER BY id")
        ]

    def held(self) -> int:
        """Return how many messages wait."""
        count: int = self.flow.query("SELECT count(*) FROM held")[0][0]
        return count

    def states(self) -> list[str]:
        """Return the states of all notifications, oldest first."""
        return [state for _, state, _ in self.standing()]

    def last_text(self) -> str:
        """Return what the last mail said."""
        mail = message_from_bytes(self.flow.smtp.received[-1].data, policy=policy.default)
        body = mail.get_body(("plain",))
        return str(body.get_content()) if body is not None else ""
