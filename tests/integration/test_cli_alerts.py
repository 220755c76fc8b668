"""What operators do about alerts: see them, take charge, silence them, see who is on call."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.alerting import RULES, Stage
from tests.command import Run, command, document, lines
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

ROTATION = """
  - rotation: night-watch
    zone: Europe/Berlin
    layers:
      - people: [{email: ann@notifier.example, name: Ann}, {email: bob@notifier.example, name: Bob}]
        start: "2026-03-23"
        every: 1w
        at: "09:00"
"""


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier with an alert rule and a rotation."""
    return Stage(make_flow, tmp_path, RULES + ROTATION)


@pytest.fixture
def run(stage: Stage) -> Iterator[Run]:
    """The command, on the services of the test."""
    with capture_logs():
        yield command(stage.flow.services)


def test_what_fires_is_listed_and_shown(stage: Stage, run: Run) -> None:
    """With its labels and data; what is over only where asked for."""
    stage.down("web-1", "web-2")
    stage.feed("server.recovered", "web-2")

    open_, every = lines(run("alert", "list", "--json")), lines(run("alert", "list", "--all", "--json"))
    table = run("alert", "list").stdout
    shown = document(run("alert", "show", open_[0]["id"], "--json"))

    assert [(one["subject"], one["status"], one["severity"]) for one in open_] == [
        ("web-1", "firing", "critical")
    ]
    assert [one["subject"] for one in every] == ["web-1", "web-2"]
    assert "web-1" in table
    assert "web-2" not in table
    assert shown["labels"]["site"] == "berlin"
    assert shown["data"]["host"] == "web-1"
    assert shown["entry"]["groups"] == [str(stage.group())]
    assert "berlin" in run("alert", "show", open_[0]["id"]).stdout


def test_an_alert_is_taken_and_given_back(stage: Stage, run: Run) -> None:
    """By its id or its group's; a second time ends with 1 and says so."""
    stage.down("web-1", "web-2")
    group = stage.group()
    (alert,) = stage.flow.query("SELECT id FROM alert WHERE subject = 'web-1'")[0]

    one = run("alert", "ack", alert, "--by", "Ann")
    again = run("alert", "ack", alert, "--json")
    rest = run("alert", "ack", group, "--json")
    listed = lines(run("alert", "list", "--json"))
    back = run("alert", "unack", group)

    assert one.stdout == f"{alert}: 1 alert taken by Ann\n"
    assert again.exit_code == 1
    assert json.loads(rest.stdout) == [{"id": str(group), "changed": 1, "already": 1, "is_over": False}]
    assert {row["subject"]: row["acknowledged_by"] for row in listed}["web-1"] == "Ann"
    assert back.stdout == f"{group}: 2 alerts given back\n"
    assert set(stage.statuses().values()) == {"firing"}


def test_an_unknown_id_is_an_error(run: Run) -> None:
    """One line that says what to do."""
    result = run("alert", "ack", "01a201d1-ccce-78e6-a474-899c8b11d596")

    assert result.exit_code == 1
    assert "neither an alert nor a group" in result.stderr


def test_a_silence_mutes_and_its_end_tells(stage: Stage, run: Run) -> None:
    """What fires meanwhile is hidden; ended by hand, it is told."""
    made = document(
        run(
            "silence",
            "add",
            "host=~web-.*",
            "--for",
            "2h",
            "--comment",
            "new switch",
            "--by",
            "Ann",
            "--json",
        )
    )
    hidden = stage.down("web-1")
    muted = lines(run("alert", "list", "--json"))
    ended = run("silence", "expire", made["id"])
    told = stage.told(minutes=5)

    assert made["state"] == "active"
    assert made["matchers"] == [['host=~"web-.*"']]
    assert hidden == []
    assert muted[0]["muted_by"] == [f"silence:{made['id']}"]
    assert ended.stdout == f"{made['id']}: ended\n"
    assert len(told) == 1
    assert run("silence", "expire", made["id"]).exit_code == 1


def test_a_silence_ends_by_itself_also_where_it_came_after_the_first_look(stage: Stage, run: Run) -> None:
    """What is muted afterwards is told when the silence is over, though nothing happens then."""
    stage.down("web-1")
    run("silence", "add", "site=berlin", "--for", "30m", "--comment", "c")
    stage.feed("server.down", "web-2")
    hidden = stage.told(minutes=5)
    stage.told(minutes=24)

    told = stage.told(minutes=6)

    assert hidden == []
    assert len(told) == 1


def test_a_silence_has_its_history(run: Run) -> None:
    """Who changed what; what it matches can not be changed."""
    made = document(
        run("silence", "add", "a=b", "c!=d", "--for", "1h", "--comment", "why", "--by", "Ann", "--json")
    )

    longer = document(run("silence", "edit", made["id"], "--for", "3h", "--by", "Bob", "--json"))
    run("silence", "edit", made["id"], "--comment", "because", "--by", "Cy")
    run("silence", "expire", made["id"], "--by", "Dee")
    shown = document(run("silence", "show", made["id"], "--json"))

    assert longer["ends_at"] > made["ends_at"]
    assert shown["matchers"] == [['a="b"', 'c!="d"']]
    assert (shown["comment"], shown["state"], shown["created_by"]) == ("because", "expired", "Ann")
    assert [one["by"] for one in shown["changes"]] == ["Ann", "Bob", "Cy", "Dee"]
    assert shown["changes"][1]["what"].startswith("ends ")
    assert "Dee: ended by hand" in run("silence", "show", made["id"]).stdout
    assert run("silence", "edit", made["id"], "--for", "1h").exit_code == 3


def test_silences_are_listed_by_state(stage: Stage, run: Run) -> None:
    """Pending, active, expired."""
    later = (stage.clock.now() + timedelta(hours=1)).isoformat()
    pending = document(
        run("silence", "add", "a=1", "--from", later, "--for", "1h", "--comment", "c", "--json")
    )
    active = document(run("silence", "add", "a=2", "--for", "1h", "--comment", "c", "--json"))
    over = document(run("silence", "add", "a=3", "--for", "1h", "--comment", "c", "--json"))
    run("silence", "expire", over["id"])
    stage.clock.advance(timedelta(seconds=1))

    listed = {one["id"]: one["state"] for one in lines(run("silence", "list", "--all", "--json"))}

    assert listed == {pending["id"]: "pending", active["id"]: "active", over["id"]: "expired"}
    assert len(lines(run("silence", "list", "--json"))) == 2
    assert [one["id"] for one in lines(run("silence", "list", "--state", "pending", "--json"))] == [
        pending["id"]
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["host=web-1", "--for", "2h"], 2, "--comment"),
        (["host=web-1", "--comment", "c"], 2, "--for"),
        (["host=web-1", "--for", "2h", "--until", "2030-01-01", "--comment", "c"], 2, "--for"),
        (["host", "--for", "2h", "--comment", "c"], 2, "MATCHER"),
        (["host=~.*", "--for", "2h", "--comment", "c"], 3, "mute everything"),
        (["host=web-1", "--for", "two", "--comment", "c"], 2, "--for"),
        (["host=web-1", "--until", "2020-01-01", "--comment", "c"], 3, "ends_at"),
        (["host=web-1", "--until", "2h", "--comment", "c"], 2, "--until"),
        (["host=web-1", "--for", "2h", "--comment", " "], 3, "comment: say why"),
        (["host=web-1", "--for", "2h", "--comment", "c", "--tenant", "nobody"], 3, "no tenant"),
    ],
)  # fmt: skip
def test_a_silence_that_makes_no_sense_is_refused(
    stage: Stage, run: Run, arguments: list[str], code: int, words: str
) -> None:
    """And nothing is made."""
    result = run("silence", "add", *arguments)

    assert result.exit_code == code
    assert words in result.stderr
    assert stage.counts("silence", "silence_change") == [0, 0]


def test_who_is_on_call_is_shown(run: Run) -> None:
    """At a moment, with the hand-overs to come: 09:00 by the clocks on the wall, across the change of time."""
    (found,) = json.loads(run("oncall", "show", "night-watch", "--at", "2026-03-25T12:00Z", "--json").stdout)
    shown = run("oncall", "show", "--at", "2026-03-25T12:00Z", "--next", 2).stdout

    assert [one["name"] for one in found["on_call"]] == ["Ann"]
    assert [one["start"] for one in found["next"]] == [
        "2026-03-30T07:00:00+00:00", "2026-04-06T07:00:00+00:00", "2026-04-13T07:00:00+00:00",
    ]  # fmt: skip
    assert shown.splitlines() == [
        "night-watch: Ann (layer 1)",
        "  Mon 2026-03-30 09:00 CEST  Bob",
        "  Mon 2026-04-06 09:00 CEST  Ann",
    ]
    assert run("oncall", "show", "nobody").exit_code == 1


def test_a_silence_that_begins_now_is_active(flow: Flow) -> None:
    """By a clock that goes on between the command's look at it and the silence's own."""
    made = command(flow.services)("silence", "add", "a=1", "--for", "1h", "--comment", "c")

    assert ": active until " in made.stdout


def test_reminders_that_wait_for_their_date_are_listed_by_name_only(flow: Flow) -> None:
    """A hundred invoices that are due one day are no hundred alarms."""
    run = command(flow.services)
    flow.ingest(flow.sample("invoice.issued"))

    assert lines(run("alert", "list", "--json")) == []
    (waiting,) = lines(run("alert", "list", "--rule", "reminder:invoice-due-date", "--json"))
    assert waiting["rule"] == "reminder:invoice-due-date"
