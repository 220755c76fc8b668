"""An alert rule reads events: which alert they speak of, what they say of it, and where that is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.alerts import SEVERITIES, AlertState, AlertStatus
from notifier.decisions import TrackAlert, Verdict
from notifier.events import Event, Json, Recipient
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.alerting.tracking import Tracked, aspect_of, lapse, track
from notifier.rules.load import read_rules

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TYPES = ("server.down", "server.recovered", "server.seen", "server.state", "till.balance")


def rule_of(folder: Path, text: str, **keys: str) -> AlertRule:
    """Load one alert rule of these lines."""
    lines = "".join(f"    {line}\n" for line in (*text.splitlines(), *(f"{k}: {v}" for k, v in keys.items())))
    on = "" if "on:" in text else "    on: [server.down, server.recovered, server.seen, server.state]\n"
    to = "" if "recipients:" in text else "    recipients: [{list: operators}]\n"
    (folder / "rules.yaml").write_text(f"rules:\n  - alert: servers\n{on}{to}{lines}")
    rule = read_rules(folder, types=TYPES, lists=("operators", "builders")).alert("servers")
    assert rule is not None
    return rule


def event_of(name: str = "server.down", minutes: float = 0, **fields: object) -> Event:
    """Return an event about web-1, so many minutes from now."""
    known = {"id": f"{name}{minutes}", "source": "probe", "subject": "web-1", "data": {}, **fields}
    return Event(type=name, time=NOW + timedelta(minutes=minutes), **known)  # type: ignore[arg-type]


def follow(rule: AlertRule, *events: Event) -> Tracked:
    """Return what the last event comes to after those before it, each heard when it happened."""
    states: dict[tuple[str, str], AlertState] = {}
    for event in events:
        tracked = track(rule, event, states, event.time)
        for action in tracked.actions:
            states[rule.name, action.key] = action.state
    return tracked


def action_of(tracked: Tracked) -> TrackAlert:
    """Return the action there must be."""
    return tracked.actions[0]


def test_without_a_word_about_it_every_event_fires_for_its_subject(tmp_path: Path) -> None:
    """The smallest rule: one occurrence per subject, told on its own."""
    rule = rule_of(tmp_path, "resolved: server.recovered")

    began = follow(rule, event_of())
    ended = follow(rule, event_of(), event_of("server.recovered", 5))

    assert (began.verdict, action_of(began).state.status) == (Verdict.TRACKED, AlertStatus.FIRING)
    assert began.reason == "it begins; told by the group of subject"
    (join,) = action_of(began).joins
    assert (join.rule, join.route, join.labels) == ("servers", (), {"subject": "web-1"})
    assert (ended.reason, action_of(ended).is_changed, action_of(ended).joins) == ("it is over", True, ())


def test_labels_come_from_the_event_and_its_data(tmp_path: Path) -> None:
    """As text; what is absent gives none; a mapping is spread."""
    rule = rule_of(
        tmp_path, "labels: {host: data.host, slot: data.slot, rack: data.rack, '*': data.tags}\nkey: [host]"
    )
    data: dict[str, Json] = {"host": "a", "slot": 7, "tags": {"team": "db", "none": None, "on": True}}

    labels = aspect_of(rule, event_of(data=data)).labels

    assert labels == {
        "rule": "servers", "type": "server.down", "subject": "web-1", "source": "probe", "severity": "error",
        "host": "a", "slot": "7", "team": "db", "on": "true",
    }  # fmt: skip


def test_a_label_of_the_rules_own_stands_in_for_ours(tmp_path: Path) -> None:
    """Matchers written for another system find the severities of that system."""
    rule = rule_of(tmp_path, "labels: {severity: data.level}\nseverity: critical")

    aspect = aspect_of(rule, event_of(data={"level": "page"}))

    assert (aspect.labels["severity"], aspect.severity) == ("page", SEVERITIES.index("critical"))


def test_keys_cannot_run_into_each_other(tmp_path: Path) -> None:
    """Each part has its name and its length before it."""
    rule = rule_of(tmp_path, "labels: {a: data.a, b: data.b}\nkey: [a, b]")
    parts = [("x", "yz"), ("xy", "z"), ("xyz", ""), ("", "xyz"), ("1:x", "yz")]

    keys = {aspect_of(rule, event_of(data={"a": a, "b": b})).key for a, b in parts}

    assert len(keys) == len(parts)


def test_without_any_field_of_its_key_the_subject_tells_alerts_apart(tmp_path: Path) -> None:
    """And the trace says so: all of them would be one alert."""
    rule = rule_of(tmp_path, "labels: {host: data.host}\nkey: [host]")

    one, other = (track(rule, event_of(subject=subject), {}, NOW) for subject in ("web-1", "web-2"))

    assert action_of(one).key != action_of(other).key
    assert one.reason.endswith("every field of its key is missing (host): its subject stands in")


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param("down", AlertStatus.FIRING, id="fires"),
        pytest.param("ok", AlertStatus.RESOLVED, id="is over"),
        pytest.param("seen", AlertStatus.ACKNOWLEDGED, id="is taken care of"),
        pytest.param(3, AlertStatus.FIRING, id="a number by its text"),
        pytest.param("odd", None, id="an unknown word"),
        pytest.param(None, None, id="no word"),
    ],
)
def test_a_field_may_say_how_it_stands(tmp_path: Path, value: Json, want: AlertStatus | None) -> None:
    """One type for all states."""
    state = "{field: data.status, firing: [down, '3'], resolved: [up, ok], acknowledged: [seen]}"
    rule = rule_of(tmp_path, f"state: {state}")

    assert aspect_of(rule, event_of("server.state", data={"status": value})).status is want


def test_an_event_that_says_nothing_of_the_alert_is_no_alert(tmp_path: Path) -> None:
    """The trace says why nothing came of it."""
    rule = rule_of(tmp_path, "firing: server.down\nresolved: server.recovered")

    tracked = track(rule, event_of("server.seen"), {}, NOW)

    assert (tracked.verdict, tracked.actions) == (Verdict.CONDITION_FALSE, ())
    assert tracked.reason == "its type says neither that it fires nor that it is over"


@pytest.mark.parametrize(
    ("level", "want", "warning"),
    [
        pytest.param("critical", 3, "", id="as it is written"),
        pytest.param("Critical", 3, "", id="in any case"),
        pytest.param("page", 1, "data.level is none of", id="an unknown word"),
        pytest.param(None, 1, "data.level is none of", id="no word"),
    ],
)
def test_the_data_may_say_how_bad_it_is(tmp_path: Path, level: Json, want: int, warning: str) -> None:
    """An unknown word counts as a warning, and is told in the trace."""
    rule = rule_of(tmp_path, "severity: data.level")

    tracked = track(rule, event_of(data={"level": level}), {}, NOW)

    assert action_of(tracked).state.severity == want
    assert warning in tracked.reason


def test_worse_than_before_is_a_change_and_better_is_none(tmp_path: Path) -> None:
    """Its groups are to look at it only for the former."""
    rule = rule_of(tmp_path, "severity: data.level")
    levels = ["error", "critical", "info"]
    events = [event_of(minutes=n, data={"level": level}) for n, level in enumerate(levels)]

    worse, better = follow(rule, *events[:2]), follow(rule, *events)

    assert (worse.reason, action_of(worse).is_changed) == (
        "it is critical now; told by the group of subject", True,
    )  # fmt: skip
    assert (better.reason, action_of(better).is_changed) == ("nothing new: it is firing", False)


def test_the_data_may_say_from_when_to_when(tmp_path: Path) -> None:
    """Moments without an offset, or that are none, count as not said."""
    rule = rule_of(tmp_path, "begins: data.from\nends: data.to")
    data: dict[str, Json] = {"from": "2026-03-02T07:00:00+01:00", "to": "2026-03-02T12:00:00Z"}

    said = action_of(track(rule, event_of(data=data), {}, NOW)).state
    unsaid = action_of(track(rule, event_of(data={"from": "2026-03-02T07:00:00", "to": 5}), {}, NOW)).state

    assert (said.started_at, said.expires_at) == (NOW - timedelta(hours=3), NOW + timedelta(hours=3))
    assert (unsaid.started_at, unsaid.expires_at) == (NOW, None)


def test_the_order_of_words_is_that_of_the_events_and_not_of_what_they_speak_of(tmp_path: Path) -> None:
    """A second source that knows of an earlier beginning has the newest words all the same."""
    rule = rule_of(tmp_path, "begins: data.from")
    first = event_of(minutes=1, data={"from": "2026-03-02T09:00:30Z", "text": "old"})
    second = event_of(minutes=2, data={"from": "2026-03-02T08:59:00Z", "text": "new"})

    state = action_of(follow(rule, first, second)).state

    assert state.started_at == NOW - timedelta(minutes=1)
    assert state.newest is not None
    assert state.newest.data["text"] == "new"


ROUTES = """
labels: {team: data.team, site: data.site}
group_by: [site]
recipients: [{list: operators}]
routes:
  - route: builders
    match: team="builders"
    continue: true
    group_by: []
    recipients: [{data: owner}]
  - route: berlin
    match: [site="berlin", 'team!=""']
"""


@pytest.mark.parametrize(
    ("data", "want"),
    [
        pytest.param({"site": "rome"}, [((), {"site": "rome"})], id="nobody else: the root"),
        pytest.param({}, [((), {"site": ""})], id="a label that is missing is the empty text"),
        pytest.param({"team": "it", "site": "berlin"}, [(("berlin",), {"site": "berlin"})], id="one branch"),
        pytest.param(
            {"team": "builders", "site": "berlin"},
            [(("builders",), {}), (("berlin",), {"site": "berlin"})],
            id="several with continue",
        ),
    ],
)
def test_an_alert_joins_a_group_on_every_branch_that_answers(
    tmp_path: Path, data: dict[str, Json], want: list[tuple[tuple[str, ...], dict[str, str]]]
) -> None:
    """Each with what that branch groups by."""
    action = action_of(track(rule_of(tmp_path, ROUTES), event_of(data=data), {}, NOW))

    assert [(join.route, join.labels) for join in action.joins] == want


def test_alerts_that_name_different_people_are_different_groups(tmp_path: Path) -> None:
    """Nobody reads in a message what was meant for somebody else."""
    rule = rule_of(tmp_path, ROUTES)
    owners = ["ann@x.example", "bob@x.example", "ANN@x.example"]

    joins = [
        action_of(track(rule, event_of(data={"team": "builders", "owner": owner}), {}, NOW)).joins[0]
        for owner in owners
    ]

    assert joins[0].people == (Recipient(email="ann@x.example"),)
    assert joins[0].key == joins[2].key != joins[1].key


def test_too_few_are_counted_and_told_of_nowhere(tmp_path: Path) -> None:
    """Below its threshold an alert is quiet; the trace has the count."""
    rule = rule_of(tmp_path, "detect: {count: {at_least: 3, within: 10m}}\nresolved: server.recovered")
    downs = [event_of(minutes=n) for n in range(3)]

    few, enough = follow(rule, *downs[:2]), follow(rule, *downs)

    assert (few.verdict, action_of(few).state.status) == (Verdict.BELOW_THRESHOLD, AlertStatus.QUIET)
    assert (action_of(few).joins, action_of(few).is_changed) == ((), False)
    assert (enough.verdict, action_of(enough).state.status) == (Verdict.TRACKED, AlertStatus.FIRING)
    assert ">=" in enough.reason


def test_time_alone_ends_what_is_not_heard_of(tmp_path: Path) -> None:
    """Its groups look at it; it joins none."""
    rule = rule_of(tmp_path, "ttl: 15m")
    began = action_of(follow(rule, event_of()))

    over = lapse(rule, began.key, began.state, NOW + timedelta(minutes=15))

    assert (over.state.status, over.is_changed, over.joins) == (AlertStatus.RESOLVED, True, ())


def test_time_alone_fires_what_should_have_been_heard_of(tmp_path: Path) -> None:
    """A heartbeat that stays away: told where the last one would have been."""
    rule = rule_of(tmp_path, "detect: {heartbeat: {every: 10m, grace: 5m}}\nseverity: critical")
    beat = action_of(follow(rule, event_of(data={"text": "alive"})))
    assert beat.state.due_at == NOW + timedelta(minutes=15)

    missed = lapse(rule, beat.key, beat.state, NOW + timedelta(minutes=15))

    assert (missed.state.status, missed.is_changed, len(missed.joins)) == (AlertStatus.FIRING, True, 1)
    assert (missed.state.severity, missed.state.started_at) == (3, NOW + timedelta(minutes=15))
    again = track(
        rule, event_of("server.seen", 20), {("servers", beat.key): missed.state}, NOW + timedelta(minutes=20)
    )
    assert action_of(again).state.status is AlertStatus.RESOLVED


def test_a_new_key_spikes_once_others_of_its_rule_were_watched(tmp_path: Path) -> None:
    """A key seen for the first time may speak at once, when the rule as a whole knows what is usual."""
    rule = rule_of(tmp_path, "detect: {spike: {within: 10m, height: 2, min_now: 3, new_keys: true}}")
    usual = [event_of(minutes=5 * n) for n in range(8)]
    new = [event_of(minutes=40 + n / 10, subject="web-2") for n in range(3)]

    warm, cold = follow(rule, *usual, *new), follow(rule, *new)

    assert (warm.verdict, cold.verdict) == (Verdict.TRACKED, Verdict.BELOW_THRESHOLD)
