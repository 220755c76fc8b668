"""The engine turns an event into actions and keeps a verdict with its reason for every rule of the type."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.catalog.types import EventType
from notifier.decisions import Contact, Decision, Facts, Verdict
from notifier.events import Event, Json, Recipient, Urgency
from notifier.messages import ChannelName, MessageClass
from notifier.rules.engine import route
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ANN: dict[str, Json] = {"email": "ann@example.com", "phone": "+491701234567", "name": "Ann"}
TYPES = ("order.shipped", "order.delivered", "invoice.payment.due")


def rules_of(folder: Path, text: str) -> RuleSet:
    """Load one file of rules."""
    (folder / "rules.yaml").write_text("rules:\n" + text)
    return read_rules(folder, types=TYPES, lists=("operators", "nobody"))


def entry_of(name: str = "order.shipped", **keys: object) -> EventType:
    """Return a catalogue entry."""
    values = {
        "type": name, "title": "T", "category": "orders", "class": "transactional",
        "schema": {}, "sample": {}, "sample_subject": "O-1", **keys,
    }  # fmt: skip
    return EventType.model_validate(values)


def event_of(data: Mapping[str, Json] | None = None, name: str = "order.shipped", **keys: object) -> Event:
    """Return an event about order O-1."""
    values: dict[str, object] = {"data": {"customer": ANN} if data is None else data, **keys}
    return Event(id="e-1", source="shop", type=name, subject="O-1", time=NOW, **values)  # type: ignore[arg-type]


def decide(
    rules: RuleSet, event: Event | None = None, facts: Facts | None = None, entry: EventType | None = None
) -> Decision:
    """Route an event."""
    event = event or event_of()
    return route(event, entry or entry_of(event.type), facts or Facts(), rules, NOW)


PLAIN = """
  - notify: shipped
    on: order.shipped
    recipients:
      - data: customer
    channels: [email, sms, portal]
"""


def test_a_rule_without_a_condition_fires(tmp_path: Path) -> None:
    """One recipient, the plan in its order, and the defaults of the type."""
    decision = decide(rules_of(tmp_path, PLAIN), entry=entry_of(deadline="2d"))

    (told,) = decision.notifications
    assert told.recipient.email == "ann@example.com"
    assert [step.channel for step in told.channels] == [
        ChannelName.EMAIL,
        ChannelName.SMS,
        ChannelName.PORTAL,
    ]
    assert (told.rule, told.template, told.urgency) == ("shipped", "order/shipped", Urgency.NORMAL)
    assert (told.reason, told.cause, told.deadline) == ("the customer", "event", timedelta(days=2))
    (trace,) = decision.trace
    assert trace.verdict is Verdict.FIRED
    assert trace.reason == "told by email, then sms, then portal: the customer"
    assert len(decision.rules_hash) == 16


def test_the_rule_decides_before_event_and_type(tmp_path: Path) -> None:
    """Urgency, template, reason and deadline of the rule win."""
    text = PLAIN + "    urgency: bulk\n    template: order/gone\n    reason: you ordered\n    deadline: 1h\n"

    (told,) = decide(
        rules_of(tmp_path, text), event_of(urgency=Urgency.URGENT), entry=entry_of(deadline="2d")
    ).notifications

    assert (told.urgency, told.template) == (Urgency.BULK, "order/gone")
    assert (told.reason, told.deadline) == ("you ordered", timedelta(hours=1))


@pytest.mark.parametrize(("own", "expected"), [(None, Urgency.BULK), (Urgency.URGENT, Urgency.URGENT)])
def test_the_event_decides_before_the_type(tmp_path: Path, own: Urgency | None, expected: Urgency) -> None:
    """Without an urgency of the rule, the event's holds, else its type's; conditions see the same."""
    text = PLAIN + f"    when: event.urgency == '{expected}'\n"

    decision = decide(rules_of(tmp_path, text), event_of(urgency=own), entry=entry_of(urgency="bulk"))

    assert [told.urgency for told in decision.notifications] == [expected]


@pytest.mark.parametrize(
    ("data", "verdict", "reason", "facts"),
    [
        ({"customer": ANN, "total": 5}, Verdict.FIRED, "told by email", {"data.total": 5}),
        ({"customer": ANN, "total": 0}, Verdict.CONDITION_FALSE,
         "the condition is not met", {"data.total": 0}),
        ({"customer": ANN}, Verdict.CONDITION_FAILED,
         "the condition cannot be computed: the field 'total' is absent", {}),
        ({"customer": ANN, "total": "x"}, Verdict.CONDITION_FAILED,
         "the condition cannot be computed: a field is null, or of another type", {"data.total": "x"}),
        ({"customer": ANN, "total": 5, "odd": "\ud800"}, Verdict.CONDITION_FAILED,
         "the condition cannot be computed: the event's data holds a value", {"data.total": 5}),
    ],
)  # fmt: skip
def test_the_condition_decides(
    tmp_path: Path, data: dict[str, Json], verdict: Verdict, reason: str, facts: dict[str, Json]
) -> None:
    """True sends; false and not computable do not, and the trace says which with the facts."""
    decision = decide(rules_of(tmp_path, PLAIN + "    when: data.total > 0\n"), event_of(data))

    (trace,) = decision.trace
    assert (trace.verdict, trace.facts) == (verdict, facts)
    assert trace.reason.startswith(reason)
    assert bool(decision.actions) == (verdict is Verdict.FIRED)


def test_conditions_of_many_rules_share_one_conversion(tmp_path: Path) -> None:
    """A second rule with a condition sees the same event."""
    text = PLAIN + "    when: data.total > 0\n" + PLAIN.replace("shipped\n    on", "other\n    on", 1)
    text += "    when: data.total > 100\n"

    decision = decide(rules_of(tmp_path, text), event_of({"customer": ANN, "total": 5}))

    assert [one.verdict for one in decision.trace] == [Verdict.FIRED, Verdict.CONDITION_FALSE]


def test_a_secret_field_is_masked_in_the_facts(tmp_path: Path) -> None:
    """The trace is stored; a reset link must not be."""
    decision = decide(
        rules_of(tmp_path, PLAIN + "    when: data.link != ''\n"),
        event_of({"customer": ANN, "link": "https://example.com/r/abc"}),
        entry=entry_of(secret=["link"]),
    )

    assert decision.trace[0].facts == {"data.link": "(secret)"}


def test_a_disabled_rule_stays_in_the_trace(tmp_path: Path) -> None:
    """Somebody will ask why nothing came."""
    decision = decide(rules_of(tmp_path, PLAIN + "    enabled: false\n"))

    assert decision.actions == ()
    assert decision.trace_json() == [
        {"rule": "shipped", "verdict": "disabled", "reason": "switched off by `enabled: false`", "facts": {}}
    ]


def test_nobody_to_tell_is_a_verdict_with_the_reason(tmp_path: Path) -> None:
    """The path that led nowhere is named."""
    (trace,) = decide(rules_of(tmp_path, PLAIN), event_of({"total": 5})).trace

    assert trace.verdict is Verdict.NO_RECIPIENT
    assert trace.reason == "nobody from there: data.customer is absent"


def test_somebody_without_an_address_for_the_plan_is_not_told(tmp_path: Path) -> None:
    """Email needs an address, SMS a number; the trace says which is lacking."""
    text = PLAIN.replace("[email, sms, portal]", "[email]")

    (trace,) = decide(rules_of(tmp_path, text), event_of({"customer": {"phone": "+4917012345"}})).trace

    assert trace.verdict is Verdict.NO_RECIPIENT
    assert trace.reason == "not reachable: the customer; not by email: no email address is known"


def test_a_channel_without_an_address_is_skipped(tmp_path: Path) -> None:
    """The rest of the plan remains."""
    decision = decide(rules_of(tmp_path, PLAIN), event_of({"customer": {"email": "ann@example.com"}}))

    assert [step.channel.value for step in decision.notifications[0].channels] == ["email", "portal"]
    assert decision.trace[0].reason.endswith("the customer; not by sms: no phone number is known")


def test_one_person_named_twice_is_told_once(tmp_path: Path) -> None:
    """In one rule, by identity, whatever the letter case; the first source gives the reason."""
    text = PLAIN.replace(
        "      - data: customer", "      - data: customer\n      - to\n      - list: operators"
    )
    facts = Facts(
        lists={"operators": (Recipient(email="ANN@example.com"), Recipient(email="op@example.com"))}
    )

    decision = decide(rules_of(tmp_path, text), event_of(to=(Recipient(email="Ann@Example.com"),)), facts)

    told = [(one.recipient.email, one.reason, one.recipient.role) for one in decision.notifications]
    assert told == [
        ("ann@example.com", "the customer", None),
        ("op@example.com", "on the list operators", "operators"),
    ]


def test_a_contact_completes_and_prefers(tmp_path: Path) -> None:
    """Address, name and locale come from the table; the preferred channel comes first."""
    text = PLAIN.replace("data: customer", "contact: customer.id")
    ann = Contact(
        reference="K-1", email="ann@example.com", phone="+491701234567", locale="de",
        channels=(ChannelName.SMS,),
    )  # fmt: skip
    event = event_of({"customer": {"id": "K-1"}})
    rules = rules_of(tmp_path, text)

    assert rules.contact_references(event) == ("K-1",)
    decision = decide(rules, event, Facts(contacts={"K-1": ann}))

    (told,) = decision.notifications
    assert (told.recipient.email, told.recipient.locale, told.recipient.contact) == (
        "ann@example.com",
        "de",
        "K-1",
    )
    assert [step.channel.value for step in told.channels] == ["sms", "email", "portal"]
    assert decision.trace[0].reason.endswith("the customer; prefers sms")


def test_an_opt_out_from_the_category_is_left_to_the_gate(tmp_path: Path) -> None:
    """The notification is made, so that the refusal is on record."""
    text = PLAIN.replace("data: customer", "contact: customer.id")
    ann = Contact(reference="K-1", email="ann@example.com", opt_outs=frozenset({"orders"}))

    decision = decide(
        rules_of(tmp_path, text),
        event_of({"customer": {"id": "K-1"}}),
        Facts(contacts={"K-1": ann}),
        entry_of(**{"class": MessageClass.SUBSCRIPTION}),
    )

    assert len(decision.notifications) == 1
    assert decision.trace[0].reason.endswith("; opted out of orders")


def test_globs_and_lists_of_types_match(tmp_path: Path) -> None:
    """A star spans dots; a list names several types; order is that of the file."""
    rules = rules_of(
        tmp_path,
        """
  - {notify: all, on: "*", recipients: [to]}
  - {notify: orders, on: order.*, recipients: [to]}
  - {notify: two, on: [order.shipped, invoice.payment.due], recipients: [to]}
""",
    )

    def names(event_type: str) -> list[str]:
        return [rule.name for rule in rules.rules_for(event_type)]

    assert names("order.shipped") == ["all", "orders", "two"]
    assert names("order.delivered") == ["all", "orders"]
    assert names("invoice.payment.due") == ["all", "two"]
    # A type the catalogue learned after this process started.
    assert names("order.lost") == ["all", "orders"]


def test_a_thousand_rules_cost_an_event_only_its_own(tmp_path: Path) -> None:
    """The trace names the rules of the type, and no other was looked at."""
    others = "".join(
        f"  - {{notify: r{index}, on: order.delivered, recipients: [to]}}\n" for index in range(1000)
    )
    rules = rules_of(tmp_path, others + PLAIN)

    assert len(rules) == 1001
    assert [one.rule for one in decide(rules).trace] == ["shipped"]


@pytest.mark.parametrize(
    ("name", "template"), [("order.shipped", "order/shipped"), ("invoice.payment.due", "invoice/payment_due")]
)
def test_the_default_template_is_named_after_the_type(tmp_path: Path, name: str, template: str) -> None:
    """First part the domain, the rest the event."""
    rules = rules_of(tmp_path, PLAIN.replace("on: order.shipped", 'on: "*"'))

    assert [told.template for told in decide(rules, event_of(name=name)).notifications] == [template]


def test_contacts_are_asked_for_wherever_they_are_named(tmp_path: Path) -> None:
    """In `to`, in objects of the data, by reference and in lists; each once, and not for disabled rules."""
    rules = rules_of(
        tmp_path,
        """
  - notify: one
    on: order.shipped
    recipients: [to, data: customer, data: watchers, contact: agent, contact: gone, list: operators]
  - {notify: idle, on: order.shipped, enabled: false, recipients: [contact: other]}
""",
    )
    event = event_of(
        {
            "customer": {"contact": "K-2"},
            "watchers": [{"contact": "K-1"}, "x@example.com"],
            "agent": 7,
            "other": "K-9",
        },
        to=(Recipient(contact="K-1"), Recipient(email="a@example.com")),
    )
    lists = {"operators": (Recipient(contact="K-5"), Recipient(email="op@example.com"))}

    assert rules.contact_references(event) == ("K-1", "K-2", "7")
    assert rules.contact_references(event, lists) == ("K-1", "K-2", "7", "K-5")


def test_a_decision_says_why_and_why_not(tmp_path: Path) -> None:
    """Each rule with the facts it looked at; no address."""
    text = (
        PLAIN + "    when: data.total > 0\n" + "  - {notify: ops, on: order.*, recipients: [list: nobody]}\n"
    )

    trace = decide(rules_of(tmp_path, text), event_of({"customer": ANN, "total": 5})).trace

    assert [(one.rule, one.reason, dict(one.facts)) for one in trace] == [
        ("shipped", "told by email, then sms, then portal: the customer", {"data.total": 5}),
        ("ops", "nobody from there: the list nobody is empty", {}),
    ]
