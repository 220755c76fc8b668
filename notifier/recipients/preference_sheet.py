"""Decide what a person's preference page shows, and what a filled-in page changes.

Pure values in and out; rows nobody touched stay as they were, with all their details.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import time
from typing import Final

from notifier.events import Json
from notifier.messages import ChannelName
from notifier.recipients.local_times import EVERY_DAY
from notifier.recipients.refusals import CategoryRules, Choices
from notifier.recipients.wishes import ANY
from notifier.recipients.wishes_form import read_wishes

OWN: Final = "own"
"""What was set cannot be said on the page: it stays, unless something else is chosen."""
NONE: Final = "none"
_SHOWN = (ChannelName.EMAIL, ChannelName.SMS, ChannelName.PORTAL)
_HIDDEN = frozenset({"notifier"})
"""Made of what other categories hold back."""
_DAYS: Final = {"all": EVERY_DAY, "week": frozenset(range(5)), "weekend": frozenset({5, 6})}
_WEEKDAYS: Final[Mapping[str, list[Json]]] = {"week": ["monday:friday"], "weekend": ["saturday:sunday"]}
DIGESTS: Final[Mapping[str, Mapping[str, Json]]] = {
    "hourly": {"gather": "accumulate", "every": "1h"},
    "daily": {"gather": "accumulate", "at": ["08:00"]},
    "weekly": {"gather": "accumulate", "at": ["08:00"], "weekdays": ["monday"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a person."""

    choices: Choices
    is_known: bool
    """In the address book: only then is there a place for anything but what is mailed to this address."""
    unsubscribed: frozenset[str] = frozenset()
    """Categories not mailed to the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """One category on the page."""

    name: str
    channels: tuple[str, ...]
    wanted: frozenset[str]
    is_locked: bool
    has_essential: bool

    def to_json(self) -> dict[str, Json]:
        """Return what the page is written from."""
        return {
            "name": self.name,
            "channels": {channel: channel in self.wanted for channel in self.channels},
            "is_locked": self.is_locked,
            "has_essential": self.has_essential,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a filled-in page comes to."""

    choices: Choices
    unsubscribe: tuple[str, ...] = ()
    """Categories not to be mailed to the address from now on."""
    resubscribe: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    """Categories told only to who asks, asked for now."""
    fields: tuple[str, ...] = ()


def rows_of(
    rules: Mapping[str, CategoryRules],
    standing: Standing,
    received: Iterable[tuple[str, str]],
    *,
    category: str,
    has_phone: bool,
) -> list[SheetRow]:
    """Return the categories to show: what the person got of late, ever chose, or may ask for.

    Args:
        rules: The catalogue's categories.
        standing: What is known of the person.
        received: (category, channel) of what they got of late.
        category: Of the mail the link stood in.
        has_phone: SMS could reach them with what they ask for.
    """
    got: dict[str, set[str]] = {category: set()}
    for name, channel in received:
        got.setdefault(name, set()).add(channel)
    chosen = standing.choices.refused | set(standing.choices.wishes.get("opt_ins", ()))
    names = {*got, *standing.unsubscribed, *(entry.partition(":")[0] for entry in chosen)}
    if standing.is_known:
        names |= {name for name, one in rules.items() if one.is_opt_in}
    found = []
    for name in sorted(names & rules.keys() - _HIDDEN):
        ways = {"email", *got.get(name, ()), *_ways(chosen, name)}
        if rules[name].is_opt_in and has_phone:
            ways.add("sms")
        channels = tuple(one.value for one in _SHOWN if one.value in ways)
        channels = channels if standing.is_known else ("email",)
        found.append(_row(rules[name], standing, channels))
    return found


def apply_rows(
    rules: Mapping[str, CategoryRules],
    standing: Standing,
    shown: Iterable[SheetRow],
    filled: Mapping[str, Collection[str]],
) -> Changed:
    """Return what a page comes to: ``filled`` has the channels wanted of each category it showed."""
    changed = Changed(choices=standing.choices)
    for row in shown:
        if row.is_locked or row.name not in filled:
            continue
        wanted = frozenset(filled[row.name]) & set(row.channels)
        if wanted != row.wanted:
            changed = _apply(changed, rules[row.name], row, wanted)
    return changed


def settings_of(wishes: Mapping[str, Json]) -> dict[str, Json]:
    """Return quiet hours, least severity and digest as the page can say them."""
    return {"quiet": _quiet_of(wishes), "least": _least_of(wishes), "digest": _digest_of(wishes)}


def apply_settings(changed: Changed, filled: Mapping[str, Json]) -> Changed:
    """Return the choices with the page's other settings; what it leaves as it is stays untouched.

    Raises:
        WishesRefused: they cannot be taken.
        KeyError: the page is none of ours.
    """
    wishes, before = dict(changed.choices.wishes), settings_of(changed.choices.wishes)
    fields = [
        name for name in ("quiet", "least", "digest")
        if name in filled and filled[name] != OWN and filled[name] != before[name]
    ]  # fmt: skip
    for name in fields:
        key, value = _written(name, filled[name])
        wishes.pop(key, None)
        if value:
            wishes[key] = value
    read_wishes(wishes)
    choices = Choices(opt_outs=changed.choices.opt_outs, wishes=wishes)
    return replace(changed, choices=choices, fields=(*changed.fields, *fields))


def _ways(chosen: Collection[str], name: str) -> Iterator[str]:
    """Yield the channels a category was ever chosen by."""
    return (entry.partition(":")[2] for entry in chosen if entry.startswith(f"{name}:"))


def _row(one: CategoryRules, standing: Standing, channels: tuple[str, ...]) -> SheetRow:
    choices, name = standing.choices, one.name
    asked = set(choices.wishes.get("opt_ins", ()))
    wanted = {
        channel
        for channel in channels
        if not choices.refused & {name, f"{name}:{channel}"}
        and (not one.is_opt_in or asked & {name, f"{name}:{channel}"})
        and not (channel == "email" and name in standing.unsubscribed)
    }
    return SheetRow(
        name=name,
        channels=channels,
        wanted=frozenset(wanted),
        is_locked=not one.is_refusable,
        has_essential=one.has_essential,
    )


def _apply(changed: Changed, one: CategoryRules, row: SheetRow, wanted: frozenset[str]) -> Changed:
    name, unwanted = row.name, [channel for channel in row.channels if channel not in wanted]
    parts = [f"{name}:{channel}" for channel in row.channels]
    choices = changed.choices.wanting([name, *parts])
    if not wanted:
        choices = choices.refusing([name])
    elif unwanted:
        choices = choices.refusing([f"{name}:{channel}" for channel in unwanted])
    if one.is_opt_in and wanted:
        choices = choices.asking(
            [name] if not unwanted else [f"{name}:{channel}" for channel in sorted(wanted)]
        )
    was_mailed, is_mailed = "email" in row.wanted, "email" in wanted
    return Changed(
        choices=choices,
        unsubscribe=(*changed.unsubscribe, *([name] if was_mailed and not is_mailed else ())),
        resubscribe=(*changed.resubscribe, *([name] if is_mailed and not was_mailed else ())),
        refused=(*changed.refused, *_entries(row, row.wanted - wanted, is_all=not wanted)),
        wanted=(*changed.wanted, *_entries(row, wanted - row.wanted, is_all=not unwanted)),
        asked=(*changed.asked, *([name] if one.is_opt_in and wanted and not row.wanted else ())),
        fields=changed.fields,
    )


def _entries(row: SheetRow, channels: frozenset[str], *, is_all: bool) -> Iterator[str]:
    if is_all and channels:
        yield row.name
    elif channels:
        yield from (f"{row.name}:{channel}" for channel in sorted(channels))


def _quiet_of(wishes: Mapping[str, Json]) -> Json:
    stretches = read_wishes({"quiet": wishes.get("quiet", [])}).quiet
    if not stretches:
        return NONE
    days = next((name for name, one in _DAYS.items() if one == stretches[0].weekdays), None)
    if len(stretches) > 1 or days is None:
        return OWN
    return {"days": days, "from": _clock(stretches[0].start), "until": _clock(stretches[0].until)}


def _least_of(wishes: Mapping[str, Json]) -> Json:
    least = wishes.get("at_least", {})
    return least.get(ANY, NONE) if set(least) <= {ANY} else OWN


def _digest_of(wishes: Mapping[str, Json]) -> Json:
    mine = read_wishes({"digests": wishes.get("digests", {})}).digests
    if not mine:
        return NONE
    if set(mine) != {ANY}:
        return OWN
    presets = read_wishes({"digests": DIGESTS}).digests
    return next((name for name, one in presets.items() if one == mine[ANY]), OWN)


def _written(name: str, value: Json) -> tuple[str, Json]:
    """Return the key and value of the wishes' JSON form."""
    if name == "least":
        return "at_least", None if value == NONE else {ANY: value}
    if name == "digest":
        return "digests", None if value == NONE else {ANY: dict(DIGESTS[value])}
    if value == NONE:
        return "quiet", None
    # A day ends at 24:00; a browser's field knows 00:00 only.
    until = "24:00" if value["until"] == "00:00" else value["until"]
    days = {"weekdays": _WEEKDAYS[value["days"]]} if value["days"] != "all" else {}
    return "quiet", [{**days, "from": value["from"], "until": until}]


def _clock(moment: time) -> str:
    return f"{moment:%H:%M}"
