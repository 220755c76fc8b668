"""docs/how-to/alerts.md tells the truth: its examples load, and what it says of time comes true to the second."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifier.catalog import Catalog, EventType
from notifier.documents import parse
from notifier.events import Event, Recipient
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.told import Told
from notifier.rules.simulation.world import World
from notifier.rules.testing import run_test
from notifier.rules.testing_model import read_tests

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "alerts.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES: list[str] = [block for block in BLOCKS if block.startswith("rules:")]
LISTS = {
    name: (Recipient(email=f"{name}@notifier.example", phone="+4930123401"),)
    for name in ("operators", "database-team", "on-call", "managers")
}
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def types_of(text: str) -> set[str]:
    """Return all event types the rules of a text speak of."""
    found: set[str] = set()
    for rule in yaml.safe_load(re.sub(r"\bon:", "'on':", text))["rules"]:
        for key in ("on", "resolved", "until", "event"):
            value = rule.get(key, ())
            found |= {value} if isinstance(value, str) else set(value)
    return found


def load(folder: Path, text: str) -> RuleSet:
    """Load one example."""
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    return read_rules(folder, types=types_of(text), lists=tuple(LISTS))


def catalog(types: Iterable[str]) -> Catalog:
    """Return types that take any data."""
    entry: dict[str, Any] = {
        "category": "it",
        "class": "operational",
        "sample_subject": "x",
        "schema": {},
        "sample": {},
    }
    return Catalog({one: EventType.model_validate({**entry, "type": one, "title": one}) for one in types})


def world(folder: Path, text: str) -> World:
    """Return an example at work."""
    rules = load(folder, text)
    return World(rules, catalog(types_of(text)), LISTS, start=START)


def feed(world: World, after: str, type_: str, subject: str, **data: Any) -> None:
    """Let something happen at a time of the day."""
    moment = datetime.fromisoformat(f"{START:%Y-%m-%d}T{after}+00:00")
    world.reach(moment)
    world.feed(
        Event(id=f"{after}-{subject}", source="test", type=type_, subject=subject, time=moment, data=data)
    )


def example(name: str) -> str:
    """Return the example that begins a rule of this name."""
    return next(
        one for one in EXAMPLES if re.search(rf"- (alert|escalation|rotation|reminder): {name}\b", one)
    )


def lines(told: Iterable[Told]) -> list[tuple[str, str, str, str]]:
    """Return what the picture of the page shows of each message."""
    return [(f"{one.at:%H:%M:%S}", one.why, ", ".join(one.firing), ", ".join(one.resolved)) for one in told]


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split("\n")[1].strip("- "))
def test_every_example_loads(text: str, tmp_path: Path) -> None:
    """What the page shows is what the loader takes."""
    assert load(tmp_path, text).rules_hash


def test_the_first_example_speaks_as_the_picture_shows(tmp_path: Path) -> None:
    """Every line with an arrow, to the second, and no other message."""
    picture = re.findall(
        r"^(\d\d:\d\d:\d\d)  ──► (\w+) +(firing: .*?|)(?:   )?(resolved: .*)?$", PAGE, re.MULTILINE
    )
    shown = [
        (at, why, re.sub(r"firing: |   exactly.*", "", firing).strip(), resolved.removeprefix("resolved: "))
        for at, why, firing, resolved in picture
    ]
    at_work = world(tmp_path, example("server-down"))

    for at, type_, host in (
        ("09:00:00", "server.down", "web-1"),
        ("09:00:20", "server.down", "web-2"),
        ("09:01:00", "server.down", "web-3"),
        ("09:12:00", "server.recovered", "web-1"),
        ("13:16:00", "server.recovered", "web-2"),
        ("13:16:00", "server.recovered", "web-3"),
    ):
        feed(at_work, at, type_, host, host=host, location="7")
    at_work.advance(START + timedelta(days=1))

    assert len(shown) == 5
    assert lines(at_work.told) == shown


def test_the_escalation_calls_as_the_picture_shows(tmp_path: Path) -> None:
    """Each step with its wait, once more, and the end."""
    (picture,) = re.findall(r"^00:00  .*$", PAGE, re.MULTILINE)
    shown = re.findall(r"(\d\d:\d\d)  ([\w-]+)", picture)
    at_work = world(tmp_path, example("on-call"))

    feed(at_work, "09:00:00", "shop.down", "shop")
    at_work.advance(START + timedelta(hours=3))

    steps = [one for one in at_work.told if one.why == "escalation"]
    people = [str(one.recipient.email).partition("@")[0] for one in steps]
    assert people == [name.replace("at_end", "operators") for _, name in shown]
    assert [f"{int((one.at - START).total_seconds()) // 60:02d}" for one in steps] == [
        at.partition(":")[2] for at, _ in shown
    ]


def test_the_crossing_plays_around_its_limit_and_is_told_once(tmp_path: Path) -> None:
    """Between the limit and where it is armed again nothing happens."""
    at_work = world(tmp_path, example("low-balance"))

    for hour, balance in enumerate((80, 24, 30, 20, 49, 10, 50, 24)):
        feed(
            at_work,
            f"{10 + hour}:00:00",
            "account.balance",
            "A",
            balance=balance,
            account={"email": "a@b.example"},
        )
    at_work.advance(START + timedelta(days=1))

    assert [f"{one.at:%H}" for one in at_work.told] == ["11", "17"]


def test_the_specification_at_the_end_passes(tmp_path: Path) -> None:
    """It speaks of the first example."""
    rules = load(tmp_path, example("server-down"))
    (test,) = read_tests(parse(BLOCKS[-1], Path("page.yaml")))

    outcome = run_test(test, rules, catalog(("server.down", "server.recovered")), LISTS)

    assert outcome.problems == ()
