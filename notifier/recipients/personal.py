"""Decide whether and when one person is told one thing on one channel: one verdict, and why in words.

Pure: the pipeline loads the facts, keeps what is held, and asks again when it is due. What the law and the
address forbid is the gate's part (``may_we``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifier.decisions import Contact
from notifier.events import Urgency
from notifier.messages import ChannelName, MessageClass, Preference
from notifier.recipients.budgets import UNLIMITED, Budget
from notifier.recipients.digests import plan
from notifier.recipients.preferences import can_opt_out, is_opted_out
from notifier.recipients.quiet import quiet_until
from notifier.recipients.wishes import NO_WISHES, SEVERITIES, Wishes
from notifier.recipients.words import until


class Kind(StrEnum):
    """What becomes of a notification."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """The verdict. What comes later waits until ``until`` with all that has the same ``digest`` key."""

    kind: Kind
    reason: str
    until: datetime | None = None
    digest: str | None = None
    is_channel_only: bool = False
    """It is about this channel: another one may still do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFacts:
    """Everything the verdict rests on."""

    category: str
    channel: ChannelName
    message_class: MessageClass
    urgency: Urgency = Urgency.NORMAL
    preference: Preference = Preference.OPT_OUT
    """The type's. Transactional types are told whatever stands here."""
    severity: str | None = None
    """Of an alert; an ordinary notification has none, and no least severity applies to it."""
    ignore_quiet: bool | None = None
    """The rule's: told at once, or held although urgent; unset, what is urgent and no marketing is exempt."""
    wishes: Wishes = NO_WISHES
    contact: Contact | None = None
    zone: str | None = None
    """The person's."""
    budget: Budget = UNLIMITED
    """Of the person on this channel."""
    sent: Sequence[datetime] = ()
    """When the person was told on this channel, as far back as the budget remembers."""
    waiting: Sequence[datetime] = ()
    """When what waits under the same digest key arrived."""
    last_told_at: datetime | None = None
    """When the person was last told of this category on this channel, by itself or by a digest."""


def when_to_tell(facts: PersonFacts, now: datetime) -> Personal:
    """Return whether the person is told now, later or never; the refusals come first."""
    return _refused(facts) or _at_once(facts) or _held(facts, now)


def when_to_release(facts: PersonFacts, now: datetime) -> Personal:
    """Return whether a digest that is due may go out now, or when: budget and quiet hours hold for it, too.

    What it gathers was judged by :func:`when_to_tell`; it is not gathered a second time.
    """
    due, reasons = _free_at(facts, now, now)
    if not reasons:
        return Personal(kind=Kind.NOW, reason="the digest is due")
    return Personal(kind=Kind.LATER, reason="; ".join(reasons), until=due)


def digest_key(wishes: Wishes, category: str, channel: ChannelName) -> str:
    """Return what is the same for all that is told together: a category's digest, or all that is merely held."""
    name = f"digest:{category}" if wishes.digest_of(category) is not None else "held"
    return f"{name}:{channel.value}"


def is_exempt(facts: PersonFacts) -> bool:
    """Tell whether nothing may hold it back: no quiet hours, digest or budget."""
    if facts.message_class is MessageClass.TRANSACTIONAL:
        return True
    if facts.ignore_quiet is not None:
        return facts.ignore_quiet
    if facts.preference is Preference.CANT_UNSUBSCRIBE:
        return True
    return facts.urgency is Urgency.URGENT and facts.message_class is not MessageClass.MARKETING


def _refused(facts: PersonFacts) -> Personal | None:
    if facts.message_class is MessageClass.TRANSACTIONAL:
        return None
    if facts.preference is Preference.CANT_UNSUBSCRIBE:
        return None
    return _opted_out(facts) or _not_opted_in(facts) or _too_slight(facts)


def _opted_out(facts: PersonFacts) -> Personal | None:
    refused = facts.wishes.opt_outs | (facts.contact.refused if facts.contact else frozenset())
    if not refused or not is_opted_out(
        Contact(opt_outs=refused),
        facts.category,
        facts.channel,
        message_class=facts.message_class,
        urgency=facts.urgency,
    ):
        return None
    if facts.category in refused:
        return Personal(kind=Kind.NEVER, reason=f"opted out of {facts.category}")
    reason = f"opted out of {facts.category} by {facts.channel.value}"
    return Personal(kind=Kind.NEVER, reason=reason, is_channel_only=True)


def _not_opted_in(facts: PersonFacts) -> Personal | None:
    if facts.preference is not Preference.OPT_IN or facts.wishes.asked_for(facts.category, facts.channel):
        return None
    is_other = any(entry.partition(":")[0] == facts.category for entry in facts.wishes.opt_ins)
    where = f" by {facts.channel.value}" if is_other else ""
    reason = f"did not opt in to {facts.category}{where}, which is told only to who did"
    return Personal(kind=Kind.NEVER, reason=reason, is_channel_only=is_other)


def _too_slight(facts: PersonFacts) -> Personal | None:
    least = facts.wishes.least_severity(facts.category)
    if least is None or facts.severity is None or not can_opt_out(facts.message_class, facts.urgency):
        return None
    if facts.severity not in SEVERITIES or SEVERITIES.index(facts.severity) >= SEVERITIES.index(least):
        return None
    reason = f"severity {facts.severity} is below {least}, the least they want of {facts.category}"
    return Personal(kind=Kind.NEVER, reason=reason)


def _at_once(facts: PersonFacts) -> Personal | None:
    if not is_exempt(facts):
        return None
    if facts.message_class is MessageClass.TRANSACTIONAL:
        reason = "transactional: never held back"
    elif facts.ignore_quiet:
        reason = "the rule says at once, whatever they set"
    elif facts.preference is Preference.CANT_UNSUBSCRIBE:
        reason = "cannot be unsubscribed: never held back"
    else:
        reason = "urgent: told at once, whatever they set"
    return Personal(kind=Kind.NOW, reason=reason)


def _held(facts: PersonFacts, now: datetime) -> Personal:
    policy = facts.wishes.digest_of(facts.category)
    start, reasons = now, []
    if policy is not None:
        start = plan(policy, (*facts.waiting, now), facts.last_told_at, now, zone=facts.zone) or now
        if start > now:
            ahead = until(start, facts.zone, now)
            reasons = [f"gathered for the digest of {facts.category}, {policy}, until {ahead}"]
    due, held = _free_at(facts, start, now)
    if due <= now and not facts.waiting:
        return Personal(kind=Kind.NOW, reason="nothing they set holds it back")
    if due <= now:
        # Told by itself it would overtake what came before it.
        held = ["told together with what waits already"]
    key = digest_key(facts.wishes, facts.category, facts.channel)
    return Personal(kind=Kind.LATER, reason="; ".join((*reasons, *held)), until=due, digest=key)


def _free_at(facts: PersonFacts, start: datetime, now: datetime) -> tuple[datetime, list[str]]:
    """Return the first moment from ``start`` on at which there is room and no quiet, and what kept it.

    Once there is room it stays, as nothing is sent meanwhile: so the quiet hours have the last word.
    """
    reasons: list[str] = []
    room = facts.budget.room_at(facts.sent, start)
    if room > start:
        limit = facts.budget.binding(facts.sent, start)
        ahead = until(room, facts.zone, now)
        reasons.append(f"no room by {facts.channel.value} ({limit}) until {ahead}")
    quiet = quiet_until(facts.wishes, facts.zone, room)
    if quiet is not None:
        reasons.append(f"quiet hours until {until(quiet, facts.zone, now)}")
    return quiet or room, reasons
