"""What an event's alert is called: the labels it has, and the key that tells it from others."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notifier.documents import ConfigErrors
from notifier.events import Event, Json
from notifier.rules.alerting.identity import alert_key, labels_of
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.alerting.tracking import aspect_of
from notifier.rules.load import read_rules

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def rule_of(folder: Path, **keys: str) -> AlertRule:
    """Return an alert rule with a few keys of its own."""
    own = "".join(f"    {name}: {value}\n" for name, value in keys.items())
    text = f"rules:\n  - alert: probe\n    on: a.fired\n    recipients: [to]\n{own}"
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    rule = read_rules(folder, types=["a.fired"]).alert("probe")
    assert rule is not None
    return rule


def event_of(labels: Mapping[str, Json], subject: str = "s-1") -> Event:
    """Return an event with labels in its data."""
    return Event(id="1", source="lab", type="a.fired", subject=subject, time=NOW, data={"labels": labels})


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, True),
        ({"a": "1"}, {"a": "1", "b": ""}, True),
        ({"a": "1"}, {"a": "1", "b": "2"}, False),
        ({"a": "1b", "c": ""}, {"a": "1", "b": "c"}, False),
        ({"type": "x"}, {"type": "y"}, False),
    ],
)
def test_a_key_of_every_label_is_that_of_the_whole_set(
    tmp_path: Path, *, one: Mapping[str, Json], other: Mapping[str, Json], is_same: bool
) -> None:
    """``key: ["..."]``: the order does not matter, and what is empty is as good as missing."""
    rule = rule_of(tmp_path, labels='{"*": data.labels}', key='["..."]')

    keys = {alert_key(rule, event_of(labels, subject)) for labels, subject in ((one, "s-1"), (other, "s-2"))}

    assert (len(keys) == 1) is is_same


def test_a_key_of_every_label_without_any_is_the_subject(tmp_path: Path) -> None:
    """Else all alerts without labels would be one; the trace says so."""
    rule = rule_of(tmp_path, labels='{"*": data.labels}', key='["..."]')

    first, second = (aspect_of(rule, event_of({}, subject)) for subject in ("s-1", "s-2"))

    assert first.key != second.key
    assert first.warnings


def test_labels_of_the_rule_go_before_the_built_in_ones(tmp_path: Path) -> None:
    """A label the data has is what matchers see, its severity too."""
    rule = rule_of(tmp_path, labels='{"*": data.labels}', severity="error")

    own = aspect_of(rule, event_of({"severity": "page", "type": "database"}))
    bare = aspect_of(rule, event_of({}))

    assert (own.labels["severity"], own.labels["type"]) == ("page", "database")
    assert (bare.labels["severity"], bare.labels["type"]) == ("error", "a.fired")


def test_no_event_speaks_for_another_rule(tmp_path: Path) -> None:
    """What mutes by the name of a rule cannot be reached with a label of that name."""
    rule = rule_of(tmp_path, labels='{"*": data.labels}')

    assert labels_of(rule, event_of({"rule": "site-down"}))["rule"] == "probe"


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"key": '["...", subject]'}, "key"),
        ({"group_by": '["...", subject]'}, "group_by"),
        ({"routes": '[{route: a, group_by: ["...", subject]}]'}, "group_by"),
    ],
)
def test_every_label_stands_alone(tmp_path: Path, keys: dict[str, str], field: str) -> None:
    """Beside other names it would be a label called ``...``."""
    with pytest.raises(ConfigErrors, match=rf"{field}: `\.\.\.` stands for every label"):
        rule_of(tmp_path, **keys)


def test_a_group_by_of_every_label_is_the_default_of_such_a_key(tmp_path: Path) -> None:
    """Each alert is its own group."""
    rule = rule_of(tmp_path, labels='{"*": data.labels}', key='["..."]')

    groups = [
        rule.group_labels(rule.root.plan, aspect_of(rule, event_of({"a": value})).labels) for value in "12"
    ]

    assert groups[0] != groups[1]
