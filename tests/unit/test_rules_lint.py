"""What loading accepts and nobody can have meant is found, with its line; what is right is left alone."""

from pathlib import Path
from textwrap import dedent

import pytest

from notifier.catalog.types import Catalog
from notifier.documents import Documents, parse
from notifier.documents import load as load_yaml
from notifier.events import Recipient
from notifier.recipients.lists import read_list
from notifier.rules.lint import Lint, lint
from notifier.rules.lint.labels import is_required

ROOT = Path(__file__).parents[2]
EVENTS = """
events:
  - &type
    type: server.down
    title: x
    category: x
    class: operational
    audience: [operators, to]
    sample: {host: a}
    sample_subject: a
    schema:
      type: object
      additionalProperties: false
      required: [host]
      properties: &fields
        host: {type: string}
        site: {type: string}
        severity: {type: string}
        load: {type: number}
        at: {type: string}
        owner: {type: object, additionalProperties: false, properties: {email: {type: string}}}
        checks: {type: array, items: {type: object, additionalProperties: false, properties: {name: {type: string}}}}
  - <<: *type
    type: server.recovered
  - <<: *type
    type: network.lost
    sample: {link: a}
    audience: ["*"]
    schema:
      type: object
      additionalProperties: false
      required: [link]
      properties: {link: {type: string}, site: {type: string}}
  - <<: *type
    type: anything.said
    schema: {type: object}
"""
LISTS = {
    "operators": (Recipient(email="ops@example.org"),),
    "sales": (Recipient(email="sales@example.org"),),
    "nobody": (),
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Return a small catalogue."""
    folder = tmp_path_factory.mktemp("events")
    (folder / "events.yaml").write_text(EVENTS, encoding="utf-8")
    return Catalog.load(folder)


def found(catalog: Catalog, text: str) -> tuple[Lint, ...]:
    """Check a file of rules, without `rules:` at its top."""
    return lint([parse("rules:\n" + dedent(text).strip("\n"), Path("rules.yaml"))], catalog, LISTS)


def told(catalog: Catalog, text: str) -> list[tuple[str, int | None, str]]:
    """Return severity, line and problem of each finding."""
    return [(one.severity, one.error.line, one.error.problem) for one in found(catalog, text)]


def notify(**keys: str) -> str:
    """Return a notify rule; its keys stand on lines 3 and on."""
    given = {"on": "server.down", "recipients": "[to]", **keys}
    return "- notify: it\n" + "".join(f"  {key}: {value}\n" for key, value in given.items())


def alert(**keys: str) -> str:
    """Return an alert rule."""
    given = {"on": "[server.down, server.recovered]", "resolved": "server.recovered", "recipients": "[to]"}
    return "- alert: it\n" + "".join(f"  {key}: {value}\n" for key, value in {**given, **keys}.items())


LABELS = "{host: data.host, site: data.site}"


@pytest.mark.parametrize(
    "text",
    [
        notify(when="\"data.host == 'a' && event.tenant == 'x'\""),
        notify(when="\"data.checks.exists(c, c.name == 'x') && data.checks[0].name == 'y'\""),
        notify(on="[server.down, network.lost]", when="\"has(data.host) && data.host == 'a'\""),
        notify(on="anything.said", when='"data.whatever.you.like == 1"'),
        notify(recipients="[{data: owner.email}, {list: operators}]"),
        notify(on="network.lost", recipients="[{list: sales}]"),
        alert(labels=LABELS, key="[host]", group_by="[site]", severity="data.severity"),
        alert(labels=LABELS, key="[site, subject]"),
        alert(labels='{"*": data.owner}', key='["..."]', routes="[{route: a, match: 'x=y', group_by: [z]}]"),
        alert(detect="{crossing: {field: data.load, above: 3}}", begins="data.at"),
        alert(remind_after="5m"),
        alert(remind_after="1m", batch_every="30s"),
        alert(
            labels=LABELS, routes="[{route: a, match: 'site=x', continue: true}, {route: b, match: 'site=x'}]"
        ),
        alert(labels=LABELS, routes="[{route: a, match: 'site=x'}, {route: b, match: 'site=~\"x|y\"'}]"),
        alert(
            on="[server.down, network.lost]",
            resolved="null",
            routes="[{route: a, match: type=server.down}, {route: b}]",
        ),
        alert(labels=LABELS, routes="[{route: a, match: 'site=='}, {route: b, match: 'site=x'}]"),
        alert(labels=LABELS, recipients="[]", routes="[{route: a, match: 'site=x', recipients: [to]}]"),
        "- notify: it\n  on: server.down\n  enabled: false\n  recipients: [{data: nowhere}]\n  when: 'false'\n",
    ],
)
def test_what_is_right_is_left_alone(catalog: Catalog, text: str) -> None:
    """A check that cries wolf is switched off."""
    assert told(catalog, text) == []


@pytest.mark.parametrize(
    ("text", "severity", "line", "problem"),
    [
        (notify(when="data.hots == 'a'"), "error", 5, "no event of server.down has the field data.hots"),
        (notify(when="event.kind == 'a'"), "error", 5, "has the field event.kind"),
        (notify(when="data.owner.mail == 'a'"), "error", 5, "has the field data.owner.mail"),
        (notify(when="data['hots'] == 'a'"), "error", 5, "has the field data.hots"),
        (
            notify(on="[server.down, network.lost]", when="data.host == 'a'"),
            "warning", 5, "data.host is no field of network.lost: the condition fails there",
        ),
        (notify(recipients="[{data: owner.mail}]"), "error", 4, "has the field data.owner.mail"),
        (notify(recipients="[{contact: owner.id}]"), "error", 4, "has the field data.owner.id"),
        (notify(recipients="[{data: owner.email, phone: owner.phone}]"), "error", 4, "data.owner.phone"),
        (
            notify(on="[server.down, network.lost]", recipients="[{data: owner.email}]"),
            "warning", 4, "no field of network.lost: nobody is told",
        ),
        (alert(labels="{rack: data.rack}"), "error", 6, "no event of server.down has the field data.rack"),
        (alert(severity="data.level"), "error", 6, "data.level"),
        (alert(state="{field: data.state, firing: [a]}", resolved="null"), "error", 6, "data.state"),
        (alert(detect="{crossing: {field: data.lod, above: 3}}"), "error", 6, "data.lod"),
        (alert(ends="data.until"), "error", 6, "data.until"),
        (
            alert(on="[server.down, network.lost]", labels="{host: data.host}", key="[host]", resolved="network.lost"),
            "warning", 6, "data.host is no field of network.lost, and the key needs it",
        ),
    ],
)  # fmt: skip
def test_a_field_no_event_can_have_is_found(
    catalog: Catalog, text: str, severity: str, line: int, problem: str
) -> None:
    """Wherever a rule looks at one; an error where no type has it."""
    assert any(
        (one, where) == (severity, line) and problem in words for one, where, words in told(catalog, text)
    ), told(catalog, text)


def test_a_slip_is_told_with_what_was_meant(catalog: Catalog) -> None:
    """The nearest field of the schema."""
    (one,) = found(catalog, notify(when="data.hots == 'a'"))

    assert one.error.mend == "did you mean 'data.host'?"


@pytest.mark.parametrize(
    ("journey", "problem"),
    [
        ("subject: data.rma\n  stages: [{stage: a, on: server.down, recipients: [to]}]", "data.rma"),
        ("defaults: {recipients: [{data: mail}]}\n  stages: [{stage: a, on: server.down}]", "data.mail"),
        ("stages: [{stage: a, on: server.down, recipients: [to], when: data.x}]", "data.x"),
    ],
)
def test_the_stages_of_a_journey_are_checked_with_their_defaults(
    catalog: Catalog, journey: str, problem: str
) -> None:
    """Once, however many stages share a default."""
    ((severity, _, words),) = told(catalog, f"- journey: it\n  {journey}\n")

    assert severity == "error"
    assert problem in words


def test_a_reminder_needs_its_date(catalog: Catalog) -> None:
    """And the zone's path, where one is named."""
    text = """
    - reminder: it
      on: server.down
      date: data.due
      offsets: [-1d]
      zone: [data.zone, Europe/Berlin]
      event: anything.said
    """

    assert [(line, problem[-8:]) for _, line, problem in told(catalog, text)] == [
        (4, "data.due"),
        (6, "ata.zone"),
    ]


@pytest.mark.parametrize(
    ("routes", "problem"),
    [
        ("[{route: a}, {route: b, match: 'site=x'}]", "'a' before it takes all"),
        ("[{route: a, match: 'site=~\"x|y\"'}, {route: b, match: 'site=x'}]", "'a' before it takes all"),
        (
            "[{route: a, match: 'site!=x'}, {route: b, match: ['site=y', 'host=z']}]",
            "'a' before it takes all",
        ),
        (
            "[{route: a, match: 'host=~\"z.*\"'}, {route: b, match: ['site=y', 'host=~\"z.*\"']}]",
            "'a' before",
        ),
        ("[{route: a, match: 'rule=it'}, {route: b}]", "'a' before it takes all"),
        ("[{route: a, match: 'type=server.down'}, {route: b}]", "'a' before it takes all"),
        ("[{route: a, match: 'severity=error'}, {route: b}]", "'a' before it takes all"),
        ("[{route: a, match: 'site=~\".*\"'}, {route: b}]", "'a' before it takes all"),
        ("[{route: a, match: ['site=x', 'site=y']}]", "no value of 'site'"),
        ("[{route: a, match: 'site=x', routes: [{route: b, match: 'site!=x'}]}]", "no value of 'site'"),
        ("[{route: a, match: 'severity=critical'}]", "no value of 'severity'"),
        ("[{route: a, match: 'rule=other'}]", "no value of 'rule'"),
        ("[{route: a, match: 'type=server.recovered'}]", "no value of 'type'"),
        ("[{route: a, match: 'rack=x'}]", "no alert of the rule has the label 'rack'"),
        ("[{route: a, match: 'site=x', group_by: [rack]}]", "no alert has the label 'rack'"),
    ],
)
def test_a_route_that_never_answers_is_found(catalog: Catalog, routes: str, problem: str) -> None:
    """Taken by an earlier one, against its parents, or about labels that are not there."""
    ((severity, line, words),) = told(catalog, alert(labels=LABELS, routes=routes))

    assert (severity, line) == ("error", 7)
    assert problem in words


@pytest.mark.parametrize(
    ("text", "severity", "problem"),
    [
        (notify(when="1 + 1 == 2"), "warning", "always true"),
        (notify(when="'false'"), "error", "never true"),
        (alert(firing="network.lost"), "error", "network.lost never comes here"),
        (alert(resolved="network.lost"), "error", "network.lost never comes here"),
        (alert(resolved="[server.*]"), "error", "nothing ever fires it"),
        (alert(remind_after="1m"), "warning", "reminders come sooner"),
        (alert(routes="[{route: a, remind_after: 10m, batch_every: 1h}]"), "warning", "reminders come sooner"),
        (alert(labels="{site: data.site}", key="[site]"), "warning", "may lack every field of the key"),
        (alert(key="[severity]"), "warning", "server.down, server.recovered may lack every field of the key"),
        (notify(recipients="[{list: nobody}]"), "error", "the list 'nobody' is empty"),
        (notify(recipients="[to, {list: nobody}]"), "warning", "the list 'nobody' is empty"),
        (notify(recipients="[{list: sales}]"), "error", "nobody on 'sales' is in the audience of server.down"),
        (alert(routes="[{route: a, recipients: [{list: nobody}]}]"), "error", "the list 'nobody' is empty"),
        ("- window: w\n  intervals: [{months: [may]}]\n", "warning", "no rule uses this window"),
        ("- escalation: e\n  steps: [{recipients: [to]}]\n", "warning", "no rule uses this escalation"),
        (
            alert(escalate="e") + "- escalation: e\n  steps: [{recipients: [{list: nobody}]}]\n",
            "error", "the list 'nobody' is empty",
        ),
        (
            alert(mute="[w]") + "- window: w\n  intervals: [{months: [may]}]\n"
            "- maintenance: m\n  during: [w]\n  match: 'site=x'\n",
            "warning", "no alert rule makes such an alert",
        ),
    ],
)  # fmt: skip
def test_what_never_comes_to_pass_is_found(catalog: Catalog, text: str, severity: str, problem: str) -> None:
    """One finding each, and nothing beside it."""
    ((one, _, words),) = told(catalog, text)

    assert one == severity
    assert problem in words


def test_what_no_route_takes_is_told_to_nobody(catalog: Catalog) -> None:
    """Unless the rule says that nobody is meant, or a route takes everything."""
    text = "- alert: it\n  on: server.down\n  labels: {site: data.site}\n  routes:\n"

    some = told(catalog, f"{text}  - {{route: a, match: 'site=x', recipients: [to]}}\n")
    every = told(catalog, f"{text}  - {{route: a, recipients: [to]}}\n")

    assert [problem for _, _, problem in some] == ["nobody is told of alerts that no route takes"]
    assert every == []


def test_a_rotation_is_a_list_with_people(catalog: Catalog) -> None:
    """Its people must be in the audience like those of any list."""
    text = """
    - rotation: turns
      layers: [{people: [ann@example.org], start: "2026-01-05", every: 1w, only: [w]}]
    - window: w
      intervals: [{months: [may]}]
    """

    assert told(catalog, text + notify(on="network.lost", recipients="[{list: turns}]")) == []
    assert [one[2] for one in told(catalog, dedent(text) + notify(recipients="[{list: turns}]"))] == [
        "nobody on 'turns' is in the audience of server.down"
    ]


TURNS = """
- rotation: turns
  layers: [{people: [ann@example.org], start: "2026-01-05", every: 1w, only: [w]}]
- window: w
  intervals: [{months: [may]}]
"""
CALM = "- alert: it\n  on: network.lost\n  labels: {site: data.site}\n  recipients: [to]\n"


@pytest.mark.parametrize("name", ["sales", "turns"])
@pytest.mark.parametrize(
    "key", ["steps: [{recipients: [{list: LIST}]}]", "at_end: {recipients: [{list: LIST}]}"]
)
@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        (alert(escalate="e"), "server.down, server.recovered"),
        (alert(routes="[{route: a, escalate: e}]"), "server.down, server.recovered"),
        (alert(escalate="e", routes="[{route: a}]", on="server.down", resolved="null"), "server.down"),
        (CALM + "  escalate: e\n", ""),
    ],
)
def test_an_escalation_tells_who_may_be_told(
    catalog: Catalog, rule: str, refused: str, key: str, name: str
) -> None:
    """Whoever a step names must be in the audience of every type of the rules and routes that use it."""
    steps = "" if key.startswith("steps") else "  steps: [{recipients: [to]}]\n"
    last = f"  {key.replace('LIST', name)}\n"

    findings = found(catalog, TURNS + rule + "- escalation: e\n" + steps + last)

    assert [(one.severity, one.error.problem) for one in findings] == (
        [("error", f"nobody on {name!r} is in the audience of {refused}")] if refused else []
    )
    for one in findings:
        assert one.error.line == len((TURNS.lstrip() + rule + steps).splitlines()) + 3
        assert one.error.mend == f"add {name} to its `audience` in config/events"


INHIBIT = "- inhibit: i\n  source: 'rule=it'\n  target: 'rule=other'\n"
OTHER = (
    "- alert: other\n  on: network.lost\n  labels: {link: data.link, site: data.site}\n  recipients: [to]\n"
)


@pytest.mark.parametrize(
    ("keys", "findings"),
    [
        ("equal: [site]", []),
        ("equal: [severity, subject]", []),
        ("equal: [link]", [("error", "no source has the label 'link': nothing is ever muted")]),
        ("equal: [rack]", [("error", "no source and no target has the label 'rack': nothing is ever muted")]),
        (
            "equal: [link]\n  missing_equal: true",
            [("warning", "no source has the label 'link': only what lacks it as well is equal")],
        ),
        (
            "equal: [rack]\n  missing_equal: true",
            [("warning", "nobody has the label 'rack': all are equal in it")],
        ),
        ("enabled: false\n  equal: [rack]", []),
    ],
)
def test_equal_labels_that_are_never_there_are_found(
    catalog: Catalog, keys: str, findings: list[tuple[str, str]]
) -> None:
    """On either side; which rules can be one is told by the matchers."""
    text = alert(labels="{site: data.site}", key="[subject]") + OTHER + INHIBIT + f"  {keys}\n"

    assert [(severity, problem) for severity, _, problem in told(catalog, text)] == findings


def test_an_inhibition_nobody_takes_part_in_is_found(catalog: Catalog) -> None:
    """No rule of that name, or no such severity."""
    assert [problem for _, _, problem in told(catalog, OTHER + INHIBIT)] == [
        "no alert rule makes an alert that could be the source"
    ]


@pytest.mark.parametrize(
    ("path", "is_sure"),
    [("a", True), ("a.b", True), ("a.c", False), ("d", False), ("e.f", True), ("e.g", False), ("x", False)],
)
def test_a_field_is_sure_where_the_schema_requires_it(path: str, *, is_sure: bool) -> None:
    """On every step of the way, references followed."""
    schema = {
        "required": ["a", "e"],
        "properties": {
            "a": {"required": ["b"], "properties": {"b": {}, "c": {}}},
            "e": {"$ref": "#/$defs/e"},
        },
        "$defs": {"e": {"required": ["f"]}},
    }

    assert is_required(schema, path) is is_sure


def test_a_wrong_entry_hides_no_other(catalog: Catalog) -> None:
    """What loading refuses is left to it."""
    text = "- notify: broken\n  colour: red\n- neither: x\n" + notify(when="data.hots == 1")

    assert [problem for _, _, problem in told(catalog, text)] == [
        "no event of server.down has the field data.hots"
    ]


def test_the_shipped_rules_are_clean() -> None:
    """Nobody learns to overlook warnings."""
    settings = load_yaml(ROOT / "config" / "notifier.yaml").value
    lists = {name: read_list(name, tuple(entries)) for name, entries in settings["lists"].items()}

    findings = lint(Documents.of(ROOT / "config" / "rules"), Catalog.load(ROOT / "config" / "events"), lists)

    assert [str(one.error) for one in findings] == []


REMINDER = "- reminder: it\n  on: {on}\n  date: data.at\n  offsets: [0d]\n  event: {event}\n"
STUCK = """
- journey: it
  stages:
    - stage: one
      on: server.down
      recipients: [to]
      stuck: {{after: 1d, event: {event}}}
"""
MADE = """
events:
  - &type
    type: due.closed
    title: x
    category: x
    class: operational
    sample: {}
    sample_subject: a
    schema: {type: object, additionalProperties: false, properties: {due: {type: string}}}
  - {<<: *type, type: due.otherwise, schema: {type: object, properties: {last: {type: string}}}}
  - {<<: *type, type: due.more, sample: {host: a, last: {}}, schema: {type: object, required: [host, last]}}
  - {<<: *type, type: due.open, schema: {type: object}}
"""


@pytest.mark.parametrize(
    ("event", "reminder", "stuck"),
    [
        ("due.closed", "does not take offset_days, last,", "does not take journey, stage, since, last,"),
        ("due.otherwise", "does not take last,", "does not take last,"),
        ("due.more", "requires host,", "requires host,"),
        ("due.open", None, None),
    ],
)
def test_an_event_that_is_made_must_be_one_its_type_takes(
    catalog: Catalog, tmp_path: Path, event: str, reminder: str | None, stuck: str | None
) -> None:
    """It would be refused when the day has come, and nobody told."""
    (tmp_path / "made.yaml").write_text(MADE, encoding="utf-8")
    types = [*catalog, *Catalog.load(tmp_path)]
    rules = REMINDER.format(on="server.down", event=event), STUCK.format(event=event)

    for text, line, problem in zip(rules, (6, 7), (reminder, stuck), strict=True):
        document = parse("rules:\n" + text.strip("\n"), Path("rules.yaml"))
        findings = [(one.severity, one.error.line) for one in lint([document], types, LISTS)]
        problems = str([one.error.problem for one in lint([document], types, LISTS)])

        assert findings == ([] if problem is None else [("error", line)])
        assert problem is None or problem in problems
