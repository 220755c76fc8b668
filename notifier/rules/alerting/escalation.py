"""Decide which step of an escalation is told next, and when.

Pure: a chain and the clock come in, the chain as it is then and what to tell come out. Knows no people: who
stands behind a step is found when it is told.

However late it is looked at, a chain tells one step at a time, and counts the wait before the next from the
moment it did: after downtime people have their time to acknowledge, and nobody is passed over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import TypeAdapter

from notifier.decisions import ChannelStep
from notifier.events import Json
from notifier.messages import ChannelName
from notifier.recipients.sources import Source

_SOURCES: TypeAdapter[tuple[Source, ...]] = TypeAdapter(tuple[Source, ...])
_MICROSECOND = timedelta(microseconds=1)


class ChainState(StrEnum):
    """Where a chain stands."""

    RUNNING = "running"
    ACKNOWLEDGED = "acknowledged"
    ENDED = "ended"
    """It ran out unacknowledged: there is nobody left to tell."""
    STOPPED = "stopped"
    """What it was about is over."""


class Because(StrEnum):
    """Why a step is told."""

    BEGUN = "begun"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    """Nobody acknowledged within the wait of the step before."""
    ACK_EXPIRED = "ack_expired"
    """Somebody did, but what it was about went on for longer than an acknowledgement holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Who is told by what, and how long they have before the next step."""

    sources: tuple[Source, ...]
    channels: tuple[ChannelStep, ...] = ()
    """Empty: those of the rule."""
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An escalation as its rule file has it."""

    name: str
    steps: tuple[Step, ...]
    repeat: int = 0
    """How often the steps are gone through again."""
    ack_timeout: timedelta | None = None
    at_end: Step | None = None

    @property
    def total(self) -> int:
        """How many steps are told, all rounds together, before the end."""
        return len(self.steps) * (self.repeat + 1)

    def step(self, number: int) -> Step | None:
        """Return the step that is told after so many others."""
        if number < self.total:
            return self.steps[number % len(self.steps)]
        return self.at_end if number == self.total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Somebody takes care of it."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """A step to tell now."""

    number: int
    """Unique within the chain, counted from 0 through all rounds: what makes telling it twice impossible."""
    round: int
    position: int
    """Its place in the policy, from 0; the end has none of the steps', but comes after them."""
    is_end: bool
    step: Step
    because: Because
    was_due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A running escalation, with the policy as it was when it began."""

    policy: Policy
    began_at: datetime
    state: ChainState
    due_at: datetime | None
    """When :func:`advance` has something to do next."""
    told: int = 0
    """How many steps were told so far."""
    told_at: datetime | None = None
    ack: Ack | None = None
    """The newest acknowledgement, also when it is void by now."""

    def to_json(self) -> dict[str, Json]:
        """Return all of it as JSON, policy included."""
        return {
            "policy": _policy_json(self.policy),
            "began_at": _text(self.began_at),
            "state": self.state.value,
            "due_at": _text(self.due_at),
            "told": self.told,
            "told_at": _text(self.told_at),
            "ack": {"by": self.ack.by, "at": _text(self.ack.at)} if self.ack else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> "Chain":
        """Read what :meth:`to_json` wrote."""
        ack = value["ack"]
        return cls(
            policy=_policy(value["policy"]),
            began_at=datetime.fromisoformat(value["began_at"]),
            state=ChainState(value["state"]),
            due_at=_moment(value["due_at"]),
            told=value["told"],
            told_at=_moment(value["told_at"]),
            ack=Ack(by=ack["by"], at=datetime.fromisoformat(ack["at"])) if ack else None,
        )


def begin(policy: Policy, now: datetime) -> Chain:
    """Return a chain whose first step is due at once."""
    return Chain(policy=policy, began_at=now, state=ChainState.RUNNING, due_at=now)


def advance(chain: Chain, now: datetime) -> tuple[Chain, tuple[Tell, ...]]:
    """Return the chain as it is now, and what to tell: one step, or nothing."""
    if chain.due_at is None or now < chain.due_at:
        return chain, ()
    step = chain.policy.step(chain.told)
    if step is None:  # the acknowledgement of a chain that had run out is void
        return replace(chain, state=ChainState.ENDED, due_at=None), ()
    has_more = chain.policy.step(chain.told + 1) is not None
    after = replace(
        chain,
        state=ChainState.RUNNING if has_more else ChainState.ENDED,
        due_at=now + step.wait if has_more else None,
        told=chain.told + 1,
        told_at=now,
    )
    return after, (_tell(chain, step, chain.due_at),)


def hasten(chain: Chain, now: datetime) -> Chain:
    """Return the chain after a step that reached nobody: there is no answer to wait for."""
    return chain if chain.due_at is None else replace(chain, due_at=now)


def acknowledge(chain: Chain, by: str, at: datetime) -> Chain:
    """Return the chain held, for as long as an acknowledgement holds; the newest one counts."""
    if chain.state is ChainState.STOPPED or (chain.ack is not None and at <= chain.ack.at):
        return chain
    timeout = chain.policy.ack_timeout
    # One that was long under way must not make the next step come sooner than without it.
    due_at = None if timeout is None else max(at + timeout, chain.due_at or at)
    return replace(chain, state=ChainState.ACKNOWLEDGED, ack=Ack(by=by, at=at), due_at=due_at)


def resume(chain: Chain, now: datetime) -> Chain:
    """Return the chain as it goes on when nobody has charge any more: with its next step, no sooner than it was due."""
    if chain.policy.step(chain.told) is None:
        return replace(chain, state=ChainState.ENDED, due_at=None)
    last = chain.policy.step(chain.told - 1) if chain.told else None
    waited = chain.told_at + last.wait if last is not None and chain.told_at is not None else now
    return replace(chain, state=ChainState.RUNNING, due_at=max(now, waited))


def stop(chain: Chain) -> Chain:
    """Return the chain ended for good: what it was about is over."""
    return replace(chain, state=ChainState.STOPPED, due_at=None)


def _tell(chain: Chain, step: Step, due_at: datetime) -> Tell:
    because = Because.NOT_ACKNOWLEDGED if chain.told else Because.BEGUN
    if chain.state is ChainState.ACKNOWLEDGED:
        because = Because.ACK_EXPIRED
    is_end = chain.told == chain.policy.total
    count = len(chain.policy.steps)
    return Tell(
        number=chain.told,
        round=chain.policy.repeat if is_end else chain.told // count,
        position=count if is_end else chain.told % count,
        is_end=is_end,
        step=step,
        because=because,
        was_due_at=due_at,
    )


def _policy_json(policy: Policy) -> dict[str, Json]:
    return {
        "name": policy.name,
        "steps": [_step_json(step) for step in policy.steps],
        "repeat": policy.repeat,
        "ack_timeout": _ticks(policy.ack_timeout),
        "at_end": _step_json(policy.at_end) if policy.at_end else None,
    }


def _policy(value: Mapping[str, Json]) -> Policy:
    return Policy(
        name=value["name"],
        steps=tuple(_step(step) for step in value["steps"]),
        repeat=value["repeat"],
        ack_timeout=_span(value["ack_timeout"]),
        at_end=_step(value["at_end"]) if value["at_end"] else None,
    )


def _step_json(step: Step) -> dict[str, Json]:
    return {
        "recipients": _SOURCES.dump_python(step.sources, mode="json", by_alias=True, exclude_none=True),
        "channels": [{"channel": one.channel.value, "within": _ticks(one.within)} for one in step.channels],
        "wait": _ticks(step.wait),
    }


def _step(value: Mapping[str, Json]) -> Step:
    return Step(
        sources=_SOURCES.validate_python(value["recipients"]),
        channels=tuple(
            ChannelStep(channel=ChannelName(one["channel"]), within=_span(one["within"]))
            for one in value["channels"]
        ),
        wait=value["wait"] * _MICROSECOND,
    )


def _ticks(span: timedelta | None) -> int | None:
    """Return a span as whole microseconds: exact, where seconds as a fraction are not."""
    return None if span is None else span // _MICROSECOND


def _span(ticks: int | None) -> timedelta | None:
    return None if ticks is None else ticks * _MICROSECOND


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
