"""The shape of ``escalation:`` in a rule file, and the value it stands for.

Shapes only: whether lists exist is checked by whoever compiles the rules.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from notifier.decisions import ChannelStep
from notifier.documents import Strict
from notifier.forms import wrong
from notifier.recipients.sources import Source
from notifier.rules.alerting.escalation import Policy, Step
from notifier.rules.shapes import ChannelEntry, Channels, Name, Span, not_empty

_MOST_ROUNDS = 100


def _each_once(entries: tuple[ChannelEntry, ...]) -> tuple[ChannelEntry, ...]:
    if len({entry.channel for entry in entries}) < len(entries):
        raise wrong("names a channel twice", "keep one")
    return entries


class EndEntry(Strict):
    """Who is told by what."""

    recipients: Annotated[tuple[Source, ...], BeforeValidator(not_empty)] = Field(
        description="Who is told. A rotation is asked who is on call when the step is told."
    )
    channels: Annotated[Channels, AfterValidator(_each_once)] | None = Field(
        default=None, description="Else those of the rule."
    )

    def compiled(self) -> Step:
        """Return the step, without a wait."""
        return Step(sources=self.recipients, channels=_channels(self.channels or ()))


class StepEntry(EndEntry):
    """Who is told by what, and how long they have before the next step."""

    wait: Span = Field(default=timedelta(minutes=5), description="Before the next step, or the end.")

    def compiled(self) -> Step:
        """Return the step."""
        return Step(sources=self.recipients, channels=_channels(self.channels or ()), wait=self.wait)


class EscalationEntry(Strict):
    """Whom to tell, one after the other, until somebody acknowledges."""

    escalation: Name = Field(description="The name, unique among escalations.")
    steps: Annotated[tuple[StepEntry, ...], BeforeValidator(not_empty)]
    repeat: int = Field(
        default=0, ge=0, le=_MOST_ROUNDS, description="How often the whole chain starts again."
    )
    ack_timeout: Span | None = Field(
        default=None, description="An acknowledgement is void after this, else never."
    )
    at_end: EndEntry | None = Field(
        default=None, description="Told when the chain ran out and nobody acknowledged."
    )

    def compiled(self) -> Policy:
        """Return the policy."""
        return Policy(
            name=self.escalation,
            steps=tuple(step.compiled() for step in self.steps),
            repeat=self.repeat,
            ack_timeout=self.ack_timeout,
            at_end=self.at_end.compiled() if self.at_end else None,
        )


def _channels(entries: tuple[ChannelEntry, ...]) -> tuple[ChannelStep, ...]:
    return tuple(ChannelStep(channel=one.channel, within=one.within) for one in entries)
