"""Decide over which channels a person is told, given what they prefer and what they do not want.

Never makes a plan longer than the rule's; law and suppression are the gate's part (``may_we``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from notifier.decisions import ChannelStep, Contact
from notifier.events import Recipient, Urgency
from notifier.messages import ChannelName, MessageClass, Preference


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPlan:
    """The channels in their order, and why they differ from the rule's."""

    steps: tuple[ChannelStep, ...]
    reasons: tuple[str, ...] = ()
    is_opted_out: bool = False
    """Nothing of the plan is wanted; the steps stay, so that the gate records the refusal."""


def can_opt_out(
    message_class: MessageClass, urgency: Urgency, preference: Preference = Preference.OPT_OUT
) -> bool:
    """Tell whether a person's opt-out counts: not against transactional mail, nor urgent operations."""
    if message_class is MessageClass.TRANSACTIONAL or preference is Preference.CANT_UNSUBSCRIBE:
        return False
    return not (message_class is MessageClass.OPERATIONAL and urgency is Urgency.URGENT)


def is_opted_out(
    contact: Contact | None,
    category: str,
    channel: ChannelName,
    *,
    message_class: MessageClass,
    urgency: Urgency,
    preference: Preference = Preference.OPT_OUT,
) -> bool:
    """Tell whether the person refused this category, or this category on this channel."""
    if contact is None or not can_opt_out(message_class, urgency, preference):
        return False
    return bool(contact.refused & {category, f"{category}:{channel.value}"})


def lacks_consent(
    contact: Contact | None,
    category: str,
    channel: ChannelName,
    *,
    message_class: MessageClass,
    preference: Preference,
) -> bool:
    """Tell whether the type is told only to who asked for it, and the person did not, or not on this channel."""
    if preference is not Preference.OPT_IN or message_class is MessageClass.TRANSACTIONAL:
        return False
    return contact is None or not contact.asked_for & {category, f"{category}:{channel.value}"}


def plan_channels(
    steps: Sequence[ChannelStep],
    contact: Contact | None,
    category: str,
    *,
    message_class: MessageClass,
    urgency: Urgency = Urgency.NORMAL,
    preference: Preference = Preference.OPT_OUT,
) -> ChannelPlan:
    """Return the plan after consent, opt-outs and preferences.

    Urgent messages keep the rule's order. Otherwise preferred channels come first; the others stay behind
    them as a fallback for transactional mail and are left out for every other class.
    """
    unwanted: dict[ChannelName, str] = {}
    for step in steps:
        if is_opted_out(
            contact, category, step.channel,
            message_class=message_class, urgency=urgency, preference=preference,
        ):  # fmt: skip
            unwanted[step.channel] = f"opted out of {category}"
        elif lacks_consent(
            contact, category, step.channel, message_class=message_class, preference=preference
        ):
            unwanted[step.channel] = f"did not opt in to {category}"
    wanted = tuple(step for step in steps if step.channel not in unwanted)
    if not wanted:
        reasons = list(dict.fromkeys(unwanted.values()))
        return ChannelPlan(steps=tuple(steps), reasons=tuple(reasons), is_opted_out=True)
    reasons = [f"{why} by {channel.value}" for channel, why in unwanted.items()]
    if contact is not None and contact.channels and urgency is not Urgency.URGENT:
        is_limit = can_opt_out(message_class, urgency, preference)
        return _preferred(wanted, contact.channels, reasons, is_limit=is_limit)
    return ChannelPlan(steps=wanted, reasons=tuple(reasons))


def plan_reachable(steps: Sequence[ChannelStep], recipient: Recipient) -> ChannelPlan:
    """Return the steps that have an address to go to; only portal and console need none."""
    lacking = {
        ChannelName.EMAIL: None if recipient.email else "email address",
        ChannelName.SMS: None if recipient.phone else "phone number",
        ChannelName.WEBHOOK: None if recipient.endpoint else "endpoint",
        ChannelName.APPRISE: None if recipient.endpoint else "endpoint",
    }
    return ChannelPlan(
        steps=tuple(step for step in steps if not lacking.get(step.channel)),
        reasons=tuple(
            f"not by {step.channel.value}: no {lack} is known"
            for step in steps
            if (lack := lacking.get(step.channel))
        ),
    )


def _preferred(
    steps: tuple[ChannelStep, ...], preferred: tuple[ChannelName, ...], reasons: list[str], *, is_limit: bool
) -> ChannelPlan:
    by_channel = {step.channel: step for step in steps}
    first = tuple(by_channel[channel] for channel in dict.fromkeys(preferred) if channel in by_channel)
    if not first:
        return ChannelPlan(steps=steps, reasons=(*reasons, "none of the preferred channels is in the plan"))
    rest = () if is_limit else tuple(step for step in steps if step not in first)
    planned = first + rest
    if planned != steps:
        reasons.append(f"prefers {', '.join(step.channel.value for step in first)}")
    return ChannelPlan(steps=planned, reasons=tuple(reasons))
