"""The shipped catalogue and rules, loaded once for all tests that ask."""

from functools import cache
from pathlib import Path

from notifier.catalog import Catalog
from notifier.documents import load
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet

ROOT = Path(__file__).parents[1]


@cache
def catalog() -> Catalog:
    """Load the shipped catalogue."""
    return Catalog.load(ROOT / "config" / "events")


@cache
def rules() -> RuleSet:
    """Load the shipped rules."""
    return read_rules(
        ROOT / "config" / "rules",
        types=tuple(entry.type for entry in catalog()),
        lists=tuple(load(ROOT / "config" / "notifier.yaml").value["lists"]),
    )
