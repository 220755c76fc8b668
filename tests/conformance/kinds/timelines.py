"""Rules, catalogue and deliveries for whole sequences: an Alertmanager configuration as rules of ours.

A receiver's targets are told by a rule each, so that each has its own log, as there. A reminder comes when it is
due; Alertmanager's come on its ticks, so the wait is rounded up to one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.catalog import Catalog, EventType
from notifier.decisions import ChannelStep
from notifier.delivery.policy import DeliveryPolicy
from notifier.events import Json, Recipient
from notifier.messages import ChannelName
from notifier.recipients.sources import ListSource
from notifier.rules.alerting.cadence import Cadence, Remind
from notifier.rules.alerting.compile import AlertSetting
from notifier.rules.alerting.matchers import Matcher
from notifier.rules.alerting.plan import AlertPlan, AlertRule
from notifier.rules.alerting.routes import Node
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.told import Told
from notifier.rules.telling import Telling
from tests.conformance.kinds.inhibiting import inhibit_rule

FIRED, ENDED = "vector.fired", "vector.ended"
_TIMES = ("group_wait", "group_interval", "repeat_interval")
_INHERITED = ("receiver", "group_by", *_TIMES)
_EMAIL = ChannelStep(channel=ChannelName.EMAIL)
_PATIENCE = 10.0


def catalog() -> Catalog:
    """Return the types of the events that alerts are fed as."""
    common = {
        "category": "vectors",
        "class": "operational",
        "sample_subject": "a",
        "schema": {},
        "sample": {},
    }
    types = {
        name: EventType.model_validate({**common, "type": name, "title": name}) for name in (FIRED, ENDED)
    }
    return Catalog(types)


def targets(given: Mapping[str, Json]) -> dict[str, Json]:
    """Return every target by its name."""
    return {target["to"]: target for receiver in given["receivers"].values() for target in receiver}


def lists(given: Mapping[str, Json]) -> dict[str, tuple[Recipient, ...]]:
    """Return the people behind each target."""
    return {name: (Recipient(contact=name, email=f"{name}@vectors.example"),) for name in targets(given)}


def rule_set(given: Mapping[str, Json], label_names: Sequence[str]) -> RuleSet:
    """Return the rules: one for each place a target may have in its receiver."""
    slots = max(map(len, given["receivers"].values()))
    rules = [
        AlertRule(
            name=f"target-{slot}",
            patterns=(FIRED, ENDED),
            condition=None,
            labels=(("*", "data.labels"),),
            key=tuple(label_names),
            root=_node(given, {**given.get("defaults", {}), **given["route"]}, slot, ()),
            resolved=(ENDED,),
            ttl=timedelta(seconds=given.get("resolve_timeout", 300)),
            begins="data.starts_at",
            ends="data.ends_at",
            severity=2,
        )
        for slot in range(slots)
    ]
    inhibits = tuple(
        inhibit_rule(entry, f"rule-{number}") for number, entry in enumerate(given.get("inhibit") or ())
    )
    return RuleSet(rules, types=(FIRED, ENDED), setting=AlertSetting(inhibits=inhibits))


def _node(
    given: Mapping[str, Json], entry: Mapping[str, Json], slot: int, path: tuple[str, ...]
) -> Node[AlertPlan]:
    inherited = {name: entry[name] for name in _INHERITED if name in entry}
    return Node(
        path=path,
        plan=_plan(given, entry, slot),
        matchers=tuple(Matcher(**one) for one in entry.get("matchers") or ()),
        is_continue=bool(entry.get("continue")),
        children=tuple(
            _node(given, {**inherited, **child}, slot, (*path, str(number)))
            for number, child in enumerate(entry.get("routes") or ())
        ),
    )


def _plan(given: Mapping[str, Json], entry: Mapping[str, Json], slot: int) -> AlertPlan:
    receiver = given["receivers"].get(entry.get("receiver"), [])
    target = receiver[slot] if slot < len(receiver) else None
    wait, interval, repeat = (timedelta(seconds=entry[name]) for name in _TIMES)
    return AlertPlan(
        group_by=tuple(sorted(entry.get("group_by") or ())),
        cadence=Cadence(
            first_after=wait,
            batch_every=interval,
            remind=Remind(first=max(1, -(-repeat // interval)) * interval),
            send_resolved=target is not None and target.get("send_resolved", True),
        ),
        telling=Telling(
            condition=None,
            sources=(ListSource(list=target["to"]),) if target is not None else (),
            steps=(_EMAIL,),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message as its target got it."""

    to: str
    at: datetime
    told: Told


def delivered(told: Sequence[Told], given: Mapping[str, Json], start: datetime) -> list[Arrival]:
    """Return what arrived, in order.

    A try that fails is made again by the delivery, here with its shortest wait, unless a newer message of the
    group took its place meanwhile. What a target took and lost is gone.
    """
    every = targets(given)
    by_group: dict[tuple[str, str | None], list[Told]] = {}
    for one in told:
        by_group.setdefault((one.recipient.contact or "", one.group), []).append(one)
    found: list[Arrival] = []
    for (name, _), messages in by_group.items():
        found += _to_target(name, every[name], messages, start)
    return sorted(found, key=lambda one: one.at)


def _to_target(name: str, target: Json, messages: Sequence[Told], start: datetime) -> Iterator[Arrival]:
    slow = start + timedelta(seconds=target.get("slow_until") or 0)
    lost = start + timedelta(seconds=target.get("swallows_until") or 0)
    followers = [*messages[1:], None]
    for message, newer in zip(messages, followers, strict=True):
        at = _arrival(message, slow, target)
        if at >= lost and (newer is None or at <= newer.at):
            yield Arrival(to=name, at=at, told=message)


def _arrival(message: Told, slow: datetime, target: Json) -> datetime:
    """Return when a try succeeds: each before ``slow`` fails once the target's patience is over."""
    policy = DeliveryPolicy().of(message.urgency)
    patience = timedelta(seconds=target.get("timeout") or _PATIENCE)
    at, tries = message.at, 0
    while at < slow:
        tries += 1
        at += patience + policy.delay(tries, jitter=0)
    return at
