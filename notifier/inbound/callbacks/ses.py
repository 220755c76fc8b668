"""Read Amazon SES's notifications and events, as SNS brings them.

Feedback notifications: https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
Event publishing: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifier.inbound.callbacks import sns
from notifier.inbound.callbacks.base import REFERENCE, Callback, Malformed, Reading, Trust
from notifier.inbound.callbacks.fields import Fields
from notifier.inbound.callbacks.verdicts import SUPPRESSED, diagnosis, judge, outcome
from notifier.receipts import Receipt, ReceiptKind
from notifier.tokens import message_id_of_reference

_SUBTYPES = {
    # notification-contents.html#bounce-types, where the server's own words are not passed on or say too little.
    "NoEmail": "userunknown", "MailboxFull": "mailboxfull", "MessageTooLarge": "mesgtoobig",
    "ContentRejected": "contenterror", "AttachmentRejected": "securityerror",
    "CustomTimeoutExceeded": "expired", "UnsubscribedRecipient": "filtered",
}  # fmt: skip
_LISTED = frozenset(
    {"Suppressed", "OnAccountSuppressionList", "EmailAddressSuppressed", "UnsubscribedRecipient"}
)
"""SES keeps lists of addresses it sends nothing to: it did not try."""
_DELAYS = {
    # event-publishing-retrieving-sns-contents.html#event-publishing-retrieving-sns-contents-delivery-delay-object
    "InternalFailure": "systemerror", "General": "onhold", "MailboxFull": "mailboxfull", "SpamDetected": "spamdetected",
    "RecipientServerError": "systemerror", "IPFailure": "blocked", "TransientCommunicationFailure": "networkerror",
    "BYOIPHostNameLookupUnavailable": "networkerror", "Undetermined": "undefined",
    "SendingDeferral": "speeding",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Event:
    """One notification, opened."""

    kind: str
    mail: Fields
    about: Fields
    at: datetime
    source: str
    id: str

    def receipt(self, kind: ReceiptKind, recipient: str | None, **more: Any) -> Receipt:
        """Return what happened to one recipient's message."""
        own = _message_id(self.mail)
        return Receipt(
            kind=kind,
            at=self.about.moment("timestamp", self.mail.moment("timestamp", self.at)),
            source=self.source,
            key=f"{self.id}:{recipient or ''}".lower(),
            # SES always names it; where something on the way took it out, ours will do.
            remote_id=None if own and "messageId" not in self.mail else self.mail.id("messageId"),
            message_id=own,
            recipient=recipient,
            **more,
        )

    def recipients(self, listed: Iterable[Fields] | None = None) -> list[str | None]:
        """Return those an event names, or else all the mail went to."""
        if listed is not None and (found := [one.address("emailAddress") for one in listed]):
            return list(found)
        return list(self.mail.texts("destination")) or [None]


class SesReader:
    """Reads SES's callbacks."""

    may_wait = True

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def read(self, callback: Callback) -> Reading:
        """Open the envelope, then read the event within.

        Raises:
            Refusal: it is not believed, or not what SES documents.
        """
        envelope = sns.open_envelope(callback.body, self._trust, callback.at)
        if envelope.type == sns.CONFIRMATION:
            sns.check_subscribe_url(envelope.subscribe_url)
            return Reading(confirm=envelope.subscribe_url)
        if envelope.type != sns.NOTIFICATION:
            return Reading(ignored=envelope.type)
        if not envelope.message.lstrip().startswith("{"):
            # SES tells a topic so when notifications begin: "Successfully validated SNS topic …".
            return Reading(ignored="text")
        said = Fields.parse(envelope.message, "Message")
        kind = said.text("eventType") or said.text("notificationType")
        if not kind:
            raise Malformed("missing", field="Message.eventType")
        read = _READERS.get(kind)
        if read is None:
            return Reading(ignored=kind)
        name, of = read
        event = _Event(
            kind, said.below("mail"), said.below(name), callback.at, self._trust.source, envelope.id
        )
        return Reading(receipts=tuple(of(event)))


def _bounced(event: _Event) -> Iterator[Receipt]:
    about, subtype = event.about, event.about.text("bounceSubType")
    is_permanent = about.text("bounceType") == "Permanent"
    for one in about.each("bouncedRecipients"):
        recipient = one.address("emailAddress")
        said = diagnosis(one.text("diagnosticCode"), one.text("status"))
        if subtype in _LISTED:
            yield event.receipt(ReceiptKind.REJECTED, recipient, reason=SUPPRESSED, **outcome(said))
            continue
        reason, bounce = judge(said, otherwise=_SUBTYPES.get(subtype, ""), is_permanent=is_permanent)
        yield event.receipt(ReceiptKind.BOUNCED, recipient, reason=reason, bounce=bounce, **outcome(said))


def _complained(event: _Event) -> Iterator[Receipt]:
    about = event.about
    if about.text("complaintSubType") == "OnAccountSuppressionList":
        for recipient in event.recipients(about.each("complainedRecipients")):
            yield event.receipt(ReceiptKind.REJECTED, recipient, reason=SUPPRESSED)
        return
    feedback = about.text("complaintFeedbackType", 60)
    if feedback == "not-spam":
        # The opposite of a complaint (RFC 6430 §3.1).
        return
    detail = {"feedback_type": feedback} if feedback else {}
    for recipient in event.recipients(about.each("complainedRecipients")):
        yield event.receipt(ReceiptKind.COMPLAINED, recipient, detail=detail)


def _delivered(event: _Event) -> Iterator[Receipt]:
    said = diagnosis(event.about.text("smtpResponse"))
    for recipient in event.about.texts("recipients") or event.recipients():
        yield event.receipt(ReceiptKind.DELIVERED, recipient, **outcome(said))


def _delayed(event: _Event) -> Iterator[Receipt]:
    reason = _DELAYS.get(event.about.text("delayType"), "onhold")
    for one in event.about.each("delayedRecipients"):
        said = diagnosis(one.text("diagnosticCode"), one.text("status"))
        yield event.receipt(ReceiptKind.DEFERRED, one.address("emailAddress"), reason=reason, **outcome(said))


def _rejected(event: _Event) -> Iterator[Receipt]:
    # Reject means a virus, and nothing else so far; a rendering failure is a template of SES's own.
    is_virus = event.kind == "Reject"
    text = event.about.text("reason") or event.about.text("errorMessage")
    for recipient in event.recipients():
        reason = "virusdetected" if is_virus else "contenterror"
        yield event.receipt(ReceiptKind.REJECTED, recipient, reason=reason, text=text)


def _seen(event: _Event) -> Iterator[Receipt]:
    about = event.about
    detail = {
        name: value
        for name, field in (("link", "link"), ("user_agent", "userAgent"), ("ip", "ipAddress"))
        if (value := about.text(field))
    }
    kind = ReceiptKind.CLICKED if event.kind == "Click" else ReceiptKind.OPENED
    # It does not say who of several recipients it was.
    recipients = event.recipients()
    yield event.receipt(kind, recipients[0] if len(recipients) == 1 else None, detail=detail)


def _sent(event: _Event) -> Iterator[Receipt]:
    for recipient in event.recipients():
        yield event.receipt(ReceiptKind.SENT, recipient)


def _unsubscribed(event: _Event) -> Iterator[Receipt]:
    # Both list all topics: who comes back to one of several has not left the others just now.
    if not _left(event.about.below("newTopicPreferences")) - _left(event.about.below("oldTopicPreferences")):
        return
    detail = {"list": event.about.text("contactList")} if event.about.text("contactList") else {}
    for recipient in event.recipients():
        yield event.receipt(ReceiptKind.UNSUBSCRIBED, recipient, detail=detail)


def _left(preferences: Fields) -> set[str]:
    """Return the topics a person wants nothing of; the empty name stands for all."""
    topics = preferences.each("topicSubscriptionStatus")
    left = {one.text("topicName") for one in topics if one.text("subscriptionStatus") == "OptOut"}
    return left | ({""} if preferences.is_true("unsubscribeAll") else set())


_READERS: dict[str, tuple[str, Callable[[_Event], Iterator[Receipt]]]] = {
    "Bounce": ("bounce", _bounced),
    "Complaint": ("complaint", _complained),
    "Delivery": ("delivery", _delivered),
    "DeliveryDelay": ("deliveryDelay", _delayed),
    "Reject": ("reject", _rejected),
    "Rendering Failure": ("failure", _rejected),
    "Send": ("send", _sent),
    "Open": ("open", _seen),
    "Click": ("click", _seen),
    "Subscription": ("subscription", _unsubscribed),
}


def _message_id(mail: Fields) -> str | None:
    """Return our Message-ID: from our tag, else from the headers as they came to SES, which writes its own."""
    for tag in mail.below("tags").texts(REFERENCE):
        if own := message_id_of_reference(tag):
            return own
    names = {one.text("name").lower(): one.text("value") for one in mail.each("headers")}
    return names.get("message-id") or mail.below("commonHeaders").text("messageId") or None
