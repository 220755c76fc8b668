"""The shipped rules for invoices, appointments and people: who is told more, less, or in another way."""

from datetime import UTC, datetime

import pytest

from notifier.decisions import Decision, Facts
from notifier.events import Event, Json
from notifier.rules.engine import route
from tests.shipped import catalog, rules


def decide(name: str, data: dict[str, Json], at: str = "2026-11-22T09:00:00+00:00") -> Decision:
    """Route the type's sample with these fields changed."""
    entry = catalog()[name]
    event = Event(
        id="e-1", source="shop", type=name, subject=entry.sample_subject, time=datetime.fromisoformat(at),
        data={**entry.sample, **data},
    )  # fmt: skip
    catalog().check(name, event.data)
    return route(event, entry, Facts(), rules(), event.time.astimezone(UTC))


@pytest.mark.parametrize(
    ("change", "is_told"),
    [({}, True), ({"is_autopaid": True}, False), ({"is_autopaid": False}, True), ({"total": -12.5}, False)],
)
def test_only_what_the_customer_must_pay_is_reminded_of(change: dict[str, Json], *, is_told: bool) -> None:
    """What is collected, and what is a credit, needs no reminder."""
    last = {**catalog()["invoice.due"].sample["last"], **change}

    assert bool(decide("invoice.due", {"last": last}).notifications) is is_told


@pytest.mark.parametrize("name", ["invoice.issued", "invoice.changed"])
@pytest.mark.parametrize("offset", [-3, 0, 7])
def test_a_reminder_takes_the_data_of_any_invoice(name: str, offset: int) -> None:
    """The reminder carries the data of the invoice's last event, whichever that was."""
    last = dict(catalog()[name].sample)

    (told,) = decide(
        "invoice.due", {"offset_days": offset, "due": last["due_on"], "last": last}
    ).notifications

    assert told.recipient.email == last["customer"]["email"]


def test_a_meeting_reminder_takes_the_data_of_the_invitation() -> None:
    """Everybody who was invited is reminded."""
    last = dict(catalog()["meeting.scheduled"].sample)

    told = decide("meeting.reminder", {"due": last["starts_at"], "last": last}).notifications

    assert [one.recipient.email for one in told] == [one["email"] for one in last["attendees"]]


@pytest.mark.parametrize(
    ("now", "templates"),
    [("2026-11-25T10:00:00+00:00", 1), ("2026-11-27T12:00:00+00:00", 2), ("2026-11-28T08:00:00+00:00", 2)],
)
def test_who_may_be_on_the_way_gets_an_sms_as_well(now: str, templates: int) -> None:
    """A cancellation within a day of the appointment goes to the phone, too."""
    decision = decide("appointment.cancelled", {"starts_at": "2026-11-28T10:00:00Z"}, at=now)

    assert len(decision.notifications) == templates


def test_a_new_colleague_and_the_manager_read_different_things() -> None:
    """One is welcomed; the other gets the list of what to prepare."""
    told = decide("employee.registered", {}).notifications

    assert [one.template for one in told] == ["employee/registered", "employee/registered_manager"]


@pytest.mark.parametrize("name", ["account.balance", "inventory.level"])
def test_a_reading_alone_tells_nobody(name: str) -> None:
    """Readings come with every booking; only the rule that watches them speaks."""
    assert decide(name, {}).notifications == ()


@pytest.mark.parametrize(
    ("reading", "telling"), [("account.balance", "account.balance_low"), ("inventory.level", "inventory.low")]
)
def test_the_words_for_a_low_level_fit_its_readings(reading: str, telling: str) -> None:
    """A rule that watches the readings tells with this template: both types have the same fields."""
    fields = [set(catalog()[name].data_schema["properties"]) for name in (reading, telling)]

    assert fields[0] == fields[1]
