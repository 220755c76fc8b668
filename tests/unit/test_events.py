"""The event's JSON form: what goes in comes out, and what is refused is named by its field."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import EventRefused
from notifier.events import Attachment, Event, Recipient, Urgency, read_recipients

EVENT = {
    "specversion": "1.0", "id": "e-1", "source": "shop", "type": "order.placed", "subject": "O-1",
    "time": "2026-03-01T12:00:00Z", "data": {"total": 5},
}  # fmt: skip

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
FIELDS = {name: st.none() | TEXT for name in ("email", "phone", "name", "locale", "zone", "contact", "role")}
FIELDS["email"] = st.none() | st.from_regex(r"[a-z0-9.ü]{1,9}@[a-z0-9.ü-]{1,9}", fullmatch=True)
FIELDS["phone"] = st.none() | st.from_regex(r"\+?[0-9][0-9 ()/.-]{1,13}[0-9]", fullmatch=True)
RECIPIENTS = st.builds(Recipient, **FIELDS).filter(lambda one: one.identity != "")
CIDS = st.none() | st.from_regex(r"[a-z0-9.]{1,20}@[a-z]{1,9}", fullmatch=True)
ATTACHMENTS = st.builds(Attachment, name=TEXT, content=st.binary(max_size=50), cid=CIDS) | st.builds(
    Attachment, name=TEXT, url=st.just("https://files.example/a.pdf"), media_type=st.just("application/pdf")
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
TIMES = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40_000)).map(
    lambda age: datetime(1970, 1, 1, tzinfo=UTC) + age
)
EVENTS = st.builds(
    Event, id=TEXT, source=TEXT, type=TEXT, subject=TEXT, tenant=TEXT, time=TIMES,
    data=st.dictionaries(TEXT, VALUES, max_size=4), to=st.lists(RECIPIENTS, max_size=3).map(tuple),
    attachments=st.lists(ATTACHMENTS, max_size=2).map(tuple), urgency=st.none() | st.sampled_from(Urgency),
)  # fmt: skip


@given(EVENTS)
def test_an_event_survives_its_json(event: Event) -> None:
    """Through real bytes, as producers send them."""
    assert Event.from_json(orjson.loads(orjson.dumps(event.to_json()))) == event


@given(TIMES, st.integers(-14, 14))
def test_the_moment_counts_not_its_zone(moment: datetime, hours: int) -> None:
    """Whatever offset the producer writes, we keep UTC."""
    written = moment.astimezone(timezone(timedelta(hours=hours))).isoformat()

    event = Event.from_json({**EVENT, "time": written})

    assert event.time == moment
    assert event.time.tzinfo is UTC


@given(st.dictionaries(st.sampled_from([*EVENT, "to", "attachments", "sealed", "urgency", "tenant"]), VALUES))
def test_any_json_is_read_or_refused(parts: Mapping[str, Any]) -> None:
    """Hostile input ends as a refusal, never as another error."""
    try:
        event = Event.from_json({**EVENT, **parts})
    except EventRefused:
        return

    assert event.id
    assert event.time.tzinfo is UTC


def test_a_sealed_event_shows_none_of_what_is_sealed() -> None:
    """Its data, recipients and attachments travel inside."""
    event = Event.from_json({**EVENT, "data": {}, "sealed": "AAAA"})

    assert event.sealed == "AAAA"
    assert event.to_json().keys().isdisjoint({"data", "to", "attachments"})


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"id": ""}, "id", "not empty"),
        ({"id": 7}, "id", "must be a text"),
        ({"source": "a\nb"}, "source", "control characters"),
        ({"subject": "a\x7fb"}, "subject", "control characters"),
        ({"type": "x" * 513}, "type", "longer than 512"),
        ({"tenant": None}, "tenant", "must be a text"),
        ({"time": None}, "time", "ISO 8601"),
        ({"time": 1_700_000_000}, "time", "ISO 8601"),
        ({"time": "2026-03-01T12:00:00"}, "time", "offset"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "time", "calendar"),
        ({"urgency": "asap"}, "urgency", "one of urgent, normal, bulk"),
        ({"urgency": ["urgent"]}, "urgency", "one of"),
        ({"specversion": "0.3"}, "specversion", "1.0"),
        ({"datacontenttype": "text/xml"}, "datacontenttype", "application/json"),
        ({"datacontenttype": 5}, "datacontenttype", "application/json"),
        ({"sealed": ""}, "sealed", "not empty"),
        ({"sealed": {"a": 1}}, "sealed", "must be a text"),
        ({"Urgency": "bulk"}, "Urgency", "unknown"),
        ({"data_base64": "AAAA"}, "data_base64", "unknown"),
        ({"a\nb": 1}, "a?b", "unknown"),
        ({"data": []}, "data", "object"),
        ({"data": None}, "data", "object"),
        ({"attachments": {}}, "attachments", "list"),
        ({"to": 7}, "to", "address or an object"),
        ({"to": ""}, "to", "must not be empty"),
        ({"to": ["a@b.example", ""]}, "to[1]", "must not be empty"),
        ({"to": "a@b.example\r\nBcc: c@d.example"}, "to", "control characters"),
        ({"to": "a" * 600 + "@b.example"}, "to", "longer than"),
        ({"to": {}}, "to", "needs email, phone or contact"),
        ({"to": {"name": "Ada"}}, "to", "needs email, phone or contact"),
        ({"to": {"email": ""}}, "to.email", "must not be empty"),
        ({"to": {"email": ["a@b.example"]}}, "to.email", "must be a text"),
        ({"to": {"mail": "a@b.example"}}, "to.mail", "unknown key"),
        ({"to": {"phone": "+491", "name": "A\x00"}}, "to.name", "control characters"),
        ({"to": [{"phone": "+491", "name": "x" * 513}]}, "to[0].name", "longer than 512"),
    ],
)
def test_a_wrong_event_is_refused_with_its_field(change: dict[str, Any], field: str, reason: str) -> None:
    """And the rule it breaks."""
    refusal = refused({**EVENT, **change})

    assert refusal.field == field
    assert reason in refusal.reason


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"name": ""}, ".name", "must not be empty"),
        ({"name": 5}, ".name", "must be a text"),
        ({"name": "a\rb"}, ".name", "control characters"),
        ({"url": "https://a.example"}, "", "exactly one of"),
        ({"content": "%%%"}, ".content", "base64"),
        ({"content": None}, ".content", "base64"),
        ({"content": 5}, ".content", "base64"),
        ({"media_type": 5}, ".media_type", "must be a text"),
        ({"media_type": "pdf"}, ".media_type", "application/pdf"),
        ({"media_type": "a/b\r\nX: y"}, ".media_type", "control characters"),
        ({"cid": "<logo>"}, ".cid", "Content-ID"),
        ({"cid": None}, ".cid", "must be a text"),
        ({"filename": "x"}, ".filename", "unknown key"),
    ],
)
def test_a_wrong_attachment_is_refused_with_its_field(
    change: dict[str, Any], field: str, reason: str
) -> None:
    """Before it could break a header."""
    refusal = refused({**EVENT, "attachments": [{"name": "a.pdf", "content": "AAAA", **change}]})

    assert refusal.field == f"attachments[0]{field}"
    assert reason in refusal.reason


@pytest.mark.parametrize(
    "url", ["ftp://a.example/x", "file:///etc/passwd", "https:///x", "http://a b/", 5, ""]
)
def test_an_attachment_comes_from_the_web_only(url: object) -> None:
    """Never from a file of ours."""
    assert refused({**EVENT, "attachments": [{"name": "a", "url": url}]}).field == "attachments[0].url"


@pytest.mark.parametrize("media_type", ["application/pdf", 'text/calendar; method=REQUEST; name="a b"'])
def test_a_media_type_may_have_parameters(media_type: str) -> None:
    """Invitations need them."""
    (file,) = Event.from_json(
        {**EVENT, "attachments": [{"name": "a", "content": "", "media_type": media_type}]}
    ).attachments

    assert (file.media_type, file.content) == (media_type, b"")


def test_a_refusal_never_quotes_what_was_given() -> None:
    """It goes to logs."""
    for change in ({"to": "ada@b.example\n"}, {"to": {"email": "ada@b.example", "name": "Ada\n"}}):
        assert "ada" not in str(refused({**EVENT, **change})).lower()


def test_extension_attributes_are_ignored() -> None:
    """CloudEvents lets others add theirs, such as a trace."""
    traced = {**EVENT, "traceparent": "00-ab-cd-01", "dataschema": "https://a.example", "sequence": 5}

    assert Event.from_json(traced) == Event.from_json(EVENT)


@pytest.mark.parametrize(
    "content", ["application/json", "application/json; charset=utf-8", "application/ld+json"]
)
def test_data_is_json(content: str) -> None:
    """In any of its kinds."""
    assert Event.from_json({**EVENT, "datacontenttype": content}).data == {"total": 5}


@pytest.mark.parametrize("value", [None, 5, "event", [EVENT]])
def test_an_event_is_an_object(value: object) -> None:
    """Nothing else."""
    assert "JSON object" in refused(value).reason


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, ()),
        ("a@b.example", (Recipient(email="a@b.example"),)),
        ("+491701234567", (Recipient(phone="+491701234567"),)),
        ({"contact": "C-1", "name": ""}, (Recipient(contact="C-1", name=""),)),
        ([Recipient(phone="+491"), "a@b.example"], (Recipient(phone="+491"), Recipient(email="a@b.example"))),
        (Recipient(contact="C-1"), (Recipient(contact="C-1"),)),
    ],
)
def test_recipients_come_in_many_forms(given: object, found: tuple[Recipient, ...]) -> None:
    """An address, an object, or several of either."""
    assert read_recipients(given) == found


@pytest.mark.parametrize(
    "given", [Recipient(), [Recipient(name="Ada")], Recipient(email="a@b.example\n"), [[]]]
)
def test_a_recipient_made_by_hand_is_checked_too(given: object) -> None:
    """Nobody is told who has no address."""
    with pytest.raises(EventRefused):
        read_recipients(given)


def refused(value: object) -> EventRefused:
    """The refusal of a value."""
    with pytest.raises(EventRefused) as caught:
        Event.from_json(value)
    return caught.value
