"""The boundary between the client and what carries its events.

Names what every transport does; does none of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from notifier.client.receipts import Asker
from notifier.client.writing import Written
from notifier.errors import IntakeFull
from notifier.events import Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What became of one hand-over: in, and where; and what did not fit, and why."""

    accepted: tuple[tuple[Written, Urgency], ...]
    left: tuple[Written, ...] = ()
    full: IntakeFull | None = None


class Transport(Protocol):
    """Whatever can carry events to the server."""

    @property
    def asker(self) -> Asker | None:
        """Who can ask for results here; None where nobody can."""
        ...

    def hand_over(self, events: Sequence[Written], *, is_durable: bool) -> Handed:
        """Hand over a chunk; tries again on a broken connection.

        Raises:
            IntakeUnavailable: it stayed broken.
            NotDurable: durability was asked for and cannot be promised.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
