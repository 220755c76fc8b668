"""Tests of rules are read strictly, run on a virtual clock, and say exactly what did not come true."""

from pathlib import Path

import pytest

from notifier.catalog import Catalog, EventType
from notifier.documents import ConfigErrors, parse
from notifier.events import Recipient
from notifier.rules.load import read_rules
from notifier.rules.testing import Outcome, run_test
from notifier.rules.testing_model import read_tests

LISTS = {"operators": (Recipient(email="ops@x.example", phone="+491701"),)}
TYPES = ("server.down", "server.recovered")
RULES = """
rules:
  - alert: servers
    on: [server.*]
    resolved: server.recovered
    first_after: 30s
    recipients: [{list: operators}]
    channels: [sms, email]
    template: server/down
"""
HEAD = """
tests:
  - test: a server goes down and comes back
    start: 2026-03-02T09:00:00Z
"""
FEED = """    feed:
      - {at: 20m, type: server.recovered, subject: web-1}
      - {at: 0s, type: server.down, subject: web-1, data: {where: {room: R2}}}
"""
BOTH = """    want:
      - {at: 30s, to: ops@x.example, by: sms, rule: servers, why: first, template: server/down, firing: [web-1]}
      - {at: 20m30s, to: OPS@x.example, by: [sms, email], why: all_resolved, resolved: web-1}
"""
END = "    until: 1h\n"


def catalog() -> Catalog:
    """Return types with samples."""
    common = {
        "category": "it", "class": "operational", "sample_subject": "web-9",
        "schema": {"required": ["where"]}, "sample": {"where": {"site": "rome", "room": "R1"}, "load": 3},
    }  # fmt: skip
    return Catalog({
        name: EventType.model_validate({**common, "type": name, "title": name}) for name in TYPES
    })  # fmt: skip


def outcomes(folder: Path, text: str, rules: str = RULES) -> list[Outcome]:
    """Run the tests of a text."""
    (folder / "rules.yaml").write_text(rules)
    found = read_rules(folder, types=TYPES, lists=tuple(LISTS))
    return [run_test(one, found, catalog(), LISTS) for one in read_tests(parse(text, Path("t.yaml")))]


def problems(folder: Path, text: str) -> list[tuple[int, str]]:
    """Return what the one test of a text finds wrong, with lines."""
    (outcome,) = outcomes(folder, text)
    return [(one.line, one.text) for one in outcome.problems]


def test_what_comes_as_it_should_passes(tmp_path: Path) -> None:
    """Exact to the instant, each person by address in any case."""
    (outcome,) = outcomes(tmp_path, HEAD + FEED + BOTH + END)

    assert (outcome.is_passed, outcome.messages, outcome.problems) == (True, 2, ())
    assert (outcome.test, outcome.file, outcome.line) == ("a server goes down and comes back", "t.yaml", 3)


def test_what_comes_otherwise_is_shown_beside_what_should(tmp_path: Path) -> None:
    """The line of the want, the exact instants, and each difference."""
    text = HEAD + FEED + BOTH.replace("20m30s", "25m").replace("all_resolved", "reminder") + END

    ((line, words),) = problems(tmp_path, text)

    assert line == 10
    assert words == (
        "missing: 25m (2026-03-02T09:25:00+00:00) to OPS@x.example, by [sms, email], why reminder, "
        "resolved [web-1]; instead came 20m30s (2026-03-02T09:20:30+00:00) to ops@x.example by sms, then email, "
        "rule servers, why all_resolved, template server/down, resolved [web-1]: "
        "at is 20m30s (2026-03-02T09:20:30+00:00), not 25m (2026-03-02T09:25:00+00:00); "
        "why is all_resolved, not reminder"
    )


def test_what_nobody_wanted_fails_the_test(tmp_path: Path) -> None:
    """Also when no message at all was to come."""
    found = problems(tmp_path, HEAD + FEED + END)

    assert [line for line, _ in found] == [3, 3]
    assert all(words.startswith("not wanted: ") for _, words in found)


@pytest.mark.parametrize(
    "want",
    [
        pytest.param("{at: 31s, to: ops@x.example, why: first}", id="at another moment"),
        pytest.param("{at: 30s, to: ann@x.example, why: first}", id="to somebody else"),
        pytest.param("{at: 30s, to: ops@x.example, by: email}", id="by another channel first"),
        pytest.param("{at: 30s, to: ops@x.example, by: [sms, email, portal]}", id="by a longer plan"),
        pytest.param("{at: 30s, to: ops@x.example, rule: others}", id="by another rule"),
        pytest.param("{at: 30s, to: ops@x.example, urgency: urgent}", id="in another hurry"),
        pytest.param("{at: 30s, to: ops@x.example, firing: []}", id="about nothing"),
        pytest.param("{at: 30s, to: ops@x.example, resolved: [web-1]}", id="about an end"),
        pytest.param("{at: 30s, to: ops@x.example, subject: web-2}", id="about something else"),
        pytest.param("{at: 30s, to: ops@x.example, type: server.recovered}", id="of another type"),
        pytest.param("{at: 30s, to: [ops@x.example, ops@x.example]}", id="twice"),
    ],
)  # fmt: skip
def test_every_field_that_is_given_counts(tmp_path: Path, want: str) -> None:
    """One that differs is enough."""
    feed = "    feed: [{type: server.down, subject: web-1}]\n"
    (outcome,) = outcomes(tmp_path, f"{HEAD}{feed}    want: [{want}]\n{END}")

    assert not outcome.is_passed


def test_the_catalogues_sample_fills_what_a_step_leaves_out(tmp_path: Path) -> None:
    """Objects are merged; ``sample: false`` takes the data as it is."""
    rules = """
rules:
  - notify: down
    on: server.down
    when: data.where.site == 'rome' && data.where.room == 'R2' && data.load == 3
    recipients: [{list: operators}]
"""
    want = "    want: [{at: 0s, to: ops@x.example, why: event, subject: web-9}]\n"
    merged = "    feed: [{type: server.down, data: {where: {room: R2}}}]\n"
    bare = "    feed: [{type: server.down, data: {where: {room: R2}}, sample: false}]\n"

    assert outcomes(tmp_path, HEAD + merged + want + END, rules)[0].is_passed
    assert not outcomes(tmp_path, HEAD + bare + want + END, rules)[0].is_passed


def test_people_silence_take_charge_and_end_silences(tmp_path: Path) -> None:
    """Steps besides events."""
    feed = """    feed:
      - {type: server.down, subject: web-1}
      - {at: 0s, silence: 'subject="web-1"', for: 2h, id: work}
      - {at: 10m, expire: work}
      - {at: 20m, ack: web-1, by: Ann}
    want:
      - {at: 10m30s, to: ops@x.example, why: first}
"""

    assert problems(tmp_path, HEAD + feed + END) == []


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        pytest.param("{ack: web-1}", "nothing fires for 'web-1' then", id="nothing to take charge of"),
        pytest.param("{expire: work}", "there is no silence 'work'", id="no such silence"),
        pytest.param("{silence: 'a==', for: 1h}", "a==", id="a matcher that cannot be read"),
        pytest.param("{type: server.gone}", "unknown event type 'server.gone'", id="a type nobody knows"),
        pytest.param("{type: server.down, sample: false}", "where", id="data that does not fit"),
    ],
)
def test_a_step_that_cannot_be_done_fails_the_test_in_its_line(
    tmp_path: Path, step: str, problem: str
) -> None:
    """The others go on."""
    ((line, words),) = problems(tmp_path, f"{HEAD}    feed:\n      - {step}\n{END}")

    assert line == 6
    assert problem in words


def test_a_test_may_have_lists_of_its_own(tmp_path: Path) -> None:
    """So that it does not change with the people."""
    own = "    lists: {operators: [ann@x.example]}\n    feed: [{type: server.down}]\n"
    want = "    want: [{at: 30s, to: ann@x.example}]\n"

    assert problems(tmp_path, HEAD + own + want + END) == []


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        pytest.param("test: x\n", 1, "start the file with `tests:`", id="no tests"),
        pytest.param("tests: []\nothers: 1\n", 2, "unknown key", id="more than tests"),
        pytest.param(HEAD + "    feed: []\n", 3, "'until' is required", id="no end"),
        pytest.param(
            HEAD.replace("Z", "") + "    feed: []\n" + END,
            4,
            "must name its time zone",
            id="a start without an offset",
        ),
        pytest.param(HEAD + "    feed: [{at: 1s}]\n" + END, 5, "not a step", id="a step that does nothing"),
        pytest.param(
            HEAD + "    feed: [{type: a.b, ack: x}]\n" + END,
            5,
            "exactly one of",
            id="a step that does two things",
        ),
        pytest.param(
            HEAD + "    feed: [{type: a.b, dat: {}}]\n" + END, 5, "did you mean 'data'?", id="a slip"
        ),
        pytest.param(
            HEAD + "    feed: [{silence: a=b}]\n" + END, 5, "'for' is required", id="a silence for ever"
        ),
        pytest.param(
            HEAD + "    feed: []\n    want: [{at: 2h, to: x}]\n" + END,
            6,
            "after the end",
            id="wanted too late",
        ),
        pytest.param(
            HEAD + "    feed: []\n    want: [{at: 2m, to: x, by: fax}]\n" + END,
            6,
            "by",
            id="an unknown channel",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_found_in_its_line(text: str, line: int, problem: str) -> None:
    """Nothing is run before all is right."""
    with pytest.raises(ConfigErrors) as caught:
        read_tests(parse(text.lstrip("\n") if text.startswith("test") else text, Path("t.yaml")))

    assert [error.line for error in caught.value.errors] == [line]
    assert problem in str(caught.value)
