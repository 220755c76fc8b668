"""What a person set for themselves, beyond preferred channels: consent, quiet hours, severity, digests.

Values only; their JSON form stands in ``wishes_form``, what follows from them is decided in ``personal``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from typing import Final

from notifier.messages import ChannelName
from notifier.recipients.digests import DigestPolicy, Gather
from notifier.recipients.local_times import EVERY_DAY

SEVERITIES: Final = ("info", "warning", "error", "critical")
"""From the least to the worst."""

ANY: Final = "*"
"""Stands for every category that has no entry of its own."""

_DAY = timedelta(days=1)
_WEEK = 7 * _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A stretch of the day in the person's zone; an ``until`` not after ``start`` is of the day after."""

    start: time
    until: time
    weekdays: frozenset[int] = EVERY_DAY
    """Of its start; 0 is Monday."""

    @property
    def is_overnight(self) -> bool:
        """Tell whether it ends on the day after."""
        return self.until <= self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What one person set; nothing set changes nothing.

    Raises:
        ValueError: the quiet hours leave no moment of the week.
    """

    opt_ins: frozenset[str] = frozenset()
    """Categories, or ``category:channel``, the person asked for."""
    opt_outs: frozenset[str] = frozenset()
    """Categories, or ``category:channel``, the person does not want; stronger than what they asked for."""
    quiet: tuple[QuietHours, ...] = ()
    at_least: Mapping[str, str] = field(default_factory=dict)
    """Category or ``*`` → the least severity worth telling."""
    digests: Mapping[str, DigestPolicy] = field(default_factory=dict)
    """Category or ``*`` → how it is gathered."""

    def __post_init__(self) -> None:
        if fills_the_week(self.quiet):
            raise ValueError("the quiet hours leave no moment of the week")

    def asked_for(self, category: str, channel: ChannelName) -> bool:
        """Tell whether the person opted in to the category, or to it on this channel."""
        return bool(self.opt_ins & {category, f"{category}:{channel.value}"})

    def least_severity(self, category: str) -> str | None:
        """Return the least severity the person wants of the category."""
        return self.at_least.get(category, self.at_least.get(ANY))

    def digest_of(self, category: str) -> DigestPolicy | None:
        """Return how the category is gathered; None where each notification comes by itself."""
        policy = self.digests.get(category, self.digests.get(ANY))
        return None if policy is None or policy.gather is Gather.NONE else policy


def fills_the_week(quiet: Sequence[QuietHours]) -> bool:
    """Tell whether the quiet hours leave no moment: then nothing would ever be told."""
    stretches = sorted(
        (day * _DAY + _since_midnight(one.start) - lap, day * _DAY + _end(one) - lap)
        for one in quiet
        for day in one.weekdays
        for lap in (timedelta(0), _WEEK)
    )
    reached = timedelta(0)
    for start, end in stretches:
        if start > reached:
            return False
        reached = max(reached, end)
    return reached >= _WEEK


def _end(one: QuietHours) -> timedelta:
    return _since_midnight(one.until) + (_DAY if one.is_overnight else timedelta(0))


def _since_midnight(moment: time) -> timedelta:
    return timedelta(
        hours=moment.hour, minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond
    )


NO_WISHES: Final = Wishes()
"""Of whom nothing is known."""
