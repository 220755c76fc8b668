"""A stronger alert mutes weaker ones with equal labels, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.inhibition import Firing, Inhibition, Inhibitors, InhibitRule, inhibitor_of
from notifier.rules.alerting.matchers import Labels, parse_matchers

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SITE = {"rule": "site-down", "site": "berlin"}
SERVER = {"rule": "server-down", "site": "berlin", "host": "web-1"}


def rule(
    source: str = "rule=site-down",
    target: str = "rule=server-down",
    *equal: str,
    is_missing_equal: bool = False,
) -> InhibitRule:
    """A rule with matchers as texts; equal sites unless said otherwise."""
    return InhibitRule(
        name="r",
        source=parse_matchers(source),
        target=parse_matchers(target),
        equal=equal or ("site",),
        is_missing_equal=is_missing_equal,
    )


def firing(labels: Labels, ends: float | None = None) -> Firing:
    """An alert that has fired for a minute, and ends so many minutes from now."""
    return Firing(
        labels=labels, starts_at=NOW - MINUTE, ends_at=None if ends is None else NOW + ends * MINUTE
    )


@pytest.mark.parametrize(
    ("source", "ends", "target", "is_muted"),
    [
        (SITE, None, SERVER, True),
        (SITE, 5, SERVER, True),
        (SITE, 0, SERVER, False),
        (SITE, -1, SERVER, False),
        ({**SITE, "site": "paris"}, None, SERVER, False),
        ({**SITE, "rule": "rack-down"}, None, SERVER, False),
        (SITE, None, {**SERVER, "rule": "disk-full"}, False),
        (SITE, None, SITE, False),
    ],
)
def test_target_is_muted_while_an_equal_source_fires(
    source: Labels, ends: float | None, target: Labels, *, is_muted: bool
) -> None:
    """Both sides must match, the values must be equal, and the source must still fire."""
    found = inhibitor_of([rule()], target, [firing(source, ends)], NOW)

    assert found == (Inhibition(rule=rule(), source=source) if is_muted else None)


@pytest.mark.parametrize("missing", [{}, {"site": ""}])
@pytest.mark.parametrize("is_missing_equal", [False, True])
def test_missing_labels_equal_each_other_only_where_that_is_asked_for(
    missing: dict[str, str], *, is_missing_equal: bool
) -> None:
    """By default a label that nobody has mutes nothing; Alertmanager's way is there for its imports."""
    one = rule(is_missing_equal=is_missing_equal)

    found = inhibitor_of([one], {"rule": "server-down"}, [firing({"rule": "site-down", **missing})], NOW)

    assert (found is not None) is is_missing_equal


@pytest.mark.parametrize("is_missing_equal", [False, True])
def test_label_missing_on_one_side_never_matches(*, is_missing_equal: bool) -> None:
    """A value is no missing one, in either way."""
    one = rule(is_missing_equal=is_missing_equal)

    assert inhibitor_of([one], SERVER, [firing({"rule": "site-down"})], NOW) is None
    assert inhibitor_of([one], {"rule": "server-down"}, [firing(SITE)], NOW) is None


def test_rule_without_equal_labels_mutes_every_target() -> None:
    """Nothing has to be equal then."""
    one = InhibitRule(name="r", source=parse_matchers("rule=site-down"), target=parse_matchers("host=~.+"))

    assert inhibitor_of([one], {"host": "x"}, [firing(SITE)], NOW) is not None


def test_alert_on_both_sides_is_not_muted_by_another_such() -> None:
    """Or two of them would silence each other, and one alone itself."""
    both = rule("severity=critical", "severity=~.+")
    first = {"severity": "critical", "site": "berlin", "host": "a"}
    second = {**first, "host": "b"}

    assert inhibitor_of([both], first, [firing(first), firing(second)], NOW) is None
    assert inhibitor_of([both], {**first, "severity": "warning"}, [firing(first)], NOW) is not None


def test_two_sided_source_does_not_hide_a_valid_one() -> None:
    """Several sources of equal values are kept: the one that counts is found behind those that do not."""
    one = rule("role=~.*s.*", "role=~.*t.*")
    two_sided = [firing({"role": "st", "site": "berlin", "n": str(n)}) for n in range(3)]
    source_only = firing({"role": "s", "site": "berlin"})

    for firings in ([*two_sided, source_only], [source_only, *two_sided]):
        found = inhibitor_of([one], {"role": "ts", "site": "berlin"}, firings, NOW)
        assert found == Inhibition(rule=one, source=source_only.labels)


def test_same_labels_again_replace_the_earlier() -> None:
    """A source that has ended no longer mutes, one that fires again does."""
    inhibitors = Inhibitors([rule()])

    inhibitors.add(firing(SITE))
    inhibitors.add(firing(SITE, -1))
    assert inhibitors.inhibitor_of(SERVER, NOW) is None

    inhibitors.add(firing(SITE))
    assert inhibitors.inhibitor_of(SERVER, NOW) is not None


def test_source_that_has_ended_does_not_hide_one_that_fires() -> None:
    """Both have equal values; the rack differs."""
    firings = [firing({**SITE, "rack": "1"}, -1), firing({**SITE, "rack": "2"})]

    found = inhibitor_of([rule()], SERVER, firings, NOW)

    assert found is not None
    assert found.source["rack"] == "2"


def test_removed_source_mutes_no_longer() -> None:
    """Only the one with these very labels is forgotten; unknown ones are no error."""
    inhibitors = Inhibitors([rule()])
    inhibitors.add(firing(SITE))
    inhibitors.add(firing({**SITE, "rack": "2"}))

    inhibitors.remove(SITE)
    inhibitors.remove(SITE)
    assert inhibitors.inhibitor_of(SERVER, NOW) is not None

    inhibitors.remove({**SITE, "rack": "2"})
    assert inhibitors.inhibitor_of(SERVER, NOW) is None


LABELS = st.dictionaries(st.sampled_from(["role", "a", "b"]), st.sampled_from(["", "s", "t", "st"]))
RULES = st.builds(
    InhibitRule,
    name=st.just("r"),
    source=st.sampled_from(["role=~.*s.*", "a=s", "b!=t"]).map(parse_matchers),
    target=st.sampled_from(["role=~.*t.*", "b=t", "a!~s"]).map(parse_matchers),
    equal=st.sampled_from([(), ("a",), ("a", "b")]),
    is_missing_equal=st.booleans(),
)
FIRINGS = st.lists(st.builds(firing, LABELS, st.sampled_from([None, -1, 1])), max_size=6)


@given(st.lists(RULES, max_size=3), FIRINGS, LABELS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=200)
def test_index_answers_as_looking_at_all(
    rules: list[InhibitRule], firings: list[Firing], target: Labels, random: Random
) -> None:
    """Whatever the order of arrival, the index finds a source exactly when there is one."""
    latest = list({frozenset(one.labels.items()): one for one in firings}.values())
    random.shuffle(latest)

    found = inhibitor_of(rules, target, latest, NOW)

    assert (found is not None) is any(mutes(one, target, latest) for one in rules)
    assert found is None or mutes(found.rule, target, [one for one in latest if one.labels == found.source])


def mutes(one: InhibitRule, target: Labels, firings: Sequence[Firing]) -> bool:
    """The definition, said the long way."""
    return any(
        one.is_target(target)
        and one.is_source(source.labels)
        and source.is_live(NOW)
        and not (one.is_source(target) and one.is_target(source.labels))
        and all(
            target.get(name, "") == source.labels.get(name, "")
            and bool(target.get(name) or one.is_missing_equal)
            for name in one.equal
        )
        for source in firings
    )
