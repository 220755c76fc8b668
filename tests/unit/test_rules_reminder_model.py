"""A reminder is read as it is written, and what is wrong with it is said with its line."""

import json
from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from notifier.documents import ConfigErrors, parse
from notifier.rules.catch_up import CatchUp
from notifier.rules.reminder_model import ReminderEntry
from notifier.rules.reminders import Reminder

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

REMINDER = """
reminder: invoice-due
on: [invoice.issued, invoice.changed]
until: [invoice.paid, invoice.cancelled]
subject: data.number
date: data.due_at
offsets: [-3d, 0d, +7d, -2h]
at: "10:30"
zone: [data.customer.zone, Europe/Berlin]
event: invoice.due
catch_up: summary
"""


def test_a_reminder_is_read_as_it_is_written() -> None:
    """All keys there are."""
    entry = parse(REMINDER, Path("rules.yaml")).read(ReminderEntry)

    assert entry.compiled() == Reminder(
        name="invoice-due",
        patterns=("invoice.issued", "invoice.changed"),
        settled_by=("invoice.paid", "invoice.cancelled"),
        subject_path="data.number",
        date_path="data.due_at",
        offsets=(-3 * DAY, 0 * DAY, 7 * DAY, -2 * HOUR),
        at=time(10, 30),
        zone=ZoneInfo("Europe/Berlin"),
        zone_paths=("data.customer.zone",),
        event_type="invoice.due",
        catch_up=CatchUp.SUMMARY,
    )


def test_a_reminder_needs_few_words() -> None:
    """At nine, in UTC, the newest of what was missed, never called off."""
    text = "{reminder: x, on: a.b, date: data.d, offsets: -1d, event: a.c}"

    assert parse(text, Path("rules.yaml")).read(ReminderEntry).compiled() == Reminder(
        name="x",
        patterns=("a.b",),
        settled_by=(),
        date_path="data.d",
        offsets=(-DAY,),
        event_type="a.c",
        zone=ZoneInfo("UTC"),
    )


def test_a_reminder_can_be_hashed_and_shown_to_editors() -> None:
    """It has a JSON form and a JSON Schema."""
    entry = parse(REMINDER, Path("rules.yaml")).read(ReminderEntry)

    assert json.dumps(entry.model_dump(mode="json", by_alias=True))
    assert "catch_up" in ReminderEntry.model_json_schema()["properties"]


@pytest.mark.parametrize(
    ("good", "bad", "line", "problem"),
    [
        ("-3d", "three days", 7, "so long before or after"),
        ("-3d", "3", 7, "so long before or after"),
        ("-3d", "--3d", 7, "so long before or after"),
        ("-3d", "-4000d", 7, "ten years at most"),
        ("-3d", "-50ms", 7, "whole seconds"),
        ("-3d", "7d", 7, "the offset 7d stands twice"),
        ("-3d", "168h", 7, "the offset 7d stands twice"),
        ("[-3d, 0d, +7d, -2h]", "[]", 7, "at least one"),
        ('"10:30"', "10:30", 8, "must be a time of day"),  # YAML 1.1 makes it 630
        ("Europe/Berlin]", "Europe/Nowhere]", 9, "no time zone"),
        (", Europe/Berlin]", "]", 9, "needs a zone at the end"),
        ("[data.customer.zone,", "[Europe/Paris,", 9, "only paths"),
        ("date: data.due_at", "date: due_at", 6, "match pattern"),
        ("catch_up: summary", "catch_up: later", 11, "'newest', 'send', 'skip' or 'summary'"),
        ("event: invoice.due", "events: invoice.due", 10, "unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(good: str, bad: str, line: int, problem: str) -> None:
    """What happened, and where."""
    assert REMINDER.count(good) == 1
    document = parse(REMINDER.replace(good, bad), Path("rules.yaml"))

    with pytest.raises(ConfigErrors) as caught:
        document.read(ReminderEntry)

    wrong = {error.line: str(error) for error in caught.value.errors}
    assert problem in wrong[line]
