"""Recipients come from the event, its data, lists and contacts; each once, with reasons where nobody is."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter

from notifier.decisions import Contact, Facts
from notifier.events import Event, Json, Recipient
from notifier.recipients.paths import Missing, look_up, look_up_in_event
from notifier.recipients.resolve import Resolved, is_addressed, references, resolve
from notifier.recipients.sources import Source

ADAPTER: TypeAdapter[Source] = TypeAdapter(Source)
ANN = Contact(
    reference="K-1", email="ann@example.com", phone="+491701", name="Ann", locale="de", zone="Europe/Berlin"
)


def event_of(data: Mapping[str, Json], to: tuple[Recipient, ...] = ()) -> Event:
    """Return an event with this data."""
    return Event(
        id="1",
        source="shop",
        type="a.b",
        subject="S-1",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data=data,
        to=to,
    )


def found(
    source: object, data: Mapping[str, Json], to: tuple[Recipient, ...] = (), facts: Facts | None = None
) -> Resolved:
    """Resolve one source as it stands in a file."""
    return resolve([ADAPTER.validate_python(source)], event_of(data, to), facts or Facts())


@pytest.mark.parametrize(
    ("source", "data", "expected"),
    [
        ({"data": "mail"}, {"mail": "a@example.com"}, [{"email": "a@example.com"}]),
        ({"data": "phone"}, {"phone": "+49 170 1234567"}, [{"phone": "+49 170 1234567"}]),
        ({"data": "who"}, {"who": {"email": "a@example.com", "locale": "de", "shoe": 44}},
         [{"email": "a@example.com", "locale": "de"}]),
        ({"data": "who"}, {"who": {"email": None, "phone": "+491701", "name": ""}}, [{"phone": "+491701"}]),
        ({"data": "who"}, {"who": ["a@example.com", {"phone": "+491701"}]},
         [{"email": "a@example.com"}, {"phone": "+491701"}]),
        ({"data": "items.1.owner"}, {"items": [{}, {"owner": "a@example.com"}]},
         [{"email": "a@example.com"}]),
        ({"data": "c.mail", "phone": "c.tel", "name": "c.name", "locale": "c.lang", "zone": "c.zone"},
         {"c": {"mail": "a@example.com", "tel": "+491701", "name": "Ann", "lang": "de", "zone": "UTC"}},
         [{"email": "a@example.com", "phone": "+491701", "name": "Ann", "locale": "de", "zone": "UTC"}]),
        ({"data": "c.mail", "phone": "c.tel", "name": "c.name"}, {"c": {"mail": "a@example.com", "name": 7}},
         [{"email": "a@example.com"}]),
        ({"data": "c.mail", "phone": "c.tel", "name": "c.name"}, {"c": {"tel": "+491701", "name": "Ann"}},
         [{"phone": "+491701", "name": "Ann"}]),
        ({"data": "c", "name": "n"}, {"c": {"email": "a@example.com", "name": "Own"}, "n": "Beside"},
         [{"email": "a@example.com", "name": "Own"}]),
        ({"data": "all", "name": "n"}, {"all": ["a@example.com"], "n": "Ann"}, [{"email": "a@example.com"}]),
        ({"contact": "id"}, {"id": "K-1"}, [{"contact": "K-1"}]),
        ({"contact": "id"}, {"id": 7}, [{"contact": "7"}]),
    ],
)  # fmt: skip
def test_people_are_found_in_the_data(
    source: object, data: dict[str, Json], expected: list[dict[str, str]]
) -> None:
    """Texts, objects, lists, companions and references."""
    result = found(source, data)

    assert [one.to_json() for one in result.recipients] == expected
    assert result.missing == ()


@pytest.mark.parametrize(
    ("source", "data", "reason"),
    [
        ("to", {}, "the event has no `to`"),
        ({"data": "customer.email"}, {}, "data.customer.email is absent: there is no data.customer"),
        ({"data": "customer.email"}, {"customer": {}}, "data.customer.email is absent"),
        ({"data": "customer.email"}, {"customer": {"email": None}}, "data.customer.email is absent"),
        ({"data": "customer.email"}, {"customer": "a@example.com"}, "data.customer.email is absent"),
        ({"data": "items.3.owner"}, {"items": []}, "data.items.3.owner is absent: there is no data.items.3"),
        ({"data": "id"}, {"id": "K-1"}, "data.id is neither an email address nor a phone number"),
        ({"data": "id"}, {"id": 7}, "data.id is neither an email address nor a phone number"),
        ({"data": "who"}, {"who": {"name": "Ann"}}, "data.who holds no email, phone or contact"),
        ({"data": "who"}, {"who": []}, "data.who is an empty list"),
        ({"data": "who"}, {"who": ["x"]}, "data.who[0] is neither an email address nor a phone number"),
        ({"list": "ops"}, {}, "the list ops is empty"),
        ({"contact": "id"}, {}, "data.id is absent"),
        ({"contact": "id"}, {"id": ""}, "data.id is not a contact reference"),
        ({"contact": "id"}, {"id": True}, "data.id is not a contact reference"),
        ({"contact": "id"}, {"id": {}}, "data.id is not a contact reference"),
    ],
)
def test_where_there_is_nobody_the_reason_names_the_path(
    source: object, data: dict[str, Json], reason: str
) -> None:
    """Never the value that stands there."""
    result = found(source, data)

    assert (result.found, result.missing) == ((), (reason,))


def test_a_list_with_one_bad_entry_keeps_the_good_ones() -> None:
    """And says which entry is bad."""
    result = found({"data": "who"}, {"who": ["a@example.com", 5]})

    assert [one.email for one in result.recipients] == ["a@example.com"]
    assert result.missing == ("data.who[1] is neither an email address nor a phone number",)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("to", "addressed by the event"),
        ({"list": "on-call"}, "on the list on-call"),
        ({"data": "account_holder.email"}, "the account holder"),
        ({"contact": "customer.id"}, "the customer"),
    ],
)
def test_each_source_gives_its_reason(source: object, reason: str) -> None:
    """In words, for the footer of the message."""
    data = {"account_holder": {"email": "a@example.com"}, "customer": {"id": "K-1"}}
    someone = (Recipient(email="a@example.com"),)

    result = found(source, data, someone, Facts(lists={"on-call": someone}))

    assert [one.reason for one in result.found] == [reason]


def test_members_of_a_list_carry_its_name_as_their_role() -> None:
    """So that an audience can name it; a role of their own stays."""
    members = (Recipient(email="a@example.com"), Recipient(email="b@example.com", role="lead"))

    result = found({"list": "on-call"}, {}, facts=Facts(lists={"on-call": members}))

    assert [one.role for one in result.recipients] == ["on-call", "lead"]


def test_a_contact_fills_gaps_and_overrides_nothing() -> None:
    """What the event says itself is newer than the table."""
    event_says = Recipient(contact="K-1", phone="+499999", locale="en")

    result = found("to", {}, (event_says,), Facts(contacts={"K-1": ANN}))

    (one,) = result.found
    assert one.contact == ANN
    assert one.recipient == Recipient(
        contact="K-1", email="ann@example.com", phone="+499999", name="Ann", locale="en", zone="Europe/Berlin"
    )


def test_two_sources_that_name_one_person_find_one() -> None:
    """Also when only the contact table knows that they are one."""
    sources = [ADAPTER.validate_python(one) for one in ({"contact": "id"}, {"data": "mail"}, "to")]
    event = event_of({"id": "K-1", "mail": "Ann@Example.com"}, (Recipient(email="ann@example.com"),))

    result = resolve(sources, event, Facts(contacts={"K-1": ANN}))

    assert [(one.recipient.contact, one.reason) for one in result.found] == [("K-1", "the id")]


def test_references_are_known_before_the_contacts_are_loaded() -> None:
    """Lists are left to who holds them."""
    sources = [
        ADAPTER.validate_python(one) for one in ({"list": "ops"}, {"contact": "id"}, {"data": "gone"}, "to")
    ]
    event = event_of({"id": "K-1"}, (Recipient(contact="K-2"), Recipient(email="a@example.com")))

    assert list(references(sources, event)) == ["K-1", "K-2"]


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        (Recipient(email="ANN@example.com"), True),
        (Recipient(email="ann@example.com", contact="K-9", phone="+491"), True),
        (Recipient(contact="K-1", email="filled@example.com"), True),
        (Recipient(phone="+491701"), True),
        (Recipient(email="eve@example.com"), False),
        (Recipient(), False),
    ],
)
def test_who_the_event_names_itself_is_addressed(recipient: Recipient, expected: bool) -> None:  # noqa: FBT001
    """By any of address, phone and reference."""
    to = (Recipient(email="ann@example.com"), Recipient(contact="K-1"), Recipient(phone="+491701"))

    assert is_addressed(event_of({}, to), recipient) is expected


def test_paths_lead_into_objects_and_lists() -> None:
    """And nowhere else."""
    data = {"a": [{"b": 0}], "text": "abc"}

    assert look_up(data, "a.0.b") == 0
    assert isinstance(look_up(data, "a.1.b"), Missing)
    assert isinstance(look_up(data, "a.x"), Missing)
    assert isinstance(look_up(data, "text.0"), Missing)


def test_an_events_attributes_are_reached_by_name() -> None:
    """One that is not set is missing."""
    event = event_of({"x": {"y": 1}})

    assert look_up_in_event(event, "event.subject") == "S-1"
    assert look_up_in_event(event, "data.x.y") == 1
    assert look_up_in_event(event, "event.urgency") == Missing(reason="event.urgency is absent")


def test_sources_keep_their_form_when_read_again() -> None:
    """Models and files are the same to the reader."""
    source = ADAPTER.validate_python({"data": "customer.email"})

    assert ADAPTER.validate_python(source) is source
