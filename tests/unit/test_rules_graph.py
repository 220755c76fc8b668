"""The routing as a picture: everything is in it, nothing lies on anything else, and text is text."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from notifier.catalog.types import Catalog
from notifier.cli import cli
from notifier.documents import load
from notifier.rules.drawing import draw
from notifier.rules.graph import Band, Graph, Row, graph_of
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
TYPES = ("server.down", "server.recovered", "network.lost", "invoice.issued", "invoice.due", "daily.report")
RULES = """
rules:
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    when: "data.env == 'prod' && data.note < '<b>'"
    labels: {site: data.site}
    first_after: 30s
    batch_every: 5m
    remind_after: {first: 1h, grow: 2}
    recipients: [{list: operators}]
    routes:
      - route: night
        match: 'site="fra", severity=~"error|critical"'
        continue: true
        mute: [days]
        escalate: on-call
        channels: {sms: {within: 5m}, email: {}}
        routes:
          - {route: deep, recipients: [to, {contact: owner}]}
  - escalation: on-call
    steps:
      - {recipients: [{list: operators}], wait: 5m}
      - {recipients: [{data: boss.email}], wait: 15m}
    at_end: {recipients: [to]}
  - window: days
    intervals: [{times: [{start_time: "08:00", end_time: "20:00"}]}]
  - notify: lost
    on: network.*
    enabled: false
    recipients: [{data: owner.email}]
  - reminder: due
    on: invoice.issued
    date: data.due_at
    offsets: [-3d, 0d]
    event: invoice.due
  - journey: bills
    stages:
      - {stage: issued, on: invoice.issued, recipients: [to], stuck: {after: 3d, event: invoice.due}}
      - {stage: due, on: invoice.due, recipients: [to]}
  - schedule: nightly
    cron: "0 8 * * *"
    event: daily.report
"""


@pytest.fixture(name="rules")
def _rules(tmp_path: Path) -> RuleSet:
    """Return a rule set with a rule of every kind that is drawn."""
    (tmp_path / "rules.yaml").write_text(dedent(RULES), encoding="utf-8")
    return read_rules(tmp_path, types=TYPES, lists=["operators"])


def row(graph: Graph, name: str) -> Row:
    """Return the one row of a name."""
    (found,) = (one for band in graph.bands for one in band.rows if one.name == name)
    return found


def boxes(picture: str) -> Iterator[tuple[float, float, float, float]]:
    """Yield left, top, right and bottom of every box."""
    for rect in ET.fromstring(picture).iter(f"{SVG}rect"):  # noqa: S314 - our own
        if rect.get("class", "").startswith("box"):
            left, top, width, height = (float(rect.get(key) or 0) for key in ("x", "y", "width", "height"))
            yield left, top, left + width, top + height


def texts(picture: str) -> list[str]:
    """Return all text that is shown."""
    return [one.text or "" for one in ET.fromstring(picture).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_an_alert_is_its_routes_with_waits_and_people(rules: RuleSet) -> None:
    """What a branch inherits is shown with it; an escalation with its steps."""
    graph = graph_of(rules, TYPES)
    root, night, deep = (row(graph, name) for name in ("server-down", "night", "deep"))

    assert (root.depth, night.depth, deep.depth) == (0, 1, 2)
    assert root.waits == "after 30s · news 5m · again 1h+ · email"
    assert night.waits == "after 30s · news 5m · again 1h+ · not days · sms 5m → email"
    assert night.condition == 'site="fra", severity=~"error|critical"'
    assert deep.condition == "all of its alerts"
    assert night.is_continue
    assert night.targets == ("operators", "↑ on-call: operators 5m → data.boss.email 15m → to")
    assert deep.targets[:2] == ("to", "contact of data.owner")


def test_rules_that_make_events_point_at_them(rules: RuleSet) -> None:
    """Reminders, schedules, and stages somebody may be stuck on."""
    graph = graph_of(rules, TYPES)

    (reminder,) = (band.rows[0] for band in graph.bands if band.kind == "reminder")

    assert (reminder.waits, reminder.targets) == ("-3d, 0d", ("→ invoice.due",))
    assert row(graph, "nightly").targets == ("→ daily.report",)
    assert row(graph, "issued").targets == ("to", "→ invoice.due")
    assert [band.types for band in graph.bands if band.kind == "reminder"] == [("invoice.issued",)]


def test_a_picture_of_one_type_has_only_its_rules(rules: RuleSet) -> None:
    """With all the types these rules are for: what ends an alert belongs to it."""
    graph = graph_of(rules, TYPES, "server.down")

    assert [band.rows[0].name for band in graph.bands] == ["server-down"]
    assert graph.types == ("server.down", "server.recovered")


def test_a_glob_that_means_many_is_one_box(tmp_path: Path) -> None:
    """Sixty lines into one rule tell nothing."""
    text = "rules: [{notify: all, on: 'many.*', recipients: [to]}]"
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    few, many = ([f"many.t{number}" for number in range(count)] for count in (3, 30))

    assert graph_of(read_rules(tmp_path, types=few), few).types == tuple(few)
    assert graph_of(read_rules(tmp_path, types=many), many).types == ("many.*",)


def test_the_picture_shows_every_name_and_marks_what_is_off(rules: RuleSet) -> None:
    """Markup in texts is text."""
    picture = draw(graph_of(rules, TYPES), title="<Rules> & more")
    shown = texts(picture)

    for name in (
        "server-down",
        "night (and goes on)",
        "deep",
        "bills",
        "lost",
        "nightly",
        "server.recovered",
    ):
        assert name in shown
    assert any("again 1h+" in one for one in shown)
    assert "<b>" not in picture
    assert 'class="off"' in picture
    assert ET.fromstring(picture).findtext(f"{SVG}title") == "<Rules> & more"  # noqa: S314 - our own


def test_no_text_breaks_the_document() -> None:
    """Not even characters that XML has no way to write; long ones are cut, and whole where somebody points."""
    name = "a\x00b\ud800" + "long " * 30
    graph = Graph(bands=(Band(kind="notify", types=("t",), rows=(Row(name=name, targets=("x" * 99,)),)),))

    picture = draw(graph)

    assert all(len(one) <= 45 for one in texts(picture))
    assert "long " * 30 in picture
    picture.encode()


@pytest.mark.parametrize("kept", [1, 5, 25, 1000])
def test_no_box_lies_on_another(kept: int) -> None:
    """With the shipped rules, whatever their number; all of it inside the picture."""
    graph = shipped()
    picture = draw(Graph(bands=graph.bands[:kept]))
    found = list(boxes(picture))
    size = ET.fromstring(picture)  # noqa: S314 - our own

    for one, other in combinations(found, 2):
        is_apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert is_apart, (one, other)
    assert max(box[2] for box in found) <= float(size.get("width") or 0)
    assert max(box[3] for box in found) <= float(size.get("height") or 0)


def test_nothing_at_all_is_an_empty_picture() -> None:
    """A type nobody has a rule for."""
    assert list(boxes(draw(Graph(bands=())))) == []


def test_the_same_rules_give_the_same_picture() -> None:
    """So that a picture in a repository changes only with them."""
    assert draw(shipped()) == draw(shipped())


def shipped() -> Graph:
    """Return the picture of the shipped rules."""
    types = [entry.type for entry in Catalog.load(ROOT / "config" / "events")]
    lists = list(load(ROOT / "config" / "notifier.yaml").value["lists"])
    return graph_of(read_rules(ROOT / "config" / "rules", types=types, lists=lists), types)


def test_the_command_writes_a_file_or_prints(tmp_path: Path) -> None:
    """And says what is wrong with a type or a file."""
    env = {"NOTIFIER_CONFIG_DIR": str(ROOT / "config")}
    file = tmp_path / "rules.svg"

    written, printed, unknown, lost, listed = (
        CliRunner().invoke(cli, ["rules", "graph", *args], env=env)
        for args in (
            ["--type", "server.down", "--out", str(file)],
            ["--type", "server.down"],
            ["--type", "server.dwon"],
            ["--out", str(tmp_path / "nowhere" / "rules.svg")],
            ["--type", "server.down", "--json"],
        )
    )

    assert file.read_text(encoding="utf-8") == printed.stdout
    assert (written.exit_code, printed.exit_code, listed.exit_code) == (0, 0, 0)
    assert unknown.exit_code == 3
    assert lost.exit_code == 2
    assert '"types"' in listed.stdout
