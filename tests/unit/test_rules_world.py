"""Rules at work on a virtual clock: exact instants, each thing once, nothing sent."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.catalog import Catalog, EventType
from notifier.decisions import Contact
from notifier.errors import EventRefused
from notifier.events import Event, Json, Recipient
from notifier.messages import ChannelName
from notifier.rules.alerting.matchers import parse_matchers
from notifier.rules.alerting.silences import Silence
from notifier.rules.load import read_rules
from notifier.rules.simulation.world import World

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
LISTS = {
    "operators": (Recipient(email="ops@x.example", phone="+491701"),),
    "managers": (Recipient(email="boss@x.example"),),
}
TYPES = (
    "server.down", "server.recovered", "site.down", "site.recovered", "order.placed", "order.paid",
    "order.stuck", "report.due", "invoice.issued", "invoice.due",
)  # fmt: skip


def catalog() -> Catalog:
    """Return types whose data may be anything, but for the report's."""
    common = {"category": "it", "class": "operational", "sample_subject": "s", "schema": {}, "sample": {}}
    strict = {"schema": {"required": ["title"]}, "sample": {"title": "T"}}
    return Catalog({
        name: EventType.model_validate({
            **common, "type": name, "title": name, **(strict if name == "report.due" else {}),
        })
        for name in TYPES
    })  # fmt: skip


def world_of(folder: Path, text: str, **options: object) -> World:
    """Return a world with one file of rules."""
    (folder / "rules.yaml").write_text("rules:\n" + text)
    rules = read_rules(folder, types=TYPES, lists=tuple(LISTS))
    return World(rules, catalog(), LISTS, start=START, **options)  # type: ignore[arg-type]


def happen(world: World, at: float, name: str, subject: str = "web-1", **data: Json) -> None:
    """Let an event happen so many minutes after the start."""
    world.reach(START + timedelta(minutes=at))
    event = Event(
        id=f"{name}-{subject}-{at}", source="t", type=name, subject=subject, time=world.now, data=data
    )
    world.feed(event)


def pass_to(world: World, minutes: float) -> None:
    """Let time pass until so many minutes after the start."""
    world.advance(START + timedelta(minutes=minutes))


def told(world: World) -> list[tuple[float, str, tuple[str, ...], tuple[str, ...]]]:
    """Return when what was told, in minutes: why, what fires, what is over."""
    return [
        ((one.at - START) / timedelta(minutes=1), one.why, one.firing, one.resolved) for one in world.told
    ]


def to_whom(world: World) -> list[tuple[float, str, str, str]]:
    """Return when who was told by what, in minutes, and why."""
    return [
        (
            (one.at - START) / timedelta(minutes=1), one.recipient.identity,
            ">".join(channel.value for channel in one.channels), one.why,
        )
        for one in world.told
    ]  # fmt: skip


ALERT = """
  - alert: servers
    on: [server.*]
    resolved: server.recovered
    labels: {site: data.site}
    group_by: [site]
    first_after: 1m
    batch_every: 10m
    remind_after: 1h
    recipients: [{list: operators}]
"""


def test_an_event_is_told_when_it_happens_and_once(tmp_path: Path) -> None:
    """Fed again, also under another time, it is the same event."""
    rules = "  - notify: down\n    on: server.down\n    recipients: [{list: operators}]\n    channels: [sms, email]\n"
    world = world_of(tmp_path, rules)
    event = Event(id="e", source="t", type="server.down", subject="web-1", time=START)

    decisions = [world.feed([event, event]), world.feed(event)]

    assert to_whom(world) == [(0, "ops@x.example", "sms>email", "event")]
    assert [len(one) for one in decisions] == [1, 0]
    one = world.told[0]
    assert (one.rule, one.template, one.event.id, one.alerts) == ("down", "server/down", "e", ())


def test_an_alert_is_told_reminded_of_and_called_off(tmp_path: Path) -> None:
    """After the first wait, then on the grid; the reminder exactly when it is due."""
    world = world_of(tmp_path, ALERT)

    happen(world, 0, "server.down")
    happen(world, 5, "server.down", "web-2")
    happen(world, 76, "server.recovered")
    happen(world, 80.5, "server.recovered", "web-2")
    pass_to(world, 600)

    assert told(world) == [
        (1, "first", ("web-1",), ()),
        (11, "new_member", ("web-1", "web-2"), ()),
        (71, "reminder", ("web-1", "web-2"), ()),
        (81, "all_resolved", (), ("web-1", "web-2")),
    ]
    assert world.next_at() is None
    assert [one.sequence for one in world.told] == [1, 2, 3, 4]
    assert len({one.group for one in world.told}) == 1


def test_down_and_up_within_the_wait_is_nothing(tmp_path: Path) -> None:
    """It cancels out; the next one begins anew."""
    world = world_of(tmp_path, ALERT)

    happen(world, 0, "server.down")
    happen(world, 0.5, "server.recovered")
    happen(world, 30, "server.down")
    pass_to(world, 31)

    assert told(world) == [(31, "first", ("web-1",), ())]


def test_events_of_one_batch_are_folded_in_the_order_they_happened(tmp_path: Path) -> None:
    """However they arrive."""
    world = world_of(tmp_path, ALERT)
    pass_to(world, 10)
    times = [("server.recovered", 4), ("server.down", 7), ("server.down", 2)]

    world.feed(
        Event(id=str(n), source="t", type=name, subject="web-1", time=START + timedelta(minutes=at))
        for n, (name, at) in enumerate(times)
    )
    pass_to(world, 20)

    assert told(world) == [(10, "first", ("web-1",), ())]  # it waited long enough before we heard of it
    assert world.told[0].alerts[0].started_at == START + timedelta(minutes=7)


INHIBIT = """
  - alert: sites
    on: [site.*]
    resolved: site.recovered
    first_after: 0s
    labels: {site: event.subject}
    recipients: [{list: managers}]
  - inhibit: site-down
    source: rule="sites"
    target: rule="servers"
    equal: [site]
"""


def test_a_stronger_alert_mutes_weaker_ones_until_it_is_over(tmp_path: Path) -> None:
    """What then still fires is told on the next tick; who was told that something fires hears of its end."""
    world = world_of(tmp_path, ALERT + INHIBIT)

    happen(world, 0, "server.down", "web-1", site="rome")
    happen(world, 2, "site.down", "rome")
    happen(world, 3, "server.down", "web-2", site="rome")
    happen(world, 4, "server.recovered", "web-1")
    happen(world, 4.5, "server.recovered", "web-1", site="rome")
    happen(world, 30, "site.recovered", "rome")
    pass_to(world, 60)

    assert [one for one in told(world) if one[1] != "first" or one[2] != ("rome",)] == [
        (1, "first", ("web-1",), ()),
        (11, "all_resolved", (), ("web-1",)),
        (31, "first", ("web-2",), ()),
        (32, "all_resolved", (), ("rome",)),
    ]


def silence_of(world: World, text: str, minutes: float) -> Silence:
    """Return a silence from now on."""
    return Silence(
        id="s", matcher_sets=(parse_matchers(text),), starts_at=world.now,
        ends_at=world.now + timedelta(minutes=minutes), created_by="Ann", comment="work",
    )  # fmt: skip


@pytest.mark.parametrize("ends", ["by its time", "by hand"])
def test_a_silence_holds_back_what_begins_and_not_what_ends(tmp_path: Path, ends: str) -> None:
    """When it is over, what still fires is told together on the next tick."""
    world = world_of(tmp_path, ALERT)

    happen(world, 0, "server.down", "web-1")
    pass_to(world, 2)
    world.silence(silence_of(world, 'subject=~"web-.*"', 30 if ends == "by its time" else 300))
    happen(world, 3, "server.down", "web-2")
    happen(world, 4, "server.down", "web-3")
    happen(world, 13, "server.recovered", "web-1")
    pass_to(world, 32)
    if ends == "by hand":
        world.expire("s")
    pass_to(world, 60)

    assert told(world) == [
        (1, "first", ("web-1",), ()),
        (21, "all_resolved", (), ("web-1",)),
        (41, "first", ("web-2", "web-3"), ()),
    ]


def test_what_still_fires_when_a_silence_ends_is_brought_up_once(tmp_path: Path) -> None:
    """Though people knew of it, and no reminder is due; on the next tick."""
    world = world_of(tmp_path, ALERT.replace("    remind_after: 1h\n", ""))

    happen(world, 0, "server.down", "web-1")
    pass_to(world, 2)
    world.silence(silence_of(world, 'subject="web-1"', 30))
    happen(world, 4, "server.down", "web-2")
    pass_to(world, 300)

    assert told(world) == [
        (1, "first", ("web-1",), ()),
        (11, "new_member", ("web-2",), ()),
        (41, "reminder", ("web-1", "web-2"), ()),
    ]


def test_a_silence_nobody_made_cannot_be_ended(tmp_path: Path) -> None:
    """A slip in a test is found."""
    with pytest.raises(LookupError, match="no silence 's'"):
        world_of(tmp_path, ALERT).expire("s")


def test_windows_mute_until_they_change(tmp_path: Path) -> None:
    """Told only by day, in the local time of the place; the morning begins with what still fires."""
    world = world_of(tmp_path, ALERT + """    active: [day]
  - window: day
    intervals: [{times: [{start_time: "08:00", end_time: "11:00"}], location: Europe/Berlin}]
""")  # fmt: skip

    happen(world, 30, "server.down", "web-1")
    happen(world, 90, "server.down", "web-2")
    pass_to(world, 23 * 60)

    morning = (datetime(2026, 3, 3, 7, tzinfo=UTC) - START) / timedelta(minutes=1)
    assert told(world) == [
        (31, "first", ("web-1",), ()),
        (morning, "new_member", ("web-1", "web-2"), ()),
        (morning + 60, "reminder", ("web-1", "web-2"), ()),
    ]


def test_what_somebody_took_charge_of_is_not_brought_up_again(tmp_path: Path) -> None:
    """No reminders; its end is told."""
    world = world_of(tmp_path, ALERT)

    happen(world, 0, "server.down")
    pass_to(world, 5)
    taken = world.acknowledge("Ann", subject="web-1")
    nothing = world.acknowledge("Ann", matchers=parse_matchers('subject="web-9"'))
    happen(world, 200, "server.recovered")
    pass_to(world, 300)

    assert (len(taken), nothing) == (1, ())
    assert told(world) == [(1, "first", ("web-1",), ()), (201, "all_resolved", (), ("web-1",))]


ESCALATION = """    escalate: on-call
  - escalation: on-call
    steps:
      - {recipients: [{list: on-call}], channels: [sms], wait: 5m}
      - {recipients: [{list: managers}], channels: [email], wait: 15m}
    at_end: {recipients: [{list: operators}], channels: [sms]}
    ack_timeout: 30m
  - rotation: on-call
    zone: Europe/Berlin
    layers:
      - {people: [{email: a@x.example, phone: "+491"}, {email: b@x.example, phone: "+492"}], start: "2026-03-01",
         every: 1d, at: "10:04"}
"""


def test_an_escalation_asks_one_after_the_other(tmp_path: Path) -> None:
    """Who is on call is looked up when it is their turn; an acknowledgement holds the rest."""
    world = world_of(tmp_path, ALERT + ESCALATION)

    happen(world, 0, "server.down")
    pass_to(world, 30)

    escalated = [one for one in to_whom(world) if one[3] == "escalation"]
    on_call = {1: "a@x.example", 6: "b@x.example"}
    assert escalated == [
        (1, on_call[1], "sms", "escalation"),
        (6, "boss@x.example", "email", "escalation"),
        (21, "ops@x.example", "sms", "escalation"),
    ]


def test_an_acknowledgement_stops_the_escalation(tmp_path: Path) -> None:
    """And once all is over, whoever was told hears so."""
    world = world_of(tmp_path, ALERT + ESCALATION)

    happen(world, 0, "server.down")
    pass_to(world, 3)
    world.acknowledge("a", subject="web-1")
    happen(world, 10, "server.recovered")
    pass_to(world, 60)

    assert [one for one in to_whom(world) if one[3] == "escalation"] == [
        (1, "a@x.example", "sms", "escalation")
    ]
    assert {one[1] for one in to_whom(world) if one[3] == "all_resolved"} == {"ops@x.example", "a@x.example"}


JOURNEY = """
  - journey: orders
    subject: event.subject
    defaults: {recipients: [{data: customer}]}
    stages:
      - {stage: placed, on: order.placed, stuck: {after: 2h, event: order.stuck}}
      - {stage: paid, on: order.paid, terminal: true}
  - notify: stuck
    on: order.stuck
    recipients: [{list: operators}]
"""


@pytest.mark.parametrize(("paid", "stuck"), [(90.0, []), (None, [120.0])])
def test_a_subject_that_does_not_go_on_is_noticed(
    tmp_path: Path, paid: float | None, stuck: list[float]
) -> None:
    """The timer makes its event at the moment, unless the next stage came before."""
    world = world_of(tmp_path, JOURNEY)

    happen(world, 0, "order.placed", "O-1", customer="ann@x.example")
    if paid is not None:
        happen(world, paid, "order.paid", "O-1", customer="ann@x.example")
    pass_to(world, 600)

    assert [(one.at - START) / timedelta(minutes=1) for one in world.told if one.rule == "stuck"] == stuck
    assert sum(one.rule == "orders" for one in world.told) == 1 + (paid is not None)


def test_a_second_event_of_a_stage_is_not_told_again(tmp_path: Path) -> None:
    """The stage is the cause, and not the event."""
    world = world_of(tmp_path, JOURNEY)

    happen(world, 0, "order.placed", "O-1", customer="ann@x.example")
    happen(world, 5, "order.placed", "O-1", customer="ann@x.example")

    assert len(world.told) == 1


def test_schedules_make_events_by_the_clock(tmp_path: Path) -> None:
    """In their zone; one whose data does not fit its type is noted and tells nobody."""
    world = world_of(tmp_path, """
  - schedule: daily
    cron: "0 12 * * *"
    zone: Europe/Berlin
    event: report.due
    data: {title: Orders}
  - schedule: broken
    cron: "0 13 * * *"
    zone: Europe/Berlin
    event: report.due
  - notify: report
    on: report.due
    recipients: [{list: managers}]
""")  # fmt: skip

    assert world.next_at() == START + timedelta(hours=2)
    pass_to(world, 60 * 27)

    assert [one.at for one in world.told] == [START + timedelta(hours=2), START + timedelta(hours=26)]
    assert [(one.at, one.type) for one in world.refused] == [(START + timedelta(hours=3), "report.due"),
                                                             (START + timedelta(hours=27), "report.due")]  # fmt: skip


def test_dates_are_reminded_of(tmp_path: Path) -> None:
    """Days before and on the date, at nine local time; a changed date moves them."""
    world = world_of(tmp_path, """
  - reminder: due-dates
    on: invoice.issued
    date: data.due
    offsets: [-1d, 0d]
    zone: Europe/Berlin
    event: invoice.due
  - notify: due
    on: invoice.due
    recipients: [{list: managers}]
""")  # fmt: skip

    happen(world, 0, "invoice.issued", "I-1", due="2026-03-05")
    happen(world, 10, "invoice.issued", "I-1", due="2026-03-06")
    pass_to(world, 60 * 24 * 7)

    assert [one.at for one in world.told] == [datetime(2026, 3, day, 8, tzinfo=UTC) for day in (5, 6)]
    assert [one.event.data["offset_days"] for one in world.told] == [-1, 0]


def test_people_are_known_by_the_address_book(tmp_path: Path) -> None:
    """What the event lacks, the contact has."""
    rules = "  - notify: down\n    on: server.down\n    recipients: [{contact: owner}]\n    channels: [sms]\n"
    contacts: Mapping[str, Contact] = {"c-1": Contact(reference="c-1", phone="+49170")}
    world = world_of(tmp_path, rules, contacts=contacts)

    happen(world, 0, "server.down", owner="c-1")

    (one,) = world.told
    assert (one.recipient.phone, one.channels) == ("+49170", (ChannelName.SMS,))


def test_nothing_is_said_before_the_world_may_speak(tmp_path: Path) -> None:
    """What is due before waits for that moment, and the grid begins there."""
    world = world_of(tmp_path, ALERT, speaks_from=START + timedelta(minutes=4))

    happen(world, 0, "server.down")
    happen(world, 5, "server.down", "web-2")
    pass_to(world, 20)

    assert [one[0] for one in told(world)] == [4, 14]


def test_an_event_that_does_not_fit_its_type_changes_nothing(tmp_path: Path) -> None:
    """Not even what came with it."""
    world = world_of(tmp_path, ALERT)
    good = Event(id="1", source="t", type="server.down", subject="web-1", time=START)
    bad = Event(id="2", source="t", type="report.due", subject="x", time=START)

    with pytest.raises(EventRefused):
        world.feed([good, bad])

    pass_to(world, 60)
    assert world.told == []


def test_tenants_do_not_see_each_other(tmp_path: Path) -> None:
    """Same subject, other tenant: another alert, another group, another silence."""
    world = world_of(tmp_path, ALERT)
    world.silence(silence_of(world, 'subject="web-1"', 600), tenant="a")

    world.feed(
        Event(id="1", source="t", type="server.down", subject="web-1", time=START, tenant=tenant)
        for tenant in ("a", "b")
    )
    pass_to(world, 30)

    assert [(one.event.tenant, one.firing) for one in world.told] == [("b", ("web-1",))]


def test_an_alert_that_changes_its_branch_leaves_the_group_of_before(tmp_path: Path) -> None:
    """Critical, then only a warning: the branch of critical ones reminds nobody of it, and tells its end."""
    world = world_of(
        tmp_path,
        """
  - alert: servers
    on: server.down
    resolved: server.recovered
    severity: data.severity
    first_after: 0s
    batch_every: 5m
    recipients: [{list: operators}]
    routes:
      - {route: crit, match: 'severity="critical"', remind_after: 10m, channels: [sms, email]}
""",
    )
    happen(world, 0, "server.down", severity="critical")
    happen(world, 7, "server.down", severity="warning")
    happen(world, 60, "server.recovered")
    pass_to(world, 90)

    assert [(minute, why) for minute, why, _, _ in told(world)] == [
        (0, "first"),
        (7, "first"),
        (60, "all_resolved"),
        (62, "all_resolved"),
    ]


def test_a_step_that_reaches_nobody_does_not_make_the_next_one_wait(tmp_path: Path) -> None:
    """Nobody is on call yet: the managers are called at once, and not after the step's half hour."""
    world = world_of(
        tmp_path,
        """
  - alert: servers
    on: server.down
    first_after: 0s
    escalate: calls
  - rotation: duty
    layers:
      - {people: [ann@example.com], start: "2030-01-01", every: 1w}
  - escalation: calls
    steps:
      - {recipients: [{list: duty}], wait: 30m}
      - {recipients: [{list: operators}], wait: 30m}
""",
    )
    happen(world, 0, "server.down")
    pass_to(world, 20)

    assert [(minute, why) for minute, why, _, _ in told(world)] == [(0, "escalation")]
