"""Alert rules, and what mutes them, become values; whatever is wrong is found with file and line."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.documents import ConfigErrors
from notifier.rules.alerting.cadence import Cadence, Remind
from notifier.rules.alerting.plan import AlertPlan
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet

TYPES = ("server.down", "server.recovered")
SMALLEST = """
  - alert: servers
    on: server.*
    recipients: [{list: operators}]
"""


def load(folder: Path, text: str) -> RuleSet:
    """Load one file of rules."""
    (folder / "rules.yaml").write_text("rules:\n" + text)
    return read_rules(folder, types=TYPES, lists=("operators", "builders"))


def plans_of(folder: Path, text: str) -> dict[tuple[str, ...], AlertPlan]:
    """Return the plan of each branch of the rule ``servers``."""
    rule = load(folder, text).alert("servers")
    assert rule is not None
    return {node.path: node.plan for node in rule.root.walk()}


def test_the_smallest_rule_has_plain_defaults(tmp_path: Path) -> None:
    """Half a minute to gather, then every five minutes; each occurrence on its own; ends are told."""
    plan = plans_of(tmp_path, SMALLEST)[()]

    assert plan.cadence == Cadence(
        first_after=timedelta(seconds=30), batch_every=timedelta(minutes=5), remind=None, send_resolved=True
    )
    assert (plan.group_by, plan.group_template) == (("subject",), "notifier/alerts")


@pytest.mark.parametrize(
    ("lines", "want"),
    [
        pytest.param("remind_after: 4h", Remind(first=timedelta(hours=4)), id="always the same"),
        pytest.param(
            "remind_after: {first: 1h, cap: 1d}",
            Remind(first=timedelta(hours=1), grow=2, cap=timedelta(days=1)),
            id="growing twofold unless told otherwise",
        ),
    ],
)
def test_reminders_are_written_short_or_long(tmp_path: Path, lines: str, want: Remind) -> None:
    """One length of time, or how it grows."""
    plan = plans_of(tmp_path, f"{SMALLEST}    {lines}\n")[()]

    assert plan.cadence.remind == want


INHERITING = """
  - alert: servers
    on: server.*
    labels: {site: data.site, team: data.team}
    key: [site, team]
    recipients: [{list: operators}]
    channels: [sms]
    first_after: 10s
    batch_every: 1m
    remind_after: 1h
    send_resolved: false
    active: [days]
    mute: [nights]
    routes:
      - route: builders
        match: team="builders"
        labels: {desk: builders}
        routes:
          - route: rome
            match: [site="rome"]
            labels: {floor: "2"}
            group_by: []
            first_after: 0s
            send_resolved: true
            channels: [email]
            mute: [days]
  - window: days
    intervals: [{times: [{start_time: "09:00", end_time: "17:00"}]}]
  - window: nights
    intervals: [{times: [{start_time: "22:00", end_time: "24:00"}]}]
"""


def test_a_branch_has_what_it_does_not_say_from_its_parent(tmp_path: Path) -> None:
    """All but windows: those hold where they stand."""
    rule = load(tmp_path, INHERITING).alert("servers")
    assert rule is not None
    root, builders, rome = rule.root.walk()

    assert builders.plan.cadence == root.plan.cadence
    assert builders.plan.telling.steps == root.plan.telling.steps
    assert (root.plan.active, root.plan.mute) == (("days",), ("nights",))
    assert (builders.plan.active, builders.plan.mute) == ((), ())
    assert rome.path == ("builders", "rome")
    assert (rome.plan.group_by, rome.plan.mute) == ((), ("days",))
    assert (rome.plan.cadence.first_after, rome.plan.cadence.send_resolved) == (timedelta(0), True)
    assert rome.plan.cadence.remind == root.plan.cadence.remind
    assert [step.channel.value for step in rome.plan.telling.steps] == ["email"]
    assert (builders.labels, rome.labels) == ({"desk": "builders"}, {"desk": "builders", "floor": "2"})


def test_what_mutes_is_shared_by_all_rules(tmp_path: Path) -> None:
    """Windows by name, maintenance and inhibitions; what is switched off is left out."""
    setting = load(tmp_path, SMALLEST + """
  - window: days
    intervals: [{weekdays: ["monday:friday"]}]
  - maintenance: patching
    during: days
    match: site="rome"
  - maintenance: never
    during: days
    match: site="rome"
    enabled: false
  - inhibit: site-down
    source: rule="sites"
    target: rule="servers"
    equal: [site]
  - inhibit: never
    source: rule="sites"
    target: rule="servers"
    enabled: false
""").setting  # fmt: skip

    assert list(setting.windows) == ["days"]
    assert [one.name for one in setting.maintenance] == ["patching"]
    (inhibit,) = setting.inhibits
    assert (inhibit.name, inhibit.equal, inhibit.is_missing_equal) == ("site-down", ("site",), False)


@pytest.mark.parametrize(
    ("lines", "line", "problem"),
    [
        pytest.param("key: [host]", 6, "unknown label 'host'", id="a key no event has"),
        pytest.param("group_by: [host]", 6, "unknown label 'host'", id="a group no event has"),
        pytest.param("key: [severity]", 6, "the severity cannot be part of the key", id="a key that changes"),
        pytest.param("severity: bad", 6, "unknown severity 'bad'", id="a severity nobody knows"),
        pytest.param("active: [days]", 6, "unknown window 'days'", id="a window nobody made"),
        pytest.param("escalate: on-call", 6, "unknown escalation 'on-call'", id="an escalation nobody made"),
        pytest.param("routes: [{route: a, match: 'x=='}]", 6, "", id="a matcher that cannot be read"),
        pytest.param("routes: [{route: a}, {route: a}]", 6, "the route 'a' stands twice", id="two of a name"),
        pytest.param("when: journey.stage == ''", 6, "", id="a journey: alerts have none"),
        pytest.param("resolved: server.gone", 6, "", id="a type nobody knows"),
        pytest.param("ttl: 0s", 6, "", id="over at once"),
        pytest.param("deadline: 0s", 6, "must be more than 0s", id="no time at all"),
        pytest.param("remind_after: {first: 1h, cap: 5m}", 6, "a `cap` below `first`", id="a cap below"),
        pytest.param(
            "routes: [{route: a, match: {team: a}}]", 6, """write 'team="a"'""", id="a mapping for matchers"
        ),
        pytest.param(
            "routes: [{route: a, match: [{team: a}]}]", 6, """write 'team="a"'""", id="a list of mappings"
        ),
        pytest.param("firstafter: 1s", 6, "unknown key", id="a slip of the pen"),
    ],
)
def test_what_is_wrong_is_found_in_its_line(tmp_path: Path, lines: str, line: int, problem: str) -> None:
    """With words a person can act on."""
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path, f"{SMALLEST}    {lines}\n")

    assert [error.line for error in caught.value.errors] == [line]
    assert problem in str(caught.value)


def test_types_and_a_field_may_not_both_say_what_fires(tmp_path: Path) -> None:
    """One of them would be silently without effect."""
    text = f"{SMALLEST}    resolved: server.recovered\n    state: {{field: data.status, firing: [down]}}\n"

    with pytest.raises(ConfigErrors, match="keep one"):
        load(tmp_path, text)


def test_a_rule_must_tell_somebody(tmp_path: Path) -> None:
    """Recipients, or branches that have some."""
    with pytest.raises(ConfigErrors, match="'recipients' is required"):
        load(tmp_path, "  - alert: servers\n    on: server.*\n")


@pytest.mark.parametrize("match", ["''", "'{}'", "'team=~\".*\"'", "['team=\"\"', 'site=~\"a?\"']"])
@pytest.mark.parametrize(
    "entry",
    [
        "  - maintenance: all\n    during: nights\n    match: {}\n",
        '  - inhibit: all\n    source: {}\n    target: team="a"\n',
        '  - inhibit: all\n    source: team="a"\n    target: {}\n',
    ],
    ids=["maintenance", "source", "target"],
)
def test_what_would_mute_everything_is_refused(tmp_path: Path, entry: str, match: str) -> None:
    """As a silence is; in the line it stands on, and `rule=~".+"` says that it is meant."""
    window = "  - window: nights\n    intervals: [{times: [{start_time: '22:00', end_time: '24:00'}]}]\n"
    line = 1 + (window + entry).split("{}")[0].count("\n") + 1

    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path, window + entry.format(match))

    assert [(one.line, one.problem) for one in caught.value.errors] == [(line, "matches every alert")]
    load(tmp_path, window + entry.format("'rule=~\".+\"'"))
