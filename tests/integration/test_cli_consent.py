"""``notifier consent``: given, proven, withdrawn, forgotten."""

import json

from tests.command import command
from tests.services import Flow

ANN = "ann@example.org"


def test_consent_is_given_proven_and_withdrawn(flow: Flow) -> None:
    """Once; given again after it was withdrawn it is another one."""
    run = command(flow.services)
    proof = ("--how", "signed form", "--where", "folder 7", "--wording", "v3")

    given = run("consent", "give", ANN, "tracking:opens", *proof, "--at", "2026-01-02T10:00+01:00")
    again = run("consent", "give", ANN, "tracking:opens", "--how", "call")
    withdrawn = run("consent", "withdraw", ANN, "tracking:opens", "--how", "mail of 3 May")
    twice = run("consent", "withdraw", ANN, "tracking:opens", "--how", "mail of 3 May")
    run("consent", "give", ANN, "tracking:opens", "--how", "call")
    shown = json.loads(run("consent", "show", ANN, "--json").stdout)
    table = run("consent", "show", ANN).stdout

    assert [one.exit_code for one in (given, again, withdrawn, twice)] == [0, 1, 0, 1]
    first, second = shown["consents"]
    assert first["given_at"] == "2026-01-02T09:00:00+00:00"
    assert {**first["proof"], "by": ""} == {
        "how": "signed form",
        "where": "folder 7",
        "wording": "v3",
        "by": "",
    }
    assert first["proof"]["by"].startswith("cli")
    assert first["withdrawal"]["how"] == "mail of 3 May"
    assert (second["withdrawn_at"], second["proof"]["how"]) == (None, "call")
    assert shown["changes"] == []
    assert "signed form" in table
    assert "signed form" not in repr(flow.query("SELECT c::text FROM consent c"))


def test_wrong_input_is_named(flow: Flow) -> None:
    """With what would be right."""
    run = command(flow.services)

    answers = [
        run("consent", "give", ANN, "tracking:all", "--how", "x"),
        run("consent", "give", ANN, "tracking:opens", "--how", "x", "--at", "2999-01-01"),
        run("consent", "give", ANN, "tracking:opens", "--how", "x", "--tenant", "nobody"),
        run("consent", "show", "nobody@example.org"),
    ]

    assert [one.exit_code for one in answers] == [2, 2, 1, 1]
    assert "tracking:opens" in answers[0].stderr
    assert "--at" in answers[1].stderr
    assert flow.query("SELECT 1 FROM consent") == []


def test_an_erased_person_has_none(flow: Flow) -> None:
    """Nor any proof."""
    run = command(flow.services)
    run("consent", "give", ANN, "tracking:clicks", "--how", "call")

    run("erase", ANN, "--yes")

    assert flow.query("SELECT 1 FROM consent") == []
    assert run("consent", "show", ANN).exit_code == 1
