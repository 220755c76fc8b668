"""What the rules made of an event: actions to take, and a verdict with its reason for every rule tried.

Values only; ``notifier.rules`` makes them, the pipeline carries them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from notifier.alerts import AlertState, Labels
from notifier.events import Json, Recipient, Urgency
from notifier.messages import ChannelName


class Verdict(StrEnum):
    """What became of one rule for one event."""

    FIRED = "fired"
    CONDITION_FALSE = "condition_false"
    CONDITION_FAILED = "condition_failed"
    """The condition could not be computed, for example because a field is absent: nothing is sent."""
    NO_RECIPIENT = "no_recipient"
    LATE_STAGE = "late_stage"
    REPEATED_STAGE = "repeated_stage"
    AFTER_TERMINAL = "after_terminal"
    DISABLED = "disabled"
    TRACKED = "tracked"
    """An alert was put on record; its group tells of it, or has."""
    BELOW_THRESHOLD = "below_threshold"
    """It counted, and there is not enough of it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTrace:
    """One rule's verdict, the reason in words, and the facts it rested on."""

    rule: str
    verdict: Verdict
    reason: str
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStep:
    """One channel of the plan; ``within`` is how long it may try before the next has its turn."""

    channel: ChannelName
    within: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRef:
    """The place in a journey a notification speaks of; a later stage supersedes it."""

    rule: str
    subject: str
    stage: str
    order: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell one recipient one thing."""

    rule: str
    recipient: Recipient
    channels: tuple[ChannelStep, ...]
    urgency: Urgency
    template: str
    reason: str
    """Why this person gets it, in words for the footer and the log: ``the customer``, ``on call``."""
    deadline: timedelta | None = None
    cause: str = "event"
    """What must happen only once: ``event`` = this event; else a key such as ``journey:returns:R-1:approved``."""
    sequence: int = 0
    stage: StageRef | None = None
    severity: str | None = None
    """Of the alert it tells of; anything else has none."""
    ignore_quiet: bool | None = None
    """Whether it is told at once whatever the person set; unset, what is urgent is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceJourney:
    """Put the subject on this stage and write it into its history; ``is_late`` = history only."""

    rule: str
    subject: str
    stage: str
    order: int
    is_terminal: bool
    at: datetime
    is_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer:
    """Make an event of ``event_type`` at ``due_at``, unless the timer is moved or cancelled before."""

    key: str
    due_at: datetime
    event_type: str
    subject: str
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTimer:
    """The thing waited for happened."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A place where an alert is told: which rule, which branch of its tree, and together with whom."""

    rule: str
    route: tuple[str, ...]
    labels: Labels
    """What the group has in common."""
    people: tuple[Recipient, ...] = ()
    """Whom the alert's own data names; alerts that name others are another group."""

    @property
    def key(self) -> str:
        """What tells two groups apart."""
        people = sorted(one.identity.casefold() for one in self.people)
        return key_of("route", *self.route, "labels", *labels_key(self.labels), "people", *people)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackAlert:
    """Put an alert on record as it stands now; its groups tell of it."""

    rule: str
    key: str
    state: AlertState
    is_changed: bool
    """Its groups have to look at it."""
    joins: tuple[Join, ...] = ()


Action = Notify | AdvanceJourney | SetTimer | CancelTimer | TrackAlert


def key_of(*parts: str) -> str:
    """Return a key of texts in which none can run into the next: each has its length before it."""
    return "".join(f"{len(part)}:{part}" for part in parts)


def labels_key(labels: Labels) -> tuple[str, ...]:
    """Return labels as the parts of a key, in the order of their names."""
    return tuple(part for name in sorted(labels) for part in (name, labels[name]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All that one event leads to. ``trace`` names the rules for its type, also those that did nothing."""

    actions: tuple[Action, ...]
    trace: tuple[RuleTrace, ...]
    rules_hash: str

    @property
    def notifications(self) -> tuple[Notify, ...]:
        """The actions that tell somebody something."""
        return tuple(action for action in self.actions if isinstance(action, Notify))

    def trace_json(self) -> list[dict[str, Any]]:
        """Return the trace as it is stored, sealed, with the event."""
        return [
            {"rule": one.rule, "verdict": one.verdict.value, "reason": one.reason, "facts": dict(one.facts)}
            for one in self.trace
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyState:
    """Where a subject stands: its furthest stage and what happened so far, oldest first."""

    stage: str
    order: int
    is_terminal: bool
    history: tuple[Mapping[str, Json], ...] = ()
    """``{"stage": …, "time": ISO 8601, "late": bool}`` each."""

    @property
    def stages(self) -> frozenset[str]:
        """The names of all stages seen."""
        return frozenset(str(item["stage"]) for item in self.history)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """What is known of a person beyond the event."""

    reference: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    locale: str | None = None
    zone: str | None = None
    channels: tuple[ChannelName, ...] = ()
    opt_outs: frozenset[str] = frozenset()
    """Categories, or ``category:channel``, the person does not want."""
    wishes: Mapping[str, Json] = field(default_factory=dict)
    """What else they set, in the JSON form of ``recipients.wishes_form``."""

    @property
    def refused(self) -> frozenset[str]:
        """All the person does not want, wherever they said so."""
        return self.opt_outs | frozenset(self.wishes.get("opt_outs", ()))

    @property
    def asked_for(self) -> frozenset[str]:
        """Categories, or ``category:channel``, the person opted in to."""
        return frozenset(self.wishes.get("opt_ins", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the rules may know besides the event: loaded before, locked by the pipeline."""

    journeys: Mapping[tuple[str, str], JourneyState] = field(default_factory=dict)
    """By (rule, subject)."""
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    """By contact reference and by address in small letters, as far as the rules asked for them."""
    alerts: Mapping[tuple[str, str], AlertState] = field(default_factory=dict)
    """By (rule, key)."""
    lists: Mapping[str, tuple[Recipient, ...]] = field(default_factory=dict)
    """Lists and roles of the configuration, by name."""
