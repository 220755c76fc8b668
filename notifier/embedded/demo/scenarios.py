"""What the demo sends, and what must come of it.

Values: the catalogue's samples with addresses whose words tell the catcher what to do, and numbers whose
last digits tell the gateway.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.catalog import Catalog
from notifier.client import EventSpec, event
from notifier.events import Json

SOURCE = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The outcome; ``says`` must stand in the reasons, ``replies`` among the servers' codes."""

    told: tuple[str, ...] = ()
    """``channel status`` of each message, in their order."""
    tries: int = 0
    state: str = "settled"
    says: str = ""
    replies: tuple[str, ...] = ()
    mails: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Events, one after the other, each once the one before is settled; the last one's outcome counts.

    What is told by an alert, and not by the event itself, is found by the alert's subject.
    """

    title: str
    to: str
    events: tuple[EventSpec, ...]
    expected: Expected
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """All scenarios of one run; ``run`` makes its ids and addresses new."""

    catalog: Catalog
    run: str

    def scenarios(self) -> tuple[Scenario, ...]:
        """Return them in the order of the table."""
        return (
            self._plain(), self._urgent(), self._greylisted(), self._to_sms(), self._to_portal(),
            self._bounced(), self._duplicate(), self._late(), self._refused(), self._on_call(),
        )  # fmt: skip

    def batch(self, size: int) -> list[EventSpec]:
        """Return many events, each to an address of its own."""
        return [
            self._customer(
                "invoice.issued", email=self._address(f"customer-{number}"), id_=f"{self.run}-batch-{number}"
            )
            | {"urgency": "bulk", "subject": f"INV-{self.run}-{number}"}
            for number in range(size)
        ]

    @property
    def domain(self) -> str:
        """The domain of this run's addresses."""
        return f"{self.run}.example"

    def _plain(self) -> Scenario:
        to = self._address("ada")
        return self._one(
            "order shipped", to, self._customer("order.shipped", email=to),
            Expected(told=("email sent",), tries=1, mails={to: 1}),
        )  # fmt: skip

    def _urgent(self) -> Scenario:
        to = self._address("grace")
        return self._one(
            "password reset, urgent", to, self._account("account.password_reset", email=to),
            Expected(told=("email sent",), tries=1, mails={to: 1}),
        )  # fmt: skip

    def _greylisted(self) -> Scenario:
        to = self._address("greylist")
        return self._one(
            "greylisted first", to, self._customer("order.delivered", email=to),
            Expected(told=("email sent",), tries=2, replies=("450 4.7.1", "250"), mails={to: 1}),
        )  # fmt: skip

    def _to_sms(self) -> Scenario:
        to, phone = self._address("unknown"), _number("1234")
        return self._one(
            "mailbox unknown: SMS", f"{to}, {phone}", self._customer("order.shipped", email=to, phone=phone),
            Expected(
                told=("email failed", "sms sent"), tries=2, replies=("550 5.1.1",), mails={to: 0},
                texts={phone: 1},
            ),
        )  # fmt: skip

    def _to_portal(self) -> Scenario:
        to, phone = self._address("unknown.too"), _number("0614")
        return self._one(
            "no mailbox, no mobile: portal", f"{to}, {phone}",
            self._customer("returns.requested", email=to, phone=phone),
            Expected(
                told=("email failed", "sms failed", "portal sent"), tries=3, replies=("550 5.1.1", "400"),
                mails={to: 0}, texts={phone: 0},
            ),
        )  # fmt: skip

    def _bounced(self) -> Scenario:
        to = self._address("unknown.bounce")
        return self._one(
            "hard bounce, nothing else left", to, self._account("account.verification", email=to),
            Expected(told=("email failed",), tries=1, replies=("550 5.1.1",), mails={to: 0}),
        )  # fmt: skip

    def _duplicate(self) -> Scenario:
        to = self._address("twice")
        spec = self._customer("appointment.booked", email=to, id_=f"{self.run}-twice")
        return Scenario(
            title="the same event twice", to=to, events=(spec, spec),
            expected=Expected(told=("email sent",), tries=1, mails={to: 1}),
        )  # fmt: skip

    def _late(self) -> Scenario:
        to = self._address("late")
        stages = ("returns.requested", "returns.refunded", "returns.approved")
        return Scenario(
            title="approved, after refunded", to=to,
            events=tuple(
                self._customer(stage, email=to) | {"subject": f"R-{self.run}"} for stage in stages
            ),
            expected=Expected(says="not sent", mails={to: 2}),
        )  # fmt: skip

    def _refused(self) -> Scenario:
        to = self._address("refused")
        spec = self._customer("order.shipped", email=to)
        return self._one(
            "invalid event", to, spec | {"data": {**spec["data"], "items": []}},
            Expected(state="refused", says="items", mails={to: 0}),
        )  # fmt: skip

    def _on_call(self) -> Scenario:
        # A place of its own: the servers of one rack are told together, and that of the last run is still down.
        host, where = f"db-{self.run}", {"host": f"db-{self.run}", "location": f"rack {self.run}"}
        spec = event("server.down", subject=host, data={**self.catalog["server.down"].sample, **where})
        return Scenario(
            title="server down", to="operators, on call", events=(spec,), alert=host,
            expected=Expected(told=("email sent", "sms sent"), tries=2, says="it begins"),
        )  # fmt: skip

    def _one(self, title: str, to: str, spec: EventSpec, expected: Expected) -> Scenario:
        return Scenario(title=title, to=to, events=(spec,), expected=expected)

    def _address(self, word: str) -> str:
        return f"{word}@{self.domain}"

    def _customer(
        self, type_: str, *, email: str, phone: str | None = None, id_: str | None = None
    ) -> EventSpec:
        return self._sample(type_, {"email": email, "phone": phone}, who="customer", id_=id_)

    def _account(self, type_: str, *, email: str) -> EventSpec:
        return self._sample(type_, {"email": email, "phone": None}, who="account", id_=None)

    def _sample(self, type_: str, reach: Mapping[str, str | None], *, who: str, id_: str | None) -> EventSpec:
        entry = self.catalog[type_]
        person: dict[str, Json] = {**entry.sample[who], **reach}
        known = {name: value for name, value in person.items() if value is not None}
        return event(
            type_, subject=f"{entry.sample_subject}-{self.run}", data={**entry.sample, who: known}, id=id_
        )


def _number(ending: str) -> str:
    return f"+49170{random.randrange(100, 1000)}{ending}"  # noqa: S311 - no secret
