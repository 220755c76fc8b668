"""The shipped rules do what ``config/tests`` says, and every type of the catalogue is spoken of there."""

from functools import cache
from pathlib import Path

import pytest

from notifier.catalog import Catalog
from notifier.documents import load
from notifier.events import Recipient
from notifier.recipients.lists import read_list
from notifier.rules.ruleset import RuleSet
from notifier.rules.testing import run_test
from notifier.rules.testing_model import EventStep, Test, read_tests

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
    return RuleSet.load(
        ROOT / "config" / "rules", types=tuple(entry.type for entry in catalog()), lists=tuple(lists())
    )


@pytest.mark.parametrize("test", TESTS, ids=lambda test: f"{Path(test.file).stem}: {test.entry.test}")
def test_the_shipped_rules_do_what_their_specification_says(test: Test) -> None:
    """Exact to the second, and nobody hears anything else."""
    outcome = run_test(test, rules(), catalog(), lists())

    assert [f"{Path(test.file).name}:{one.line}: {one.text}" for one in outcome.problems] == []


def test_every_type_of_the_catalogue_is_specified() -> None:
    """Fed, or made by a timer, a reminder or a schedule and wanted: nobody adds a type without its test."""
    fed = {placed.step.type for test in TESTS for placed in test.steps if isinstance(placed.step, EventStep)}
    wanted = {want.type for test in TESTS for want in test.entry.want}

    assert {entry.type for entry in catalog()} - fed - wanted == set()
