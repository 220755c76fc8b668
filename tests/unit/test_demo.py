"""The demo's judgement: it must see what is not as expected, or its exit code means nothing."""

import importlib
import signal
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from click.testing import CliRunner

from notifier.catalog import Catalog
from notifier.client import EventSpec, Result
from notifier.embedded.__main__ import demo
from notifier.embedded.demo.evidence import Told
from notifier.embedded.demo.judge import differences, miscounts
from notifier.embedded.demo.scenarios import Expected, Script
from notifier.errors import EventRefused

# The package has a function of the same name.
show = importlib.import_module("notifier.embedded.demo.show")
CATALOG = Catalog.load(Path(__file__).parents[2] / "config" / "events")
EXPECTED = Expected(told=("email failed", "sms sent"), tries=2, replies=("550",), says="told by email")
RESULT = Result(state="settled", verdict="notified", reasons=("order-shipped: told by email, then sms",))
MAIL = Told(channel="email", status="failed", reason="", tries=1, replies=("550 5.1.1",), seconds=0.1)
TEXT = Told(channel="sms", status="sent", reason="", tries=1, replies=("201",), seconds=0.2)


def test_what_happened_as_expected_leaves_no_word() -> None:
    """All is well only if nothing differs."""
    assert differences(EXPECTED, RESULT, (MAIL, TEXT)) == []


@pytest.mark.parametrize(
    ("result", "told", "word"),
    [
        (replace(RESULT, state="refused"), (MAIL, TEXT), "state"),
        (RESULT, (MAIL,), "messages"),
        (RESULT, (replace(MAIL, status="sent"), TEXT), "messages"),
        (RESULT, (replace(MAIL, tries=2), TEXT), "tries"),
        (RESULT, (replace(MAIL, replies=("554 5.2.1",)), TEXT), "reply 550"),
        (replace(RESULT, reasons=()), (MAIL, TEXT), "told by email"),
    ],
)
def test_each_difference_is_named(result: Result, told: tuple[Told, ...], word: str) -> None:
    """The line says which part of the outcome was another."""
    found = differences(EXPECTED, result, told)

    assert any(word in line for line in found), found


def test_one_mail_too_many_is_seen() -> None:
    """A second mail is as wrong as none."""
    assert miscounts("mails", {"ada@example.com": 1}, lambda _: 2) == [
        "mails to ada@example.com: expected 1, found 2"
    ]
    assert miscounts("mails", {"ada@example.com": 1}, lambda _: 1) == []


def test_every_run_writes_to_new_addresses() -> None:
    """A second start goes on with the same data, and must not meet the first one's ids."""
    first, second = Script(CATALOG, run="aaaa"), Script(CATALOG, run="bbbb")

    addresses = [{scenario.to for scenario in script.scenarios()} for script in (first, second)]

    assert addresses[0] & addresses[1] == {"operators, on call"}


def test_samples_of_the_demo_obey_their_schemas() -> None:
    """Only the one event that is meant to be refused breaks its type's schema."""
    script = Script(CATALOG, run="aaaa")
    specs = [spec for scenario in script.scenarios() for spec in scenario.events] + script.batch(3)

    broken = [spec["type"] for spec in specs if is_refused(spec)]

    assert broken == ["order.shipped"]


def is_refused(spec: EventSpec) -> bool:
    """Ask the catalogue."""
    try:
        CATALOG.check(spec["type"], spec["data"])
    except EventRefused:
        return True
    return False


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A demo whose servers are all doubles; its threads, its rows, its count and its exit code are its own."""
    client = MagicMock()
    client.__enter__.return_value.enqueue.return_value.result.return_value = RESULT
    evidence = MagicMock()
    evidence.told.return_value = (MAIL, TEXT)
    doubles: Mapping[str, object] = {
        "Machine": lambda _: nullcontext(MagicMock(pages=dict, urls=SimpleNamespace(worker="", redis=""))),
        "Client": lambda *_, **__: client,
        "Evidence": lambda *_, **__: evidence,
        "Database": MagicMock(),
        "kill_in_the_middle": lambda *_: None,
        "miscounts": lambda *_: [],
    }
    for name, double in doubles.items():
        monkeypatch.setattr(show, name, double)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("wrong", "code"), [(0, 0), (1, 1), (2, 1)])
def test_once_ends_with_a_code_that_tells_whether_all_was_as_expected(
    wrong: int, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What calls `demo --once` needs no eyes; one outcome that differs is enough."""
    verdicts = iter([["expected 1, found 2"]] * wrong)
    monkeypatch.setattr(show, "differences", lambda *_: next(verdicts, []))

    ended = CliRunner().invoke(demo, ["--once", "--directory", str(tmp_path)])

    assert ended.exit_code == code
    assert ended.output.count("not as expected:") == wrong
    script = Script(CATALOG, run="aaaa")
    rows = len(script.scenarios()) + 1
    assert f"{rows - wrong} of {rows} outcomes as expected" in ended.output
