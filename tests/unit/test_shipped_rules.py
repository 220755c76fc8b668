"""The shipped rules do what ``config/tests`` says, and every type of the catalogue is spoken of there."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from notifier.catalog import Catalog
from notifier.documents import load
from notifier.events import Recipient
from notifier.messages import ChannelName
from notifier.recipients.lists import read_list
from notifier.rules import testing
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.told import Told
from notifier.rules.simulation.world import World
from notifier.rules.testing import run_test
from notifier.rules.testing_model import EventStep, Test, read_tests
from tests.services import shipped_templates

ROOT = Path(__file__).parents[2]
TESTS = [
    test for file in sorted((ROOT / "config" / "tests").glob("*.yaml")) for test in read_tests(load(file))
]


@cache
def catalog() -> Catalog:
    """Load the shipped catalogue once for all tests."""
    return Catalog.load(ROOT / "config" / "events")


@cache
def lists() -> dict[str, tuple[Recipient, ...]]:
    """Read the shipped lists once for all tests."""
    known = load(ROOT / "config" / "notifier.yaml").value["lists"]
    return {name: read_list(name, entries) for name, entries in known.items()}


@cache
def rules() -> RuleSet:
    """Load the shipped rules once for all tests."""
    return read_rules(
        ROOT / "config" / "rules", types=tuple(entry.type for entry in catalog()), lists=tuple(lists())
    )


@pytest.mark.parametrize("test", TESTS, ids=lambda test: f"{Path(test.file).stem}: {test.entry.test}")
def test_the_shipped_rules_do_what_their_specification_says(test: Test) -> None:
    """Exact to the second, and nobody hears anything else."""
    outcome = run_test(test, rules(), catalog(), lists())

    assert [f"{Path(test.file).name}:{one.line}: {one.text}" for one in outcome.problems] == []


@pytest.mark.parametrize("test", TESTS, ids=lambda test: f"{Path(test.file).stem}: {test.entry.test}")
def test_every_message_about_an_alert_can_be_written(test: Test, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each channel, with what its group has to say: no word is missing, and an SMS is one SMS."""
    worlds: list[World] = []

    class Seen(World):
        def __init__(self, *args: Any, **keys: Any) -> None:
            super().__init__(*args, **keys)
            worlds.append(self)

    monkeypatch.setattr(testing, "World", Seen)
    run_test(test, rules(), catalog(), lists())
    (world,) = worlds

    for told in world.told:
        if told.alerts:
            mail = shipped_templates().render(told.template, ChannelName.EMAIL, "en", context(told))
            assert mail.subject
            for text in (mail.subject, mail.text, mail.html or ""):
                assert not re.search(r"\bNone\b|Undefined|&amp;lt;|[ ]{3,}\w+ [.,]", text), text
            assert (
                len(shipped_templates().render(told.template, ChannelName.SMS, "en", context(told)).text)
                <= 160
            )
            assert (
                shipped_templates()
                .render(told.template, ChannelName.PORTAL, "en", context(told))
                .text.strip()
            )


def context(told: Told) -> dict[str, Any]:
    """Return what the pipeline hands to the template of a message about alerts."""
    event = told.event
    return {
        "event": {
            "id": event.id,
            "type": event.type,
            "subject": event.subject,
            "time": event.time.isoformat(),
        },
        "data": dict(event.data),
        "alert": dict(event.alert or {}),
        "recipient": {"name": None, "locale": "en", "zone": "Europe/Berlin"},
        "message": {"id": "m-1", "reason": told.reason},
    }


def test_every_type_of_the_catalogue_is_specified() -> None:
    """Fed, or made by a timer, a reminder or a schedule and wanted: nobody adds a type without its test."""
    fed = {placed.step.type for test in TESTS for placed in test.steps if isinstance(placed.step, EventStep)}
    wanted = {want.type for test in TESTS for want in test.entry.want}

    assert {entry.type for entry in catalog()} - fed - wanted == set()
