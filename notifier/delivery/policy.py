"""Decide how often, how long and how patiently a message is tried, by its urgency.

Pure arithmetic: no clock, no dice (the caller throws them), no database.
"""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from notifier.documents import Duration, Strict
from notifier.events import Urgency

# Full jitter may come out near zero; a relay that just refused is not asked again within the same second.
FLOOR = timedelta(seconds=1)

Span = Annotated[Duration, Field(gt=timedelta(0))]


class RetryPolicy(Strict):
    """Exponential backoff with a ceiling and full jitter; ``attempts`` counts the first try."""

    attempts: int = Field(default=12, ge=1, description="Tries on one channel, the first included.")
    first: Span = Field(default=timedelta(seconds=30), description="The longest first wait.")
    ceiling: Span = Field(default=timedelta(hours=1), description="No wait is longer.")
    deadline: Span = Field(default=timedelta(days=3), description="From the event; then it has expired.")
    pause: Span = Field(
        default=timedelta(minutes=1),
        description="How long a flow rests after a failure that is ours: credentials, sender, TLS.",
    )

    @model_validator(mode="after")
    def _first_fits(self) -> Self:
        if self.first > self.ceiling:
            raise ValueError("first must not be longer than ceiling")
        return self

    def delay(self, attempt: int, jitter: float) -> timedelta:
        """Return the wait after the ``attempt``-th try; ``jitter`` is a random number in [0, 1)."""
        # 2**32 first waits are beyond any ceiling; the cap keeps the product within a timedelta.
        doublings = min(max(attempt, 1) - 1, 32)
        widest = min(self.ceiling.total_seconds(), self.first.total_seconds() * float(1 << doublings))
        return max(FLOOR, timedelta(seconds=widest * jitter))

    def deadline_of(self, created_at: datetime, deadline: timedelta | None = None) -> datetime:
        """Return when a message of this urgency expires, unless the rule or type set its own deadline."""
        return created_at + (self.deadline if deadline is None else deadline)


class UrgentPolicy(RetryPolicy):
    """A reset code, an outage: dies in minutes, so tries hard."""

    attempts: int = Field(default=40, ge=1)
    first: Span = timedelta(seconds=5)
    ceiling: Span = timedelta(minutes=1)
    deadline: Span = timedelta(minutes=15)
    pause: Span = timedelta(seconds=15)


class NormalPolicy(RetryPolicy):
    """An order, an invoice: patient for days."""


class BulkPolicy(RetryPolicy):
    """A newsletter: stands back for everything else."""

    attempts: int = Field(default=20, ge=1)
    first: Span = timedelta(minutes=2)
    ceiling: Span = timedelta(hours=4)
    deadline: Span = timedelta(days=5)
    pause: Span = timedelta(minutes=5)


class DeliveryPolicy(Strict):
    """The retry policy of each urgency; what notifier.yaml leaves out keeps its default."""

    urgent: UrgentPolicy = UrgentPolicy()
    normal: NormalPolicy = NormalPolicy()
    bulk: BulkPolicy = BulkPolicy()

    def of(self, urgency: Urgency) -> RetryPolicy:
        """Return the policy for an urgency."""
        by_urgency: dict[Urgency, RetryPolicy] = {
            Urgency.URGENT: self.urgent,
            Urgency.NORMAL: self.normal,
            Urgency.BULK: self.bulk,
        }
        return by_urgency[urgency]
