"""Whatever happens in whatever order: nobody is lost, none told twice, and what was told to fire is told to be over."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.alerts import AlertState, AlertStatus, Newest, Signal
from notifier.catalog import Catalog, EventType
from notifier.events import Event, Recipient
from notifier.rules.alerting.matchers import parse_matchers
from notifier.rules.alerting.occurrences import receive
from notifier.rules.alerting.silences import Silence
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.told import Told
from notifier.rules.simulation.world import World

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FIRST_AFTER, BATCH_EVERY, REMIND_AFTER = 2, 5, 30
LISTS = {"operators": (Recipient(email="ops@x.example"), Recipient(email="boss@x.example"))}
DOWN, UP = "server.down", "server.up"
RULES = f"""
rules:
  - alert: servers
    on: [server.*]
    resolved: server.up
    labels: {{site: data.site}}
    group_by: [site]
    first_after: {FIRST_AFTER}m
    batch_every: {BATCH_EVERY}m
    remind_after: {REMIND_AFTER}m
    recipients: [{{list: operators}}]
"""
EXAMPLES = settings(max_examples=60, deadline=None)


@cache
def rules() -> RuleSet:
    """Return the one rule."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(RULES)
        return read_rules(Path(folder), types=(DOWN, UP), lists=tuple(LISTS))


@cache
def catalog() -> Catalog:
    """Return the two types."""
    common = {"category": "it", "class": "operational", "sample_subject": "s", "schema": {}, "sample": {}}
    return Catalog(
        {one: EventType.model_validate({**common, "type": one, "title": one}) for one in (DOWN, UP)}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A server goes down, or comes up; the minute is its own, so that no two are at one moment."""

    minute: int
    server: int
    is_down: bool

    def event(self) -> Event:
        """Return the event that says so."""
        return Event(
            id=f"{self.minute}", source="t", type=DOWN if self.is_down else UP, subject=f"web-{self.server}",
            time=at(self.minute), data={"site": "rome" if self.server % 2 else "berlin"},
        )  # fmt: skip


def at(minutes: float) -> datetime:
    """Return the moment so many minutes after the start."""
    return START + minutes * MINUTE


def changes(longest: int = 25) -> st.SearchStrategy[list[Change]]:
    """Return changes of four servers within two hours, oldest first."""
    minutes = st.lists(st.integers(0, 120), unique=True, min_size=1, max_size=longest)
    return minutes.flatmap(
        lambda found: st.tuples(
            *(
                st.builds(Change, minute=st.just(one), server=st.integers(0, 3), is_down=st.booleans())
                for one in sorted(found)
            )
        ).map(list)
    )


def new_world() -> World:
    """Return a world in which nothing has happened."""
    return World(rules(), catalog(), LISTS, start=START)


def play(happened: Sequence[Change], *, until: float = 1000) -> World:
    """Return the world after all this, each told of when it happened."""
    world = new_world()
    for one in happened:
        world.reach(at(one.minute))
        world.feed(one.event())
    world.advance(at(until))
    return world


def by_person(world: World) -> dict[str, list[Told]]:
    """Return what each person was told."""
    found: dict[str, list[Told]] = {}
    for one in world.told:
        found.setdefault(one.recipient.identity, []).append(one)
    return found


def fires_within(happened: Sequence[Change], server: int, first: float, last: float) -> bool:
    """Tell whether a server is down from the one moment to the other without a break."""
    own = [one for one in happened if one.server == server and one.minute <= last]
    before = [one for one in own if one.minute <= first]
    return bool(before) and before[-1].is_down and all(one.is_down for one in own if one.minute > first)


@EXAMPLES
@given(changes())
def test_whoever_is_down_for_longer_than_the_waits_is_told_in_time(happened: list[Change]) -> None:
    """At that moment everybody believes that it is down: no member is lost."""
    world, patience = play(happened), max(FIRST_AFTER, BATCH_EVERY)

    for one in happened:
        if one.is_down and fires_within(happened, one.server, one.minute, one.minute + patience):
            for messages in by_person(world).values():
                said = [told for told in messages if told.at <= at(one.minute + patience)]
                spoke = [told for told in said if f"web-{one.server}" in told.firing + told.resolved]
                assert spoke
                assert f"web-{one.server}" in spoke[-1].firing


@EXAMPLES
@given(changes())
def test_what_is_told_is_news_or_a_reminder_that_is_due(happened: list[Change]) -> None:
    """None is told twice for one reason, to anybody."""
    for messages in by_person(play(happened)).values():
        believed: set[str] = set()
        spoken: dict[object, datetime] = {}
        for told in messages:
            new, ended = set(told.firing) - believed, set(told.resolved)
            assert ended <= believed
            if told.why in {"first", "new_member"}:
                assert new
            elif told.why == "reminder":
                assert told.at == spoken[told.event.id.rpartition(":")[0]] + REMIND_AFTER * MINUTE
            else:
                assert ended
                assert (told.why == "all_resolved") == (not told.firing)
            believed = (believed | set(told.firing)) - ended
            spoken[told.event.id.rpartition(":")[0]] = told.at
        told_once = Counter((told.event.id, told.recipient.identity) for told in messages)
        assert set(told_once.values()) <= {1}


@EXAMPLES
@given(changes(), st.sampled_from(["silenced", "open"]))
def test_every_beginning_that_was_told_has_its_end_told_once(happened: list[Change], ears: str) -> None:
    """Also through a silence that came after it."""
    world = new_world()
    last = happened[-1].minute + 1
    for one in happened:
        world.reach(at(one.minute))
        world.feed(one.event())
    world.advance(at(last))
    if ears == "silenced":
        world.silence(
            Silence(
                id="s", matcher_sets=(parse_matchers('subject=~"web-.*"'),), starts_at=world.now,
                ends_at=at(10_000), created_by="Ann", comment="work",
            )
        )  # fmt: skip
    world.feed(Change(minute=last + one, server=one, is_down=False).event() for one in range(4))
    world.advance(at(last + 100))

    for messages in by_person(world).values():
        balance: Counter[str] = Counter()
        for told in messages:
            for subject in told.firing:
                balance[subject] = 1
            for subject in told.resolved:
                balance[subject] -= 1
        assert set(balance.values()) <= {0}
    assert world.groups.places == {}


@EXAMPLES
@given(changes(12), st.randoms(use_true_random=False))
def test_the_order_of_arrival_within_a_batch_does_not_matter(happened: list[Change], dice: object) -> None:
    """All that came while nobody looked leads to the same."""
    events = [one.event() for one in happened]
    mixed = list(events)
    dice.shuffle(mixed)  # type: ignore[attr-defined]
    worlds = [new_world(), new_world()]

    for world, batch in zip(worlds, (events, mixed), strict=True):
        world.advance(at(130))
        world.feed(batch)
        world.advance(at(300))

    assert worlds[0].told == worlds[1].told


@EXAMPLES
@given(changes(16), st.lists(st.sampled_from("12b"), min_size=16, max_size=16))
@example(  # one worker hears of the second word, the other of the first: it began earlier than it seemed
    [Change(minute=116, server=1, is_down=True), Change(minute=119, server=1, is_down=True)], ["2", "1"]
)
def test_two_workers_do_what_one_does(happened: list[Change], shares: list[str]) -> None:
    """Each has a part of the batches, some have both; all that is told is the same."""
    one, two = new_world(), new_world()

    for minute in range(0, 125, 5):
        batch = [change for change in happened if minute - 5 < change.minute <= minute]
        parts = dict(zip(happened, shares, strict=False))
        for world in (one, two):
            world.reach(at(minute))
        one.feed(change.event() for change in batch)
        for worker in "12":
            two.feed(change.event() for change in batch if parts[change] in {worker, "b"})
    for world in (one, two):
        world.advance(at(400))

    assert seen(one) == seen(two)


def seen(world: World) -> list[tuple[object, ...]]:
    """Return what people see of all that was told; of one moment in any order."""
    return sorted(
        (one.at, one.recipient.identity, one.why, sorted(one.firing), sorted(one.resolved))
        for one in world.told
    )


@EXAMPLES
@given(st.integers(1, 7), st.randoms(use_true_random=False))
def test_words_that_follow_each_other_lead_to_one_state_in_any_order(count: int, dice: object) -> None:
    """Down, up, down …: whatever arrives first."""
    words = [
        Signal(
            status=AlertStatus.RESOLVED if minute % 2 else AlertStatus.FIRING, at=at(minute), severity=1,
            labels={}, newest=Newest(type="t", subject="s", data={"minute": minute}),
        )
        for minute in range(count)
    ]  # fmt: skip
    mixed = list(words)
    dice.shuffle(mixed)  # type: ignore[attr-defined]

    ordered, other = (_after(one, at(count)) for one in (words, mixed))

    assert other.is_firing == ordered.is_firing
    if ordered.is_firing:
        assert (other.started_at, other.newest) == (ordered.started_at, ordered.newest)
    assert count == 1 or other.ended_at == ordered.ended_at


def _after(words: Sequence[Signal], now: datetime) -> AlertState:
    state = AlertState()
    for one in words:
        state = receive(state, one, now, ttl=None, flapping=None)
    return state
