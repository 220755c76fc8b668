"""Decide when a person has room for one more message on a channel.

Pure arithmetic over the moments already sent; whoever sends keeps them, and what finds no room waits.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from notifier.documents import read_duration
from notifier.errors import ConfigError
from notifier.messages import ChannelName
from notifier.recipients.words import span

_LIMIT = re.compile(r"\s*([0-9]{1,6})\s+in\s+(\S+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most ``count`` messages in any stretch of ``within``, its end not counted.

    Raises:
        ValueError: nothing may be sent, or in no time.
    """

    count: int
    within: timedelta

    def __post_init__(self) -> None:
        if self.count < 1 or self.within <= timedelta(0):
            raise ValueError("must allow at least one message, in a length of time that is not nothing")

    def __str__(self) -> str:
        return f"{self.count} in {span(self.within)}"

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Read ``5 in 15m``.

        Raises:
            ValueError: it is no limit.
        """
        found = _LIMIT.fullmatch(text)
        if found is None:
            raise ValueError("must be a limit such as 5 in 15m")
        return cls(count=int(found[1]), within=read_duration(found[2]))

    def room_at(self, sent: Sequence[datetime], now: datetime) -> datetime:
        """Return the first moment from ``now`` on at which one more is within the limit."""
        # A moment far ahead is of a clock that was set back: it must not close the channel until then.
        counted = sorted(at for at in sent if at - now <= self.within)
        if len(counted) < self.count:
            return now
        return max(now, counted[-self.count] + self.within)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many messages a person gets on a channel; without limits, any number."""

    limits: tuple[Limit, ...] = ()

    @classmethod
    def parse(cls, *texts: str) -> "Budget":
        """Read limits such as ``5 in 15m``.

        Raises:
            ValueError: one is no limit.
        """
        return cls(limits=tuple(map(Limit.parse, texts)))

    @property
    def memory(self) -> timedelta:
        """How long a moment sent counts; older ones need not be loaded."""
        return max((limit.within for limit in self.limits), default=timedelta(0))

    def room_at(self, sent: Sequence[datetime], now: datetime) -> datetime:
        """Return the first moment from ``now`` on at which one more message keeps every limit."""
        return max((limit.room_at(sent, now) for limit in self.limits), default=now)

    def binding(self, sent: Sequence[datetime], now: datetime) -> Limit | None:
        """Return the limit that keeps the next message waiting longest; None where there is room."""
        slowest = max(self.limits, key=lambda limit: limit.room_at(sent, now), default=None)
        return slowest if slowest is not None and slowest.room_at(sent, now) > now else None


UNLIMITED = Budget()
_FILE = "notifier.yaml"

# GoAlert engine/message/ratelimit.go; without its one per minute and contact, which would part every burst.
DEFAULT_BUDGETS: Mapping[ChannelName, Budget] = MappingProxyType(
    {ChannelName.SMS: Budget.parse("5 in 15m", "11 in 1h", "21 in 3h")}
)
"""What holds where the settings say nothing; other channels disturb nobody's night and cost nothing."""


def read_budgets(texts: Mapping[str, Sequence[str]]) -> Mapping[ChannelName, Budget]:
    """Read the budgets of the settings; what they leave out keeps its default.

    Raises:
        ConfigError: there is no such channel, or one is no limit.
    """
    budgets = dict(DEFAULT_BUDGETS)
    for name, limits in texts.items():
        if name not in list(ChannelName):
            known = ", ".join(channel.value for channel in ChannelName)
            raise ConfigError(f"no such channel; known: {known}", file=_FILE, field=f"budgets.{name}")
        for index, text in enumerate(limits):
            try:
                Limit.parse(text)
            except ValueError as error:
                field = f"budgets.{name}[{index}]"
                raise ConfigError(str(error), file=_FILE, field=field, mend="write 5 in 15m") from None
        budgets[ChannelName(name)] = Budget.parse(*limits)
    return budgets


def budget_for(channel: ChannelName, budgets: Mapping[ChannelName, Budget] = DEFAULT_BUDGETS) -> Budget:
    """Return the budget of a channel."""
    return budgets.get(channel, UNLIMITED)
