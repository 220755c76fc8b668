"""What reports make of stored values, without a database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.catalog import Catalog
from notifier.events import Json
from notifier.ids import uuid7, uuid7_floor
from notifier.reports.explanation import explain_event, explain_letter
from notifier.reports.history import EventHistory, MessageHistory, NotificationHistory, TryRecord, Waiting
from notifier.reports.letters import LetterSummary
from notifier.reports.sealed import SECRET, Withheld, blank, without_secrets
from notifier.reports.search import LogQuery, compose
from notifier.reports.timeline import standing, timeline, tried, waits

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
catalog = Catalog.load(Path(__file__).parents[2] / "config" / "events")


def message(**changes: Any) -> MessageHistory:
    """Return a message that was sent at once."""
    values: dict[str, Any] = {
        "id": uuid7(), "channel": "email", "to": "a@example.org", "status": "sent", "reason": None,
        "position": 0, "resend_of": None,
        "message_id": None, "template_version": "v", "created_at": NOW, "settled_at": NOW,
        "waiting": None, "tries": (), "receipts": (), "live": None, "content": None,
    }  # fmt: skip
    return MessageHistory(**{**values, **changes})


def notification(*messages: MessageHistory, **changes: Any) -> NotificationHistory:
    """Return a notification that was sent."""
    values: dict[str, Any] = {
        "id": uuid7(), "rule": "r", "reason": "why", "category": "c", "urgency": "normal", "template": "a/b",
        "recipient": {"email": "a@example.org"}, "channels": ("email", "sms"), "stage": None, "deadline": NOW,
        "state": "sent", "state_reason": None, "settled_at": NOW,
    }  # fmt: skip
    return NotificationHistory(**{**values, **changes}, messages=messages)


def event(*notifications: NotificationHistory, **changes: Any) -> EventHistory:
    """Return an event with these notifications."""
    values: dict[str, Any] = {
        "id": uuid7_floor(NOW), "tenant": "default", "source": "shop", "external_id": "e-1", "type": "a.b",
        "subject": "S-1", "time": NOW, "received_at": NOW, "lane": "normal", "data": {}, "to": [],
        "attachments": [], "rules_hash": "h", "notified": len(notifications), "decision": [],
    }  # fmt: skip
    return EventHistory(**{**values, **changes}, notifications=notifications)


def attempt(**changes: Any) -> TryRecord:
    """Return a try that went well."""
    values: dict[str, Any] = {
        "number": 1, "relay": "default", "started_at": NOW, "finished_at": NOW + timedelta(seconds=0.25),
        "outcome": "sent", "reason": None, "phase": "dot", "code": 250, "enhanced": "2.0.0",
        "reply": "2.0.0 Ok: queued as X",
    }  # fmt: skip
    return TryRecord(**{**values, **changes})


@pytest.mark.parametrize(
    ("data", "paths", "shown"),
    [
        ({"a": 1, "b": 2}, ["a"], {"a": SECRET, "b": 2}),
        ({"a": {"b": "x", "c": 1}}, ["a.b"], {"a": {"b": SECRET, "c": 1}}),
        ({"a": [{"b": "x"}, {"b": "y"}]}, ["a.b"], {"a": [{"b": SECRET}, {"b": SECRET}]}),
        ({"a": {"b": 1}}, ["a"], {"a": SECRET}),
        ({"a": ["x", "y"]}, ["a"], {"a": [SECRET, SECRET]}),
        ({"a": 1}, ["b", "a.b", "c.d"], {"a": 1}),
        ("text", ["a"], "text"),
    ],
)
def test_secrets_are_blanked_at_their_paths(data: Json, paths: list[str], shown: Json) -> None:
    """In lists and objects, whatever stands there; the rest stays, and so does the original."""
    before = repr(data)

    assert blank(data, paths) == shown
    assert repr(data) == before


def test_data_of_an_unknown_type_is_not_shown() -> None:
    """Nobody knows which of it is secret."""
    assert without_secrets(catalog, "gone.type", {"a": 1}) is Withheld.UNKNOWN_TYPE
    assert without_secrets(catalog, "gone.type", Withheld.ERASED) is Withheld.ERASED
    shown = without_secrets(catalog, "account.password_reset", {"reset_url": "https://x", "n": 1})
    assert shown == {"reset_url": SECRET, "n": 1}


def test_a_try_is_one_line_with_the_servers_words_once() -> None:
    """The enhanced code begins the server's text already; a text of many lines becomes one."""
    assert tried(attempt()) == "try 1 over default at dot, 0.25 s: 250 2.0.0 Ok: queued as X"
    many = attempt(code=550, enhanced=None, reply="no\nsuch  user", reason="unknown-recipient")
    assert tried(many).endswith("550 no such user [unknown-recipient]")
    assert tried(attempt(code=None, enhanced=None, reply="", phase="connect")).endswith("no answer")


def test_a_timeline_is_in_the_order_of_time() -> None:
    """Whatever order the rows came in; ids say when messages were made."""
    first = message(
        tries=(attempt(outcome="failed"),), status="failed", settled_at=NOW + timedelta(seconds=1)
    )
    again = message(resend_of=first.id, tries=(attempt(finished_at=NOW + timedelta(days=9000)),))
    lines = timeline(event(notification(first, again)))

    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert [line.what for line in lines][:2] == ["event.received", "event.decided"]
    assert any(f"a resend of {first.id}" in line.text for line in lines)
    assert lines[-1].what == "attempt.sent"


WAITING = {
    "state": "ready", "due_at": NOW, "expires_at": NOW, "attempts": 1, "is_tenant_paused": False,
    "rests_until": None, "rests_because": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "due 2026-07-01 12:00:00Z"),
        ({"state": "held"}, "held for a person to decide"),
        ({"is_tenant_paused": True}, "waits until the tenant is resumed"),
        ({"rests_until": NOW, "rests_because": "away"}, "its relay rests until 2026-07-01 12:00:00Z: away"),
        ({"state": "sending"}, "being sent right now"),
        ({"state": "taken"}, "taken by a worker"),
    ],
)
def test_a_queued_message_says_what_it_waits_for(changes: dict[str, Any], said: str) -> None:
    """The nearest reason first."""
    assert said in waits(Waiting(**{**WAITING, **changes}))


def test_where_a_notification_stands() -> None:
    """Settled: its state and why; else what its newest message waits for, and what happened before."""
    queued = message(status="deferred", reason="450 greylisted", waiting=Waiting(**WAITING))

    assert standing(notification(message())) == "sent by email"
    failed = message(status="failed", reason="550 no such user")
    assert standing(notification(failed, state="failed", state_reason="550")) == "failed: 550"
    by_sms = standing(notification(failed, message(channel="sms", position=1)))
    assert by_sms == "sent by sms; email failed: 550 no such user"
    pending = standing(notification(queued, state="pending"))
    assert pending == "pending: due 2026-07-01 12:00:00Z (email), after: 450 greylisted"
    assert standing(notification(message(), queued)).startswith("sent by email; email: due")


def test_an_explanation_names_what_did_not_happen() -> None:
    """No rule, told before, erased: each is said."""
    nobody = explain_event(event())
    before = explain_event(event(notification(message()), notified=3, decision=[]))
    erased = explain_event(event(decision=Withheld.ERASED))

    assert nobody.verdict == "silent"
    assert any("no rule is for a.b" in note for note in nobody.notes)
    assert any("2 of 3 were told before" in note for note in before.notes)
    assert any("cannot be shown: [erased]" in note for note in erased.notes)
    assert all("stored once" in one.notes[0] for one in (nobody, before, erased))


@pytest.mark.parametrize(("kind", "said"), [("refused", "correct it"), ("poison", "the fault is ours")])
def test_a_dead_letter_says_whose_fault_it_is(kind: str, said: str) -> None:
    """And how to go on; one that was given back says that instead."""
    letter = LetterSummary(
        id=uuid7(), kind=kind, tenant="default", source="shop", external_id="e-1", type="a.b", field="data.x",
        error="is required", lane="normal", seen=2, first_at=NOW, last_at=NOW, retried_at=None,
    )  # fmt: skip

    notes = " ".join(explain_letter(letter).notes)

    assert "data.x: is required" in notes
    assert said in notes
    assert "2 times" in notes
    assert f"notifier dead retry {letter.id}" in notes


def test_a_query_never_holds_a_value() -> None:
    """Whatever a person types travels as a parameter."""
    evil = "x'; DROP TABLE message; --"
    query = LogQuery(
        address=evil, subject=evil, type=evil, statuses=(evil,), channel=evil, tenant=evil, since=NOW, until=NOW,
        message=uuid7(), after=uuid7(), limit=3,
    )  # fmt: skip

    statement, parameters = compose(query, b"k" * 32, [evil])

    text = statement.as_string(None)
    assert "DROP" not in text
    assert "count(" not in text.casefold()
    assert parameters["limit"] == 4
    assert {"subject", "type", "statuses", "channel", "since", "until", "message", "after"} <= set(parameters)
