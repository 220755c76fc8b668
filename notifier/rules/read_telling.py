"""Compile the keys all rules share: who is told, when, how; with what a rule leaves out taken from its defaults.

Collects errors in the checks; reads no file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.decisions import ChannelStep
from notifier.messages import ChannelName
from notifier.rules.checks import Checks, Place
from notifier.rules.shapes import TellingEntry
from notifier.rules.telling import Telling

_DEFAULT_STEPS = (ChannelStep(channel=ChannelName.EMAIL),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The values that hold, and where each of them stands."""

    values: Mapping[str, Any]
    where: Mapping[str, Place]

    @classmethod
    def of(cls, entry: TellingEntry, place: Place, parent: "Chosen | None" = None) -> "Chosen":
        """Take an entry's own values, and its parent's for what it leaves out."""
        values, where = {}, {}
        for key in type(entry).model_fields:
            own = getattr(entry, key)
            is_inherited = own is None and parent is not None and key in parent.values
            values[key] = parent.values[key] if is_inherited and parent is not None else own
            where[key] = parent.where[key] if is_inherited and parent is not None else place.at(key)
        return cls(values=values, where=where)


def read_telling(
    checks: Checks, chosen: Chosen, *, roots: frozenset[str], patterns: tuple[str, ...], at: Place
) -> Telling:
    """Compile and check what was chosen; ``at`` is where the types stand that name the default template."""
    values, where = chosen.values, chosen.where
    steps = tuple(ChannelStep(channel=one.channel, within=one.within) for one in values["channels"] or ())
    telling = Telling(
        condition=checks.condition(where["when"], values["when"], roots),
        sources=tuple(values["recipients"] or ()),
        steps=steps or _DEFAULT_STEPS,
        reason=values["reason"],
        urgency=values["urgency"],
        template=values["template"],
        deadline=values["deadline"],
        ignore_quiet=values["ignore_quiet"],
    )
    checks.recipients(where["recipients"], telling.sources)
    if telling.sources:
        checks.template(at, telling, patterns, where["template"])
    return telling
