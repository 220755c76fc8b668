"""The runner tells how every vector came out, and is never stopped by one of them."""

import json
from pathlib import Path

import pytest

from tests.conformance.__main__ import FAILED, OK, USAGE, main
from tests.conformance.kinds import Registry, discover
from tests.conformance.outcomes import PASSED, Outcome, Result, compared, failed
from tests.conformance.runner import run_one
from tests.conformance.vectors import Vector, VectorsUnreadableError, read_vectors

MATCHING = {
    "id": "m",
    "kind": "matcher_match",
    "given": {"matcher": {"op": "=", "value": "a"}},
    "when": {"value": "a"},
}


def a_vector(kind: str = "known") -> Vector:
    """A vector of some kind."""
    return Vector(id="v", kind=kind)


def broken(_vector: Vector) -> Outcome:
    """A kind that falls over."""
    raise KeyError("when")


def write(folder: Path, *entries: object) -> Path:
    """A folder with one file of vectors."""
    (folder / "some.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def test_unknown_kind_is_a_failure() -> None:
    """The detail names it, and what is known."""
    outcome = run_one(a_vector("sundial"), Registry(kinds={"known": lambda _: PASSED}))

    assert outcome == failed("nothing answers for the kind 'sundial'; known: known")


def test_kind_that_raises_is_a_failure() -> None:
    """The others still run."""
    outcome = run_one(a_vector(), Registry(kinds={"known": broken}))

    assert outcome == failed("raised KeyError: 'when'")


@pytest.mark.parametrize(
    ("answer", "result"),
    [(failed("told twice"), Result.DIVERGENT), (failed("lost"), Result.FAIL), (PASSED, Result.PASS)],
)
def test_mismatch_on_purpose_is_divergent(answer: Outcome, result: Result) -> None:
    """A divergence looks at what differs; it never turns a pass into anything else."""
    registry = Registry(
        kinds={"known": lambda _: answer},
        divergences=(lambda _, mismatch: "we tell twice" if "twice" in mismatch.detail else None,),
    )

    outcome = run_one(a_vector(), registry)

    assert outcome.result is result
    assert (outcome.detail == "we tell twice") is (result is Result.DIVERGENT)


def test_comparison_shows_both_sides() -> None:
    """Equal is a pass without words."""
    assert compared([1], [1]) == PASSED
    assert compared(True, False, "muted") == failed("muted: want True, got False")


def test_every_module_is_found() -> None:
    """The kinds of this folder answer without being listed anywhere."""
    assert {"matcher_parse", "window_syntax", "silence_valid", "inhibit"} <= discover().kinds.keys()


def test_command_prints_one_object_per_vector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the files, with the result and what differs."""
    folder = write(
        tmp_path, {**MATCHING, "want": {"match": True}}, {**MATCHING, "id": "n", "want": {"match": False}}
    )

    status = main([str(folder), "--json"])

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == FAILED
    assert lines == [
        {"id": "m", "kind": "matcher_match", "result": "pass", "detail": ""},
        {"id": "n", "kind": "matcher_match", "result": "fail", "detail": "match: want False, got True"},
    ]


def test_command_without_json_prints_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing about those that passed."""
    status = main([str(write(tmp_path, {**MATCHING, "want": {"match": True}}))])

    out = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert status == OK
    assert out == [["kind", "pass", "fail", "divergent"], ["matcher_match", "1"], ["all", "1", "0", "0"]]


def test_command_says_when_there_is_nothing_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is no success."""
    assert main([str(tmp_path)]) == USAGE
    assert "holds no *.json file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not readable as JSON"),
        ("{}", "must be a list"),
        ('[{"id": "a"}]', "entry 1: a vector has at least"),
    ],
)
def test_wrong_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """With what is wrong in it."""
    (tmp_path / "wrong.json").write_text(text, encoding="utf-8")

    with pytest.raises(VectorsUnreadableError, match=problem) as refused:
        read_vectors(tmp_path)

    assert "wrong.json" in str(refused.value)
