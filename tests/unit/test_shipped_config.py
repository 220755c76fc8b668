"""The shipped catalogue, rules and templates: whole, consistent, and rendered in every language."""

import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from notifier.catalog.types import Catalog, EventType
from notifier.documents import load
from notifier.events import Json
from notifier.messages import ChannelName
from notifier.recipients.sources import DataSource, ListSource
from notifier.rendering.templates import Templates
from notifier.rules.load import read_rules
from notifier.rules.ruleset import ReminderRule, Rule, RuleSet, StageRule

ROOT = Path(__file__).parents[2]
LISTS = tuple(load(ROOT / "config" / "notifier.yaml").value["lists"])
BRAND = {
    "name": "Northwind",
    "color": "#14532d",
    "url": "https://shop.example.com",
    "support_email": "help@shop.example.com",
}

MILESTONES = (
    "requested", "approved", "rejected", "label_sent", "shipped", "received", "inspected", "refunded",
    "exchanged", "closed",
)  # fmt: skip

HISTORY = [
    {"stage": stage, "time": f"2026-11-{10 + day}T09:00:00+00:00", "late": False}
    for day, stage in enumerate(MILESTONES)
]

LIVE = {
    "failures": [
        {"type": "order.shipped", "channel": "email", "status": "failed", "reason": "550 5.1.1", "count": 12},
        {"type": "returns.approved", "channel": "sms", "status": "expired", "reason": "", "count": 1},
    ],
    "totals": {"told": 2210, "arrived": 2197, "lost": 9, "unknown": 1, "withheld": 3},
    "dead_letters": {"refused": 2, "poison": 0},
}

DIGEST_ENTRY = {"at": "2026-11-22T04:14:00Z", "subject": "s" * 200, "headline": "h" * 400}

# Data that takes a branch of a template the sample does not take, by type.
VARIANTS: Mapping[str, tuple[Mapping[str, Json], ...]] = {
    "returns.requested": ({"resolution": "exchange"}, {"resolution": "voucher"}),
    "returns.approved": ({"note": "Please put the socks in as well."}, {"resolution": "exchange"}),
    "returns.label_sent": (
        {"is_paperless": False},
        {"refund": {"amount": 5, "currency": "EUR", "method": "voucher"}},
    ),
    "returns.inspected": (
        {"result": "failed", "findings": "Worn outdoors.", "sent_back_on": "2026-12-01"},
        {
            "result": "partial",
            "findings": "One sock is missing.",
            "accepted_items": [{"name": "Shoes", "quantity": 1}],
        },
        {"resolution": "exchange"},
        {"resolution": "voucher"},
    ),
    "returns.refunded": (
        {"refund": {"amount": 25, "currency": "EUR", "method": "voucher", "voucher_code": "NW-7QK2"}},
        {"refund": {"amount": 25, "currency": "EUR", "method": "voucher"}},
        {"refund": {"amount": 25, "currency": "EUR", "method": "paypal"}},
        {"refund": {"amount": 25, "currency": "EUR", "method": "bank_transfer"}},
    ),
    "returns.closed": tuple(
        {"outcome": outcome} for outcome in ("exchanged", "rejected", "withdrawn", "expired")
    ),
    "returns.stuck": tuple({"stage": stage} for stage in (*MILESTONES, "of_our_own")),
    "order.shipped": ({"is_last_parcel": False},),
    "order.placed": ({"discount": 10, "shipping": 4.9},),
    "order.out_for_delivery": ({"is_last_parcel": False},),
    "package.arrived": ({"missing": 1},),
    "notifier.digest": (
        {"more": 3},
        {"kinds": 3},
        {"kinds": 1, "groups": [{"title": "T" * 200, "count": 4, "entries": [DIGEST_ENTRY]}]},
    ),
    "invoice.issued": ({"total": -12.5}, {"is_autopaid": True}),
    "invoice.changed": ({"total": -12.5}, {"is_autopaid": True}),
    "invoice.due": ({"offset_days": -1}, {"offset_days": 0}, {"offset_days": 7}),
    "invoice.paid": ({"remaining": 97.5},),
    "billing.updated": ({"changes": [{"what": "Payment method"}]},),
    "subscription.ending": ({"is_renewed": False},),
    "subscription.cancelled": (
        {"is_by_us": True, "reason": "We no longer offer it.", "refund": 80, "currency": "EUR"},
    ),
    "appointment.changed": ({"previous_place": "Hall 2"},),
    "appointment.cancelled": ({"is_by_customer": True},),
    "inventory.low": ({"left": -3}, {"arrives_on": "2026-12-01", "arriving": 60, "unit": "kg"}),
    "policy.changed": ({"owner": {"name": "Paula Reuter"}},),
    "employee.registered": ({"prepare": ["Order the badge"]},),
    "meeting.scheduled": ({"is_moved": True, "place": "Room 4"},),
    "ticket.changed": ({"status": "new"}, {"status": "resolved"}, {"status": "closed"}),
    "login.repeated_failures": ({"is_locked": False, "is_admin": False},),
    "account.password_reset": ({"expires_minutes": 1},),
    "account.balance_low": ({"balance": -12.4}, {"tops_up_on": "2026-11-30"}),
    "backup.failed": ({"failures_in_a_row": 3}, {"failures_in_a_row": 7}),
    "network.disrupted": (
        {"problem": "latency", "latency_ms": 840, "usual_latency_ms": 22, "is_redundant": True},
        *({"problem": one} for one in ("unreachable", "link_down", "routes_lost")),
    ),
    "performance.degraded": (
        {"direction": "dip", "metric": "orders per minute", "value": 3, "unit": "a minute"},
    ),
    "database.failed": ({"is_read_only": True}, {"failed_over_to": "db-03"}),
    "database.inconsistent": ({"rows": 1},),
    "database.recovered": ({"problem": "inconsistent", "lost": "Three payments must be entered again."},),
    "patch.available": ({"is_exploited": False, "hosts": 1, "needs_restart": True}, {"severity": "info"}),
    "login.failed": tuple(
        {"reason": reason} for reason in ("wrong_password", "unknown_account", "locked", "not_allowed")
    ),
    "security.threat_detected": ({"action": "blocked", "hits": 1}, {"action": "quarantined"}),
    "backup.succeeded": ({"failures_before": 0}, {"failures_before": 1, "duration_minutes": 125}),
    "ticket.created": ({"assignee": "Tom Richter"},),
    "hvac.alarm": tuple(
        {"problem": one} for one in ("too_cold", "too_humid", "too_dry", "bad_air", "pressure", "fault")
    ),
    "room.unavailable": ({"is_moved": True}, {"is_moved": True, "bookings": 1}),
    "machine.alarm": ({"is_safety": True, "is_stopped": False},),
    "machine.cleared": ({"is_running": False},),
    "machine.maintenance_due": ({"is_overdue": True},),
    "inspection.due": ({"is_overdue": True, "appointment_at": "2026-12-09T08:00:00Z"},),
}

# What only feeds a rule that watches it: nobody is told of one reading.
OUTCOMES = {
    f"email.{what}"
    for what in (
        "delivered", "deferred", "bounced", "complained", "opened", "clicked", "replied", "unsubscribed",
    )
}  # fmt: skip
"""What became of mails: made where a rule of the user's own asks for them."""
READINGS = {"account.balance", "inventory.level"}

# What no rule is for: the engine makes these events itself, and tells them with these templates.
SENT_BY_THE_ENGINE = {"notifier.digest": "notifier/digest"}

# 3GPP TS 23.038 §6.2.1: the characters one SMS of 160 may hold, and those that count twice.
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_TWICE = set("^{}\\[~]|€")

catalog = Catalog.load(ROOT / "config" / "events")
TYPES = {entry.type: entry for entry in catalog}


@cache
def templates() -> Templates:
    """Load the shipped templates once for all tests."""
    return Templates.load(ROOT / "templates", defaults={"brand": BRAND})


@cache
def rules() -> RuleSet:
    """Load the shipped rules once for all tests, against catalogue, templates and the shipped lists."""
    return read_rules(
        ROOT / "config" / "rules",
        types=tuple(TYPES),
        templates=lambda name: name in templates().names(),
        lists=LISTS,
    )


def used() -> Iterator[tuple[EventType, Rule, str]]:
    """Yield every type with each rule that tells of it and the template that rule takes."""
    for entry in TYPES.values():
        for rule in rules().rules_for(entry.type):
            if isinstance(rule, ReminderRule):  # the rule for the event it makes tells
                continue
            yield entry, rule, rule.telling.template_for(entry.type)


def template_types() -> dict[str, EventType]:
    """Return each template in use with the type it is for."""
    ours = {name: TYPES[type_] for type_, name in SENT_BY_THE_ENGINE.items()}
    return {name: entry for entry, _, name in used()} | ours


def context(entry: EventType, data: Mapping[str, Json], locale: str) -> dict[str, Any]:
    """Return what the pipeline hands to a template for an event of this type."""
    is_journey = any(isinstance(rule, StageRule) for rule in rules().rules_for(entry.type))
    return {
        "event": {
            "id": "e-1",
            "type": entry.type,
            "subject": entry.sample_subject,
            "time": "2026-11-22T07:00:00+00:00",
        },
        "data": dict(data),
        "recipient": {"name": None, "locale": locale, "zone": "Europe/Berlin"},
        "live": LIVE if entry.lookup else {},
        "journey": {"stage": entry.type.partition(".")[2], "history": HISTORY} if is_journey else None,
        "why": "you asked us to",
        "links": {},
        "message": {"id": "m-1", "reason": "the customer"},
    }


def required_only(schema: Mapping[str, Json], value: Json) -> Json:
    """Return the value without anything the schema does not require."""
    if isinstance(value, list):
        return [required_only(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    names = set(schema.get("required", value))
    return {
        name: required_only(schema.get("properties", {}).get(name, {}), item)
        for name, item in value.items()
        if name in names
    }


def renderings(name: str, entry: EventType) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Yield (locale, data): the sample, only what is required, and the variants, in each language."""
    sample = dict(entry.sample)
    everything = [sample, required_only(entry.data_schema, sample)]
    everything += [{**sample, **change} for change in VARIANTS.get(entry.type, ())]
    for locale in templates().locales(name):
        for data in everything:
            catalog.check(entry.type, data)
            yield locale, data


@pytest.mark.parametrize("name", sorted(template_types()))
def test_every_template_renders_whatever_its_schema_allows(name: str) -> None:
    """Each channel, language, variant: no optional field is taken for granted, no markup shows as text."""
    entry = template_types()[name]

    for locale, data in renderings(name, entry):
        values = context(entry, data, locale)
        mail = templates().render(name, ChannelName.EMAIL, locale, values)
        assert mail.subject
        assert mail.html
        for text in (mail.subject, mail.text):
            assert not re.search(r"</?\w+>|&\w+;|None|Undefined|[ ]{3,}\w+ [.,]", text), text
        assert "None" not in mail.html
        assert f'lang="{locale}"' in mail.html
        for channel in (ChannelName.SMS, ChannelName.PORTAL):
            assert templates().render(name, channel, locale, values).text.strip()


@pytest.mark.parametrize("name", sorted(template_types()))
def test_every_sms_fits_one_message(name: str) -> None:
    """160 characters of the GSM alphabet: a second part costs again, another alphabet halves the room."""
    entry = template_types()[name]

    for locale, data in renderings(name, entry):
        text = templates().render(name, ChannelName.SMS, locale, context(entry, data, locale)).text.strip()

        assert set(text) <= GSM | GSM_TWICE
        assert len(text) + sum(char in GSM_TWICE for char in text) <= 160, text


def test_css_is_inlined_at_load_without_exception() -> None:
    """No shipped template falls back to inlining per message, and none has a file nobody uses."""
    assert templates().notices == ()
    assert templates().sources.unknown == []


def test_every_type_has_a_rule_and_every_rule_its_templates() -> None:
    """A type nobody is told of, or a channel without words, would be a silent hole."""
    told = {entry.type for entry, _, _ in used()} | set(SENT_BY_THE_ENGINE)

    assert told | READINGS | OUTCOMES == set(TYPES)
    for _, rule, name in used():
        for step in rule.telling.steps:
            assert templates().has(name, step.channel), (rule.name, name, step.channel)
        assert rule.telling.reason


def test_every_template_belongs_to_a_rule() -> None:
    """No shipped template is an orphan; several alerts at once are told in one of no type."""
    assert set(templates().names()) - {"notifier/alerts"} == set(template_types())


def test_every_milestone_of_a_return_is_a_stage_in_this_order() -> None:
    """S1, S3: each milestone is told, and a later one keeps the earlier ones back."""
    ranks = {milestone: stage(milestone).rank for milestone in MILESTONES}

    assert [*ranks] == sorted(ranks, key=lambda one: ranks[one])
    assert ranks["approved"] == ranks["rejected"]
    assert ranks["refunded"] == ranks["exchanged"]
    assert stage("closed").is_terminal
    for milestone in MILESTONES:
        assert stage(milestone).patterns == (f"returns.{milestone}",)
        assert [step.channel.value for step in stage(milestone).telling.steps] == ["email", "sms", "portal"]


def test_the_returns_set_speaks_english_and_german() -> None:
    """Every file of the returns templates exists in both languages."""
    for name in templates().names():
        if name.startswith("returns/"):
            files = {(part, locale) for part, locale in templates().sources.files(name)}
            assert len(files) == 10, name


def test_a_stuck_return_reaches_customer_and_staff() -> None:
    """S4: every stage that waits for somebody has a timer, and its event is told to both sides."""
    waiting = {one for one in MILESTONES if stage(one).stuck is not None}
    people = [rule.telling.sources[0] for rule in rules().rules_for("returns.stuck")]

    assert waiting == {"requested", "approved", "label_sent", "shipped", "received", "inspected"}
    assert {timer.event_type for one in waiting if (timer := stage(one).stuck)} == {"returns.stuck"}
    assert any(isinstance(one, DataSource) and one.data == "last.customer.email" for one in people)
    assert any(isinstance(one, ListSource) and one.members_of == "returns-staff" for one in people)


@pytest.mark.parametrize("milestone", MILESTONES)
def test_the_stuck_event_takes_the_data_of_any_stage(milestone: str) -> None:
    """The timer's event carries the last event's data as it was; its own schema must not refuse it."""
    last = dict(TYPES[f"returns.{milestone}"].sample)
    data = {"journey": "returns", "stage": milestone, "since": "2026-11-22T07:00:00+00:00", "last": last}

    assert catalog.check("returns.stuck", data).type == "returns.stuck"


@pytest.mark.parametrize("entry", TYPES.values(), ids=lambda entry: entry.type)
def test_every_entry_is_strict_and_names_what_is_personal(entry: EventType) -> None:
    """Unknown keys are refused; PII and secret paths lead to a field the schema knows; texts have limits."""
    assert entry.data_schema["additionalProperties"] is False
    for path in (*entry.pii, *entry.secret):
        schema = entry.data_schema
        for key in path.split("."):
            schema = schema.get("items", schema)  # a path goes through every item of a list
            schema = schema["properties"].get(key, {}) if "properties" in schema else {}
        # The stuck event's ``last`` is open: a field of one stage only stands in that stage's schema.
        assert schema or path.startswith("last."), path
    assert entry.deadline is not None


def test_personal_fields_are_declared_wherever_they_stand() -> None:
    """O10, S6: no address, phone number or name of a person is left out of ``pii``."""
    for entry in TYPES.values():
        for person in (
            "customer",
            "account",
            "lead",
            "consignee",
            "employee",
            "manager",
            "organizer",
            "owner",
        ):
            if isinstance(entry.sample.get(person), dict):
                for field in {"name", "email", "phone"} & set(entry.sample[person]):
                    assert f"{person}.{field}" in entry.pii, (entry.type, field)


def test_operational_mail_stays_in_house() -> None:
    """O10: what machines say goes to lists or to whom the event names, never to everybody."""
    for entry in TYPES.values():
        if entry.message_class.value == "operational":
            assert "*" not in entry.audience, entry.type
            for rule in rules().rules_for(entry.type):
                assert not any(isinstance(one, DataSource) for one in rule.telling.sources), rule.name


@pytest.mark.parametrize(
    ("how_to", "name"), [("events.md", "stock.low"), ("touchpoints.md", "voucher.expiring")]
)
def test_the_how_to_adds_a_type_without_python(how_to: str, name: str, tmp_path: Path) -> None:
    """The worked example of the page, file by file as printed, loads, validates and renders."""
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    page = (ROOT / "docs" / "how-to" / how_to).read_text(encoding="utf-8")
    files = dict(re.findall(r"^`([\w/.-]+)`:\n\n```\w*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")

    mine = Catalog.load(tmp_path / "config" / "events")
    shop = Templates.load(tmp_path / "templates", defaults={"brand": BRAND})
    read_rules(
        tmp_path / "config" / "rules",
        types=[entry.type for entry in mine],
        templates=lambda name: name in shop.names(),
        lists=LISTS,
    )
    entry, template = mine[name], name.replace(".", "/")
    values = {**context(TYPES["server.down"], entry.sample, "en"), "event": {"subject": entry.sample_subject}}
    mail = shop.render(template, ChannelName.EMAIL, "en", values)

    assert len(files) == 7
    assert shop.notices == ()
    assert f"Subject: {mail.subject}\n" in page
    for channel in (ChannelName.SMS, ChannelName.PORTAL):
        assert shop.render(template, channel, "en", values).text.strip()


def stage(milestone: str) -> StageRule:
    """Return the stage of the returns journey."""
    found = rules().stage("returns", milestone)
    assert found is not None, milestone
    return found
