"""Two sets of rules run the same events: who would have got what more, less, otherwise or at another time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.catalog import Catalog, EventType
from notifier.events import Event, Recipient
from notifier.rules.comparison import Change, Comparison, compare
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TYPES = ("server.down", "server.up")
LISTS = {
    "operators": (Recipient(email="ops@x.example", phone="+491701"),),
    "managers": (Recipient(email="boss@x.example"),),
}
NOTIFY = """
  - notify: down
    on: server.down
    recipients: [{list: operators}]
"""
ALERT = """
  - alert: servers
    on: [server.*]
    resolved: server.up
    group_by: []
    first_after: 1m
    batch_every: 10m
    recipients: [{list: operators}]
"""


def catalog() -> Catalog:
    """Return the two types."""
    common = {
        "category": "it", "class": "operational", "sample_subject": "s", "sample": {},
        "schema": {"properties": {"load": {"type": "integer"}}},
    }  # fmt: skip
    return Catalog({one: EventType.model_validate({**common, "type": one, "title": one}) for one in TYPES})


def rules_of(folder: Path, name: str, text: str) -> RuleSet:
    """Load rules."""
    (folder / name).mkdir()
    (folder / name / "rules.yaml").write_text("rules:\n" + text if text else "")
    return read_rules(folder / name, types=TYPES, lists=tuple(LISTS))


def run(folder: Path, before: str, after: str, *more: tuple[datetime, Event]) -> Comparison:
    """Compare two texts on one outage of two servers."""
    story = [
        ("server.down", "web-1", 0),
        ("server.down", "web-2", 3),
        ("server.up", "web-1", 30),
        ("server.up", "web-2", 31),
    ]
    events = [
        (START + at * MINUTE, Event(id=f"{at}", source="t", type=name, subject=subject, time=START + at * MINUTE))
        for name, subject, at in story
    ]  # fmt: skip
    sets = [rules_of(folder, name, text) for name, text in (("before", before), ("after", after))]
    return compare([*events, *more], *sets, catalog(), LISTS, start=START, end=START + timedelta(hours=3))


def told(found: Comparison) -> list[tuple[Change, float, str]]:
    """Return what differs: how, at which minute, for whom."""
    return [
        (one.change, (one.shown.at - START) / MINUTE, one.shown.recipient.identity)
        for one in found.differences
    ]


def test_the_same_rules_under_other_names_make_no_difference(tmp_path: Path) -> None:
    """People do not see names of rules."""
    found = run(
        tmp_path, NOTIFY + ALERT, (NOTIFY + ALERT).replace(": down", ": fell").replace(": servers", ": hosts")
    )

    assert (found.events, found.before, found.after, found.differences) == (4, 5, 5, ())


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        pytest.param(
            NOTIFY, NOTIFY.replace("operators}", "operators}, {list: managers}"),
            [(Change.MORE, 0, "boss@x.example"), (Change.MORE, 3, "boss@x.example")], id="somebody more is told",
        ),
        pytest.param(
            NOTIFY, NOTIFY + "    when: event.subject == 'web-2'\n", [(Change.LESS, 0, "ops@x.example")],
            id="something is told no more",
        ),
        pytest.param(
            NOTIFY, NOTIFY + "    channels: [sms]\n",
            [(Change.OTHERWISE, 0, "ops@x.example"), (Change.OTHERWISE, 3, "ops@x.example")], id="by SMS now",
        ),
        pytest.param(
            ALERT, ALERT.replace("first_after: 1m", "first_after: 2m"),
            [(Change.MOVED, 2, "ops@x.example"), (Change.MOVED, 12, "ops@x.example"),
             (Change.MOVED, 32, "ops@x.example")],
            id="later",
        ),
        pytest.param(
            ALERT, ALERT.replace("first_after: 1m", "first_after: 5m"),
            [(Change.LESS, 1, "ops@x.example"), (Change.MOVED, 5, "ops@x.example"),
             (Change.MOVED, 35, "ops@x.example")],
            id="two in one, later",
        ),
        pytest.param(
            ALERT, ALERT + "    remind_after: 15m\n", [(Change.MORE, 26, "ops@x.example")],
            id="reminders are more of the same",
        ),
    ],
)  # fmt: skip
def test_each_difference_has_its_kind(
    tmp_path: Path, before: str, after: str, want: list[tuple[Change, float, str]]
) -> None:
    """In the order of time."""
    found = run(tmp_path, before, after)

    assert told(found) == want
    assert sum(found.count(change) for change in Change) == len(want)


def test_events_that_do_not_fit_the_catalogue_any_more_are_counted(tmp_path: Path) -> None:
    """They stop nothing."""
    bad = Event(id="bad", source="t", type="server.down", subject="x", time=START, data={"load": "much"})

    found = run(tmp_path, NOTIFY, "", (START + 60 * MINUTE, bad))

    assert (found.events, found.refused, found.before, found.after) == (5, 1, 2, 0)
    assert [one[0] for one in told(found)] == [Change.LESS, Change.LESS]
