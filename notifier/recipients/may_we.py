"""Decide, right before a message goes out, whether it may: one gate, one verdict, one reason.

Pure: the pipeline loads the facts, acts on the verdict and records it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from notifier.decisions import JourneyState, StageRef
from notifier.events import Recipient
from notifier.messages import MessageStatus
from notifier.recipients.suppression import Suppression


class Check(StrEnum):
    """The checks of the gate, in their order."""

    TENANT = "tenant"
    DEADLINE = "deadline"
    JOURNEY = "journey"
    AUDIENCE = "audience"
    OPT_OUT = "opt_out"
    SUPPRESSION = "suppression"
    SAFE_MODE = "safe_mode"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """Everything the gate looks at."""

    now: datetime
    deadline: datetime
    recipient: Recipient
    is_tenant_paused: bool = False
    journey: JourneyState | None = None
    stage: StageRef | None = None
    opted_out: bool = False
    """Of the whole category."""
    opted_out_of_channel: bool = False
    """Of the category on this channel."""
    lacks_consent: bool = False
    """The type is told only to who asked for its category, and the recipient did not, or not on this channel."""
    suppressed: Suppression | None = None
    audience: tuple[str, ...] = ("*",)
    recipient_is_addressed: bool = False
    """The event itself named the recipient in ``to``."""
    is_held_by_safe_mode: bool = False
    """This is a staging system, and the address is none of those it may write to."""
    is_tls_required: bool = False
    has_tls: bool = True
    """What the relay offers; a channel without relays has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """Yes, no with a final status, or wait (``hold``); ``check`` names what decided."""

    allowed: bool
    reason: str
    status: MessageStatus | None = None
    hold: bool = False
    check: Check | None = None
    is_channel_only: bool = False
    """It is about this address or channel: another channel may still do."""


def may_we(facts: GateFacts) -> GateVerdict:
    """Return whether the message may go out now; the first check that refuses decides.

    What holds for every channel is asked before what holds for this one.
    """
    for check in (_tenant, _deadline, _journey, _audience, _opt_out, _suppression, _safe_mode, _tls):
        verdict = check(facts)
        if verdict is not None:
            return verdict
    return GateVerdict(allowed=True, reason="nothing speaks against it")


def is_superseded(journey: JourneyState | None, stage: StageRef | None) -> bool:
    """Tell whether the subject is on another stage by now, of a later rank or instead of this one."""
    if journey is None or stage is None:
        return False
    return journey.stage != stage.stage and journey.order >= stage.order


def is_in_audience(audience: tuple[str, ...], recipient: Recipient, *, is_addressed: bool) -> bool:
    """Tell whether a type's audience admits the recipient; ``domain:`` means that domain exactly."""
    domain = (recipient.email or "").rpartition("@")[2].casefold()
    admitted = {"*"} | ({"to"} if is_addressed else set())
    admitted |= {recipient.role} if recipient.role else set()
    admitted |= {f"domain:{domain}"} if domain else set()
    return any(entry in admitted or entry.casefold() in admitted for entry in audience)


def _tenant(facts: GateFacts) -> GateVerdict | None:
    if not facts.is_tenant_paused:
        return None
    reason = "the tenant is paused: it waits until it is resumed"
    return GateVerdict(allowed=False, hold=True, check=Check.TENANT, reason=reason)


def _deadline(facts: GateFacts) -> GateVerdict | None:
    if facts.now < facts.deadline:
        return None
    reason = f"expired: it was of use until {_moment(facts.deadline)}"
    return _refused(Check.DEADLINE, MessageStatus.EXPIRED, reason)


def _journey(facts: GateFacts) -> GateVerdict | None:
    journey, stage = facts.journey, facts.stage
    if journey is None or stage is None or not is_superseded(journey, stage):
        return None
    reason = f"superseded: {stage.subject} is already {journey.stage}, no longer {stage.stage}"
    return _refused(Check.JOURNEY, MessageStatus.SUPERSEDED, reason)


def _audience(facts: GateFacts) -> GateVerdict | None:
    if is_in_audience(facts.audience, facts.recipient, is_addressed=facts.recipient_is_addressed):
        return None
    reason = f"the recipient is not in the audience of this event type ({', '.join(facts.audience)})"
    return _refused(Check.AUDIENCE, MessageStatus.SUPPRESSED, reason)


def _opt_out(facts: GateFacts) -> GateVerdict | None:
    reason = "the recipient opted out of this category"
    if facts.opted_out:
        return _refused(Check.OPT_OUT, MessageStatus.SUPPRESSED, reason)
    if facts.opted_out_of_channel:
        return _refused_here(Check.OPT_OUT, MessageStatus.SUPPRESSED, f"{reason} on this channel")
    if facts.lacks_consent:
        reason = "the recipient did not opt in to this category, which is told only to who did"
        return _refused_here(Check.OPT_OUT, MessageStatus.SUPPRESSED, reason)
    return None


def _suppression(facts: GateFacts) -> GateVerdict | None:
    if facts.suppressed is None:
        return None
    reason = f"the address is suppressed since {_moment(facts.suppressed.since)}: {facts.suppressed.reason}"
    return _refused_here(Check.SUPPRESSION, MessageStatus.SUPPRESSED, reason)


def _safe_mode(facts: GateFacts) -> GateVerdict | None:
    if not facts.is_held_by_safe_mode:
        return None
    reason = "safe mode: the address is not on the list, and there is nobody who gets the rest"
    return _refused_here(Check.SAFE_MODE, MessageStatus.SUPPRESSED, reason)


def _tls(facts: GateFacts) -> GateVerdict | None:
    if facts.has_tls or not facts.is_tls_required:
        return None
    reason = "this event type must travel encrypted and the relay offers no TLS"
    return _refused_here(Check.TLS, MessageStatus.FAILED, reason)


def _refused(check: Check, status: MessageStatus, reason: str) -> GateVerdict:
    return GateVerdict(allowed=False, status=status, reason=reason, check=check)


def _refused_here(check: Check, status: MessageStatus, reason: str) -> GateVerdict:
    return replace(_refused(check, status, reason), is_channel_only=True)


def _moment(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="minutes")
