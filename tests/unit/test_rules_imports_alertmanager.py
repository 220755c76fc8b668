"""An ``alertmanager.yml`` becomes rules of ours, and everything without an equal is told with its line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from notifier.errors import ConfigError
from notifier.events import Event
from notifier.rules.alerting.identity import labels_of
from notifier.rules.alerting.inhibition import Firing, inhibitor_of
from notifier.rules.alerting.plan import AlertPlan, AlertRule
from notifier.rules.alerting.routes import Node, answering
from notifier.rules.alerting.windows import is_inside
from notifier.rules.imports.alertmanager import EVENT_TYPE, Imported, import_alertmanager
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet

FILE = Path("alertmanager.yml")
RECEIVERS = """
receivers:
- name: ops
  email_configs: [{to: ops@example.org}]
- name: db
  email_configs: [{to: db@example.org}]
"""


def imported(text: str) -> Imported:
    """Import a file; receivers are added where it has none."""
    text = dedent(text)
    return import_alertmanager(text if "receivers:" in text else text + RECEIVERS, FILE)


def loaded(found: Imported, folder: Path) -> RuleSet:
    """Read what was made as any rules are read."""
    (folder / "rules.yaml").write_text(found.rules_text, encoding="utf-8")
    return read_rules(folder, types=[EVENT_TYPE], lists=found.lists)


def rule_of(text: str, folder: Path) -> AlertRule:
    """Return the alert rule of a file."""
    rule = loaded(imported(text), folder).alert("alertmanager")
    assert rule is not None
    return rule


def told(rule: AlertRule, **labels: str) -> tuple[Node[AlertPlan], ...]:
    """Return the routes that answer for an alert with these labels."""
    event = Event(
        id="1", source="am", type=EVENT_TYPE, subject="x", time=datetime(2026, 3, 2, tzinfo=UTC),
        data={"labels": labels},
    )  # fmt: skip
    return answering(rule.root, labels_of(rule, event))


def remarks(text: str) -> list[str]:
    """Return ``line: problem`` of each remark."""
    return [f"{one.line}: {one.problem}" for one in imported(text).remarks]


def test_the_root_has_alertmanagers_defaults(tmp_path: Path) -> None:
    """30 s, 5 min, 4 h, and all alerts in one group."""
    plan = rule_of("route: {receiver: ops}", tmp_path).root.plan

    assert plan.group_by == ()
    assert plan.cadence.first_after == timedelta(seconds=30)
    assert plan.cadence.batch_every == timedelta(minutes=5)
    assert plan.cadence.remind is not None
    assert (plan.cadence.remind.first, plan.cadence.remind.grow) == (timedelta(hours=4), 1.0)


TREE = """
route:
  receiver: ops
  group_by: [alertname]
  group_wait: 10s
  routes:
  - match: {team: db}
    match_re: {env: prod|stage}
    matchers: ['level!="info"']
    receiver: db
    continue: yes
    routes:
    - matchers: [severity="page"]
      group_by: ['...']
    - matchers: [severity="none"]
      group_by: []
  - matchers: 'team=~"db|web"'
    group_wait: 1m
"""


@pytest.mark.parametrize(
    ("labels", "routes"),
    [
        ({"team": "db", "env": "prod"}, [("db",), ("ops",)]),
        ({"team": "db", "env": "production"}, [("ops",)]),
        ({"team": "db", "env": "prod", "level": "info"}, [("ops",)]),
        ({"team": "db", "env": "stage", "severity": "page"}, [("db", "db"), ("ops",)]),
        ({"team": "db", "env": "stage", "severity": "none"}, [("db", "db-2"), ("ops",)]),
        ({"team": "web"}, [("ops",)]),
        ({}, [()]),
    ],
)
def test_routes_answer_as_the_originals_do(
    tmp_path: Path, labels: dict[str, str], routes: list[tuple[str, ...]]
) -> None:
    """All three ways to write matchers at once; whole values; ``continue``; severities stay as they are."""
    rule = rule_of(TREE, tmp_path)

    assert [node.path for node in told(rule, **labels)] == routes


def test_routes_inherit_what_they_leave_out(tmp_path: Path) -> None:
    """As the original: an empty ``group_by`` says nothing, ``...`` says each by itself."""
    rule = rule_of(TREE, tmp_path)
    page, none, web = (
        told(rule, **labels)[0].plan
        for labels in (
            {"team": "db", "env": "prod", "severity": "page"},
            {"team": "db", "env": "prod", "severity": "none"},
            {"team": "web"},
        )
    )

    assert [one.group_by for one in (page, none, web)] == [("...",), ("alertname",), ("alertname",)]
    assert [one.cadence.first_after.seconds for one in (page, none, web)] == [10, 10, 60]
    assert page.telling.sources == none.telling.sources != web.telling.sources


@pytest.mark.parametrize(
    ("repeat", "interval", "reminds"),
    [("4h", "5m", "4h"), ("5m", "5m", "5m"), ("12m", "5m", "15m"), ("1m", "5m", "5m"), ("1w", "1d", "7d")],
)
def test_a_repeat_comes_on_a_tick(repeat: str, interval: str, reminds: str) -> None:
    """Rounded up to a multiple of the group's interval, and only then said."""
    text = f"route: {{receiver: ops, group_interval: {interval}, repeat_interval: {repeat}}}"

    assert imported(text).rules[0]["remind_after"] == reminds
    is_same = {"1w": "7d"}.get(repeat, repeat) == reminds
    assert any("repeats after" in one for one in remarks(text)) is not is_same


def test_a_repeat_is_rounded_anew_where_the_interval_changes() -> None:
    """A child's own interval moves the ticks of what it inherits."""
    found = imported("""
        route:
          receiver: ops
          routes:
          - {match: {a: b}, group_interval: 7m}
          - {match: {a: c}}
    """)

    first, second = found.rules[0]["routes"]
    assert first["remind_after"] == "4h5m"
    assert "remind_after" not in second
    assert [one.line for one in found.remarks if "repeats after" in one.problem] == [5]


def test_labels_of_the_root_reach_every_route(tmp_path: Path) -> None:
    """Ours has no constant labels: one route for all alerts carries them."""
    rule = rule_of(
        """
        route:
          receiver: ops
          labels: {site: fra, team: ops}
          routes:
          - {match: {a: b}, labels: {team: db}}
        """,
        tmp_path,
    )

    assert [dict(node.labels) for node in told(rule)] == [{"site": "fra", "team": "ops"}]
    assert [dict(node.labels) for node in told(rule, a="b")] == [{"site": "fra", "team": "db"}]


RECEIVING = """
route:
  receiver: mails
  routes:
  - {receiver: pager, matchers: [a=b]}
  - {receiver: "null", matchers: [a=c]}
receivers:
- name: mails
  email_configs:
  - to: 'One <one@example.org>, two@example.org'
    send_resolved: true
    smarthost: localhost:25
    html: x
  - to: '{{ .CommonLabels.owner }}'
- name: pager
  pagerduty_configs: [{routing_key: k}]
- name: 'null'
- name: spare
  slack_configs: [{channel: x}]
"""


def test_mails_become_lists_and_the_rest_waits_for_people() -> None:
    """Names and addresses are taken over; a receiver without an equal is an empty list; a black hole is none."""
    found = imported(RECEIVING)

    assert found.lists == {
        "mails": ({"email": "one@example.org", "name": "One"}, "two@example.org"),
        "pager": (),
    }
    assert found.receivers == {"mails": "mails", "pager": "pager", "null": None}
    assert "one@example.org" in found.rules_text


def test_a_black_hole_tells_nobody(tmp_path: Path) -> None:
    """Neither does it inherit whom its parent tells; a file that is nothing else is a rule all the same."""
    rule = rule_of(RECEIVING, tmp_path)
    alone = rule_of("{route: {receiver: x}, receivers: [{name: x}]}", tmp_path)

    assert told(rule, a="c")[0].plan.telling.sources == ()
    assert told(rule)[0].plan.telling.sources
    assert told(alone)[0].plan.telling.sources == ()


@pytest.mark.parametrize(
    ("configs", "is_sent", "is_mixed"),
    [
        ("email_configs: [{to: a@b.c}]", False, False),
        ("email_configs: [{to: a@b.c, send_resolved: true}]", True, False),
        ("email_configs: [{to: a@b.c, send_resolved: true}, {to: d@b.c}]", True, True),
        ("email_configs: [{to: a@b.c}], webhook_configs: [{url: x}]", False, False),
        ("webhook_configs: [{url: x}]", True, False),
        ("slack_configs: [{channel: x}]", False, False),
        ("pagerduty_configs: [{url: x, send_resolved: false}]", False, False),
    ],
)
def test_what_is_over_is_told_as_the_receiver_says(configs: str, *, is_sent: bool, is_mixed: bool) -> None:
    """With the default of its kind; mails decide where there are any."""
    text = f"{{route: {{receiver: x}}, receivers: [{{name: x, {configs}}}]}}"

    assert imported(text).rules[0]["send_resolved"] is is_sent
    assert any("some does not" in one for one in remarks(text)) is is_mixed


INHIBITING = """
route: {receiver: ops}
inhibit_rules:
- source_match: {severity: critical}
  target_match_re: {severity: warning|info}
  equal: [cluster]
- source_matchers: ['alertname="SiteDown"']
  target_matchers: ['alertname!="SiteDown"', 'site=~"fra.*"']
"""


@pytest.mark.parametrize(
    ("source", "target", "is_muted"),
    [
        ({"severity": "critical", "cluster": "a"}, {"severity": "info", "cluster": "a"}, True),
        ({"severity": "critical", "cluster": "a"}, {"severity": "info", "cluster": "b"}, False),
        ({"severity": "critical"}, {"severity": "warning"}, True),
        ({"severity": "critical"}, {"severity": "none"}, False),
        ({"alertname": "SiteDown"}, {"alertname": "x", "site": "fra1"}, True),
        ({"alertname": "SiteDown"}, {"alertname": "x"}, False),
    ],
)
def test_inhibit_rules_mute_as_the_originals_do(
    tmp_path: Path, source: dict[str, str], target: dict[str, str], *, is_muted: bool
) -> None:
    """Labels that both lack are equal here; the alerts of other rules are left alone."""
    rules = loaded(imported(INHIBITING), tmp_path).setting.inhibits
    now = datetime(2026, 3, 2, tzinfo=UTC)

    def muted(name: str) -> bool:
        firing = Firing(labels={**source, "rule": name}, starts_at=now)
        return inhibitor_of(rules, {**target, "rule": name}, [firing], now) is not None

    assert muted("alertmanager") is is_muted
    assert not muted("server-down")


TIMES = """
route:
  receiver: ops
  routes:
  - matchers: [a=b]
    mute_time_intervals: [Out of Hours, out-of-hours]
    active_time_intervals: [never]
time_intervals:
- name: Out of Hours
  time_intervals:
  - times: [{start_time: 18:00, end_time: 24:00}]
    weekdays: ['Monday:Friday']
    days_of_month: [1, '-3:-1']
    months: [3]
    years: [2026]
    location: Europe/Berlin
- name: never
mute_time_intervals:
- name: out-of-hours
  time_intervals: [{weekdays: [sunday], location: Local}]
"""


def test_time_intervals_become_windows(tmp_path: Path) -> None:
    """Under names of ours, each its own; the older key too; a name without intervals never holds."""
    rules = loaded(imported(TIMES), tmp_path)
    windows = rules.setting.windows
    rule = rules.alert("alertmanager")
    assert rule is not None
    plan = told(rule, a="b")[0].plan

    assert (plan.mute, plan.active) == (("out-of-hours", "out-of-hours-2"), ("never",))
    # The last day of March 2026 is a Tuesday; Berlin is two hours ahead of UTC.
    assert is_inside(windows["out-of-hours"], datetime(2026, 3, 31, 16, 0, tzinfo=UTC))
    assert not is_inside(windows["out-of-hours"], datetime(2026, 3, 31, 15, 59, tzinfo=UTC))
    assert not any(is_inside(windows["never"], datetime(2026, 2, day, tzinfo=UTC)) for day in range(1, 29))
    assert any("`Local` has no equal" in one for one in remarks(TIMES))


@pytest.mark.parametrize(
    ("text", "told_of"),
    [
        ("global: {resolve_timeout: 5m}\nroute: {receiver: ops}", "1: became `ttl`"),
        ("global: {smtp_from: a, slack_api_url: b}\nroute: {receiver: ops}", "1: smtp_from: mails go over"),
        ("global: {smtp_from: a, slack_api_url: b}\nroute: {receiver: ops}", "1: has no equal"),
        ("route: {receiver: ops}\ntemplates: [x]", "2: Go templates"),
        ("route: {receiver: ops}\ntracing: {a: b}", "2: not known"),
        ("route:\n  receiver: ops\n  colour: red", "3: not known"),
        ("route:\n  receiver: ops\n  group_by: [type]", "3: an alert without the label `type` has"),
        ("route:\n  receiver: ops\n  group_by: [rule]", "3: the label `rule` is always alertmanager here"),
        (
            "route:\n  receiver: ops\n  routes: [{match: {severity: warning}}]",
            "3: an alert without the label",
        ),
        (
            "route:\n  receiver: ops\n  routes: [{matchers: ['a=\"x\\d\"']}]",
            "3: Alertmanager reads this by its",
        ),
        (RECEIVING, "10: smarthost: mails go over"),
        (RECEIVING, "10: html: our mails have"),
        (RECEIVING, "14: an address made by a template"),
        (RECEIVING, "16: pagerduty has no equal: the list 'pager'"),
        (RECEIVING, "18: no route names the receiver 'spare'"),
    ],
)
def test_what_has_no_equal_is_told_with_its_line(text: str, told_of: str) -> None:
    """Each with its place and what to do."""
    assert any(one.startswith(told_of) for one in remarks(text)), remarks(text)
    assert all(one.mend and one.file == FILE for one in imported(text).remarks)


def test_a_severity_that_alerts_bring_needs_no_remark() -> None:
    """Only what an alert without the label would change is told."""
    assert remarks("route: {receiver: ops, routes: [{match: {severity: critical}, receiver: db}]}") == []


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: b", 1, "has no `route:`"),
        ("- a # receivers:", 1, "must be a mapping"),
        ("receivers: [a}", 1, "not YAML"),
        ("route:\n  receiver: nobody", 2, "no receiver 'nobody'"),
        ("route:\n  group_wait: 5m", 1, "no receiver ''"),
        ("route:\n  receiver: ops\n  group_wait: 5", 3, "no length of time"),
        ("route:\n  receiver: ops\n  group_wait: 5m1h", 3, "no length of time"),
        ("route:\n  receiver: ops\n  group_wait: 9999999999999m", 3, "length of time"),
        ("route:\n  receiver: ops\n  group_interval: 0s", 3, "more than nothing"),
        ("route:\n  receiver: ops\n  matchers: [a=b]", 3, "is for every alert"),
        ("route:\n  receiver: ops\n  group_by: [a, '...']", 3, "beside others"),
        ("route:\n  receiver: ops\n  routes: {a: b}", 3, "must be a list"),
        ("route:\n  receiver: ops\n  routes:\n  - matchers: [a]", 4, "one of =, "),
        ("route:\n  receiver: ops\n  routes:\n  - match_re: {a: '('}", 4, "no RE2 pattern"),
        ("route:\n  receiver: ops\n  routes:\n  - mute_time_intervals: [x]", 4, "no time interval 'x'"),
        ("route: {receiver: ops}\ntime_intervals:\n- name: x\n  time_intervals: [{weekdays: [someday]}]", 4, "weekday"),
        ("route: {receiver: ops}\ntime_intervals: [{name: x}, {name: x}]", 2, "a name of its own"),
        ("route: {receiver: x}\nreceivers: [{name: x}, {name: x}]", 2, "a name of its own"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    """What Alertmanager itself would refuse is not guessed at."""
    with pytest.raises(ConfigError) as refused:
        imported(text)

    assert problem in refused.value.problem
    assert (refused.value.line, refused.value.file) == (line, FILE)


def test_texts_are_taken_as_they_are_written(tmp_path: Path) -> None:
    """No number, no time of day to the base of 60, no yes or no becomes anything else."""
    rule = rule_of(
        """
        route:
          receiver: ops
          routes:
          - match: {version: 1.10, at: 10:20, on: yes, none: null}
        """,
        tmp_path,
    )

    assert told(rule, version="1.10", at="10:20", on="yes")[0].path == ("ops",)
    assert told(rule, version="1.1", at="10:20", on="yes")[0].path == ()


def test_what_is_merged_in_counts() -> None:
    """Anchors and merge keys are how people share settings."""
    found = imported("""
        base: &base {group_wait: 10s, matchers: [a=b]}
        route:
          receiver: ops
          routes:
          - {<<: *base, receiver: db}
    """)

    assert found.rules[0]["routes"] == [
        {"route": "db", "match": ['a="b"'], "first_after": "10s", "recipients": [{"list": "db"}]}
    ]


def test_the_same_file_gives_the_same_text() -> None:
    """So that a second import shows what changed."""
    assert imported(TREE).rules_text == imported(TREE).rules_text
