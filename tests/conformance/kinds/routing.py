"""Groups of alerts: whether one speaks now, and what whole sequences lead to on a virtual clock."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from notifier.events import Event, Json
from notifier.rules.alerting.cadence import Cadence, Group, Member, Remind, Told, look
from notifier.rules.alerting.matchers import Matcher
from notifier.rules.alerting.silences import Silence
from notifier.rules.simulation.told import ToldAlert
from notifier.rules.simulation.world import World
from tests.conformance.kinds.timelines import ENDED, FIRED, Arrival, catalog, delivered, lists, rule_set
from tests.conformance.outcomes import PASSED, Outcome, compared, divergent, failed
from tests.conformance.vectors import ORIGIN, Vector, moment

_LONG_AGO = timedelta(days=3650)
_TIMERS_SURVIVE = (
    "groups and their timers are rows: a reload of the configuration neither restarts the wait of a group nor "
    "moves its grid, so the same messages go out at the times that held before it"
)


def dedup(vector: Vector) -> Outcome:
    """A group whose tick has come is told, or written down as over; or there is nothing to do."""
    given, sent = vector.given, vector.given.get("last_sent")
    told = _told(sent) if sent is not None else {}
    repeat = timedelta(seconds=given.get("repeat_interval") or 0)
    group = Group(opened_at=ORIGIN - _LONG_AGO, tick_at=ORIGIN, told_at=_told_at(sent), number=len(told))
    members = [
        Member(
            id=str(number), is_firing=number in vector.when["firing"], severity=0,
            started_at=ORIGIN - _LONG_AGO, told=told.get(number),
        )
        for number in dict.fromkeys((*told, *vector.when["firing"], *vector.when["resolved"]))
    ]  # fmt: skip
    cadence = Cadence(remind=Remind(first=repeat), send_resolved=bool(given.get("send_resolved")))
    seen = look(group, members, cadence, ORIGIN)
    return compared(vector.want["notify"], seen.message is not None or bool(seen.told), "notify")


def _told(sent: Json) -> dict[int, Told]:
    firing = {number: Told(is_firing=True, severity=0) for number in sent["firing"]}
    return firing | {number: Told(is_firing=False, severity=0) for number in sent["resolved"]}


def _told_at(sent: Json) -> datetime | None:
    if sent is None:
        return None
    ago = sent["seconds_ago"]
    return ORIGIN - (_LONG_AGO if ago is None else timedelta(seconds=ago))


def timeline(vector: Vector) -> Outcome:
    """A sequence leads to these messages and no others."""
    arrivals = _play(vector)
    problems = _problems(arrivals, vector.want)
    if not problems:
        return PASSED
    if any("reload" in step for step in vector.when) and _is_same_but_for_times(arrivals, vector.want):
        return divergent(_TIMERS_SURVIVE)
    return failed("; ".join(problems))


def _play(vector: Vector) -> list[Arrival]:
    given = vector.given
    alerts = [alert for step in vector.when for key in ("fire", "resolve") for alert in step.get(key) or ()]
    names = sorted({name for alert in alerts for name in alert["labels"]})
    world = World(
        rule_set(given, names), catalog(), lists(given),
        start=ORIGIN, speaks_from=moment(given.get("start_delay") or 0),
    )  # fmt: skip
    for number, step in enumerate(sorted(vector.when, key=lambda one: float(one["at"]))):
        world.reach(moment(step["at"]))
        _step(world, step, number)
    ends = [one["between"][1] for one in vector.want["notifications"]]
    world.advance(moment(max([*ends, vector.want.get("nothing_else_until") or 0])))
    return delivered(world.told, given, ORIGIN)


def _step(world: World, step: Json, number: int) -> None:
    for key, type_ in (("fire", FIRED), ("resolve", ENDED)):
        world.feed(
            _event(alert, step["at"], type_, f"{number}-{key}-{place}")
            for place, alert in enumerate(step.get(key) or ())
        )
    if (entry := step.get("silence")) is not None:
        world.silence(_silence(entry, step["at"]))
    if (id_ := step.get("expire_silence")) is not None:
        world.expire(id_)


def _event(alert: Json, at: float, type_: str, id_: str) -> Event:
    ends = alert.get("ends_at", at if type_ == ENDED else None)
    data = {
        "labels": alert["labels"],
        "annotations": alert.get("annotations") or {},
        "starts_at": moment(alert.get("starts_at", at)).isoformat(),
        **({"ends_at": moment(ends).isoformat()} if ends is not None else {}),
    }
    return Event(id=id_, source="vectors", type=type_, subject="alert", time=moment(at), data=data)


def _silence(entry: Json, at: float) -> Silence:
    sets = entry.get("matcher_sets") or [entry["matchers"]]
    return Silence(
        id=entry["id"],
        matcher_sets=tuple(tuple(Matcher(**one) for one in matchers) for matchers in sets),
        starts_at=moment(entry.get("starts_at", at)),
        ends_at=moment(entry["ends_at"]),
        created_by="somebody",
        comment="a vector",
    )


def _problems(arrivals: Sequence[Arrival], want: Mapping[str, Json]) -> list[str]:
    left, problems = list(arrivals), []
    for wanted in want["notifications"]:
        first, last = (moment(one) for one in wanted["between"])
        there = [one for one in left if one.to == wanted["to"] and first <= one.at <= last]
        if not wanted["firing"] and not wanted["resolved"]:
            problems += [f"nothing was to come, but {_words(one)}" for one in there]
            left = [one for one in left if one not in there]
            continue
        match = next((one for one in there if _is_alike(one, wanted)), None)
        if match is None:
            seen = ", ".join(map(_words, there)) or "nothing"
            problems.append(f"want {wanted}, got {seen}")
        else:
            left.remove(match)
    until = want.get("nothing_else_until")
    if until is not None:
        problems += [f"not wanted: {_words(one)}" for one in left if one.at <= moment(until)]
    return problems


def _is_same_but_for_times(arrivals: Sequence[Arrival], want: Mapping[str, Json]) -> bool:
    wanted = [one for one in want["notifications"] if one["firing"] or one["resolved"]]
    if len(arrivals) != len(wanted):
        return False
    return all(
        one.to == other["to"] and _is_alike(one, other) for one, other in zip(arrivals, wanted, strict=True)
    )


def _is_alike(arrival: Arrival, wanted: Json) -> bool:
    alerts = arrival.told.alerts
    return all(
        _is_matching([one for one in alerts if one.is_firing is is_firing], wanted[key])
        for key, is_firing in (("firing", True), ("resolved", False))
    )


def _is_matching(alerts: Sequence[ToldAlert], wanted: Sequence[Json]) -> bool:
    left = list(wanted)
    for alert in alerts:
        match = next((one for one in left if _is_shown(alert, one)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def _is_shown(alert: ToldAlert, wanted: Json) -> bool:
    """Compare what the vector says of an alert; what it leaves out may be anything."""
    return (
        alert.data["labels"] == wanted["labels"]
        and ("annotations" not in wanted or alert.data["annotations"] == wanted["annotations"])
        and (wanted.get("starts_at") is None or alert.started_at == moment(wanted["starts_at"]))
        and (wanted.get("ends_at") is None or alert.ended_at == moment(wanted["ends_at"]))
    )


def _words(arrival: Arrival) -> str:
    at = (arrival.at - ORIGIN).total_seconds()
    shown = [
        f"{'firing' if one.is_firing else 'resolved'} {one.data['labels']}" for one in arrival.told.alerts
    ]
    return f"{arrival.to} at {at}s ({arrival.told.why}): {', '.join(shown)}"


KINDS = {"dedup": dedup, "timeline": timeline}
