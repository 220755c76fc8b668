"""Samples make a template's context whole, live data included, without looking anything up."""

from datetime import UTC, datetime
from pathlib import Path

from notifier.catalog import Catalog
from notifier.documents import load
from notifier.messages import ChannelName
from notifier.pipeline.planning.samples import Use, sample_context, unsampled, uses
from notifier.rules.load import read_rules
from tests.services import shipped_templates

CONFIG = Path(__file__).parents[2] / "config"
CATALOG = Catalog.load(CONFIG / "events")
RULES = read_rules(
    CONFIG / "rules",
    types=[entry.type for entry in CATALOG],
    lists=list(load(CONFIG / "notifier.yaml").value["lists"]),
    templates=None,
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def digest() -> Use:
    """The use of the one shipped type that looks up live data."""
    return next(use for use in uses(CATALOG, RULES).values() if use.entry.lookup)


def context_of(use: Use, **given: dict[str, object]) -> dict[str, object]:
    """The context of a use."""
    return sample_context(use, RULES, brand={"name": "N"}, zone="UTC", locale="en", now=NOW, **given)


def test_live_data_comes_from_the_lookups_samples() -> None:
    """So the digest can be previewed before it ever ran."""
    use = digest()
    context = context_of(use)

    assert context["live"] == {name: lookup.sample for name, lookup in use.entry.lookup.items()}
    text = shipped_templates().render("notifier/digest_failures", ChannelName.EMAIL, "en", context).text
    assert "order.shipped" in text


def test_given_live_data_replaces_the_sample() -> None:
    """Lookup by lookup."""
    live = context_of(digest(), live={"totals": {"told": 1, "arrived": 1}})["live"]

    assert isinstance(live, dict)
    assert live["totals"] == {"told": 1, "arrived": 1}
    assert live["failures"] == digest().entry.lookup["failures"].sample


def test_a_required_lookup_without_a_sample_is_named() -> None:
    """An optional one may be missing in life as well: the template copes with None."""
    use = digest()
    required = use.entry.lookup["totals"].model_copy(update={"sample": None})
    optional = required.model_copy(update={"is_required": False})
    entry = use.entry.model_copy(update={"lookup": {"needed": required, "spare": optional}})

    assert unsampled(use.entry) == []
    assert unsampled(entry) == ["needed"]
    assert context_of(Use(entry=entry, rule=use.rule))["live"] == {"spare": None}


def test_the_engines_own_digest_is_tried_like_the_others() -> None:
    """No rule names it, and every check and preview must see it all the same."""
    use = uses(CATALOG, RULES)["notifier/digest"]

    said = shipped_templates().render("notifier/digest", ChannelName.EMAIL, "en", context_of(use)).text

    assert set(shipped_templates().names()) == set(uses(CATALOG, RULES))
    assert "web-3 is down" in said
