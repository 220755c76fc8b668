"""Any tree of Alertmanager's answers alike before and after the import."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.matchers import Matcher, all_match
from tests.conformance.kinds.importing import rounded_reminders, route
from tests.conformance.outcomes import PASSED, failed
from tests.conformance.vectors import Vector

DEFAULTS = {"group_by": [], "group_wait": 30, "group_interval": 300, "repeat_interval": 14400}
NAMES = ("team", "severity", "type", "a:b", "on")
VALUES = (
    "db",
    "yes",
    "1.10",
    "09:00",
    'q"uote',
    "back\\slash",
    "tab\there",
    "two\nlines",
    "größe, {x}",
    "'",
    "#",
)

matchers = st.builds(
    lambda name, op, value: {"name": name, "op": op, "value": value},
    st.sampled_from(NAMES), st.sampled_from(("=", "!=")), st.sampled_from(VALUES),
) | st.builds(
    lambda name, op, value: {"name": name, "op": op, "value": value},
    st.sampled_from(NAMES), st.sampled_from(("=~", "!~")), st.sampled_from(("d.", ".+", "yes|db", "[0-9.:]+")),
)  # fmt: skip
options = st.fixed_dictionaries(
    {},
    optional={
        "receiver": st.sampled_from(("Ops Team", "ops-team", "db", "ops/team", "null")),
        "group_by": st.sampled_from((["..."], ["team"], ["a:b", "team"])),
        "group_wait": st.sampled_from((0, 10, 90.5)),
        "group_interval": st.sampled_from((60, 300, 86400)),
        "repeat_interval": st.sampled_from((3600, 14400, 86400 * 7)),
        "continue": st.booleans(),
        "matchers": st.lists(matchers, max_size=2),
    },
)


def with_routes(below: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return nodes with children."""
    routes = st.lists(below, max_size=3)
    return st.builds(lambda node, children: {**node, "routes": children}, options, routes)


trees = st.recursive(options, with_routes, max_leaves=6)


def answers(
    node: Mapping[str, Any], labels: Mapping[str, str], above: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return what the tree answers, said as plainly as possible: the model the import is held against."""
    if not all_match([Matcher(**one) for one in node.get("matchers", ())], labels):
        return []
    own = {key: node.get(key, above[key]) for key in (*DEFAULTS, "receiver")}
    found: list[dict[str, Any]] = []
    for child in node.get("routes", ()):
        below = answers(child, labels, own)
        found += below
        if below and not child.get("continue", False):
            break
    return found or [{**own, "group_by": sorted(own["group_by"])}]


@given(
    tree=trees,
    labels=st.dictionaries(st.sampled_from(NAMES), st.sampled_from((*VALUES, "")), max_size=len(NAMES)),
)
@settings(max_examples=60, deadline=None)
def test_any_tree_answers_alike_after_the_import(tree: dict[str, Any], labels: dict[str, str]) -> None:
    """Order, inheritance, timers and receivers; an alert without a label that ours always has is another matter."""
    whole = {key: value for key, value in tree.items() if key not in ("matchers", "continue")}
    whole["receiver"] = tree.get("receiver", "of the root")
    full = {"severity": "none", "type": "disk", **labels}
    vector = Vector(
        id="any", kind="route", given={"defaults": DEFAULTS, "route": whole}, when={"labels": full},
        want={"routes": answers(whole, full, {**DEFAULTS, "receiver": ""})},
    )  # fmt: skip

    outcome = route(vector)

    assert outcome == PASSED or rounded_reminders(vector, outcome) is not None, outcome.detail


def test_only_reminders_may_differ_on_purpose() -> None:
    """Rounded up to the tick, and nothing else wrong: any other mismatch is a failure."""
    given_ = {"defaults": {**DEFAULTS, "repeat_interval": 1000}, "route": {"receiver": "a"}}
    want = {"receiver": "a", "group_interval": 300, "repeat_interval": 1000}
    vectors = [
        Vector(id="v", kind="route", given=given_, when={"labels": {}}, want={"routes": [{**want, **change}]})
        for change in ({}, {"receiver": "b"})
    ]

    assert [rounded_reminders(vector, failed("")) is not None for vector in vectors] == [True, False]
