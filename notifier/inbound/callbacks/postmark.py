"""Read Postmark's webhooks, one event a request.

Postmark signs nothing: who knows user and password is believed, over TLS. A captured request stays good; told again, an
event is one we know. https://postmarkapp.com/developer/webhooks/webhooks-overview#protecting-your-webhook

Bounce types: https://postmarkapp.com/developer/api/bounce-api#bounce-types
Events: https://postmarkapp.com/developer/webhooks/bounce-webhook, and beside it delivery-, spam-complaint-,
open-tracking-, click- and subscription-change-webhook.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from notifier.inbound.callbacks.base import REFERENCE, Callback, Malformed, NoCredentials, Reading, Trust
from notifier.inbound.callbacks.fields import Fields
from notifier.inbound.callbacks.verdicts import (
    SUPPRESSED,
    Diagnosis,
    class_of,
    diagnosis,
    judge,
    outcome,
    reason_of,
)
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.tokens import message_id_of_reference


@dataclass(frozen=True, slots=True)
class _Event:
    """One event, opened."""

    fields: Fields
    callback: Callback
    source: str

    def receipt(self, kind: ReceiptKind, *, at: str, recipient: str, **more: Any) -> Receipt:
        """Return what happened; ``at`` and ``recipient`` name the event's own fields."""
        fields = self.fields
        remote, record = fields.id("MessageID"), fields.id("RecordType")
        own_id = fields.text("ID") or fields.text(at)
        metadata = fields.below("Metadata")
        return Receipt(
            kind=kind,
            at=fields.moment(at, self.callback.at),
            source=self.source,
            # A bounce has an id; the others are told apart by their time.
            key=f"{record}:{remote}:{own_id}",
            remote_id=remote,
            message_id=message_id_of_reference(metadata.text(REFERENCE)) or None,
            recipient=fields.address(recipient),
            **more,
        )


class PostmarkReader:
    """Reads Postmark's callbacks."""

    may_wait = False

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._expected = f"{trust.user}:{trust.password}".encode()

    def read(self, callback: Callback) -> Reading:
        """Check the password, then read the event.

        Raises:
            Refusal: it is not believed, or not what Postmark documents.
        """
        self._check(callback.header("authorization"))
        fields = Fields.parse(callback.body)
        kind = fields.text("RecordType")
        if not kind:
            raise Malformed("missing", field="RecordType")
        read = _READERS.get(kind)
        receipt = read(_Event(fields, callback, self._trust.source)) if read else None
        return Reading(receipts=(receipt,)) if receipt else Reading(ignored=_name(fields, kind))

    def _check(self, header: str) -> None:
        scheme, _, value = header.partition(" ")
        try:
            given = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        is_right = hmac.compare_digest(given, self._expected)
        if not (self._trust.user and self._trust.password and is_right and scheme.lower() == "basic"):
            raise NoCredentials("password")


def _name(fields: Fields, kind: str) -> str:
    return f"{kind}:{fields.text('Type', 60)}" if kind == "Bounce" else kind


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a type of bounce means."""

    kind: ReceiptKind
    reason: str = ""
    """Where the server's own words leave it open."""
    bounce: BounceClass | None = None
    """Where it does not follow from the reason."""


_BOUNCED, _REJECTED, _HARD, _BLOCK = (
    ReceiptKind.BOUNCED,
    ReceiptKind.REJECTED,
    BounceClass.HARD,
    BounceClass.BLOCK,
)
_TYPES = {
    "HardBounce": _Meaning(_BOUNCED, "", _HARD),
    "SoftBounce": _Meaning(_BOUNCED),
    "Unknown": _Meaning(_BOUNCED),
    "BadEmailAddress": _Meaning(_BOUNCED, "userunknown", _HARD),
    "SpamNotification": _Meaning(_BOUNCED, "spamdetected", _BLOCK),
    "VirusNotification": _Meaning(_BOUNCED, "virusdetected", _BLOCK),
    "Blocked": _Meaning(_BOUNCED, "blocked", _BLOCK),
    "DMARCPolicy": _Meaning(_BOUNCED, "authfailure", _BLOCK),
    # "Message delayed" and "a temporary DNS error": not over yet.
    "Transient": _Meaning(ReceiptKind.DEFERRED),
    "DnsError": _Meaning(ReceiptKind.DEFERRED, "networkerror"),
    "Unsubscribe": _Meaning(ReceiptKind.UNSUBSCRIBED),
    "SpamComplaint": _Meaning(ReceiptKind.COMPLAINED),
    "AutoResponder": _Meaning(ReceiptKind.AUTO_REPLIED),
    "AddressChange": _Meaning(ReceiptKind.AUTO_REPLIED, "hasmoved"),
    "ChallengeVerification": _Meaning(ReceiptKind.AUTO_REPLIED),
    "ManuallyDeactivated": _Meaning(_REJECTED, SUPPRESSED),
    "Unconfirmed": _Meaning(_REJECTED, SUPPRESSED),
    "SMTPApiError": _Meaning(_REJECTED, "contenterror"),
    "TemplateRenderingFailed": _Meaning(_REJECTED, "contenterror"),
}
"""By ``Type``: ``TypeCode`` is another for a complaint told as such than for one told as a bounce."""


def _bounced(event: _Event) -> Receipt | None:
    meaning = _TYPES.get(event.fields.text("Type"))
    if meaning is None:
        return None
    # Description is Postmark's own sentence about the type; Details quotes the server.
    said = diagnosis(event.fields.text("Details"))
    return event.receipt(
        meaning.kind, at="BouncedAt", recipient="Email", **_verdict(meaning, said), **outcome(said)
    )


def _verdict(meaning: _Meaning, said: Diagnosis) -> dict[str, Any]:
    if meaning.kind is not _BOUNCED:
        reason = meaning.reason or (reason_of(said) if meaning.kind is ReceiptKind.DEFERRED else "")
        return {"reason": reason or None}
    if meaning.bounce is _BLOCK:
        # Whatever the server's words sound like: Postmark says that we, or the content, were refused.
        reason = reason_of(said)
        return {"reason": reason if class_of(reason, said) is _BLOCK else meaning.reason, "bounce": _BLOCK}
    is_permanent = meaning.bounce is _HARD
    reason, bounce = judge(said, otherwise=meaning.reason, is_permanent=is_permanent)
    return {"reason": reason, "bounce": bounce}


def _delivered(event: _Event) -> Receipt:
    said = diagnosis(event.fields.text("Details"))
    return event.receipt(ReceiptKind.DELIVERED, at="DeliveredAt", recipient="Recipient", **outcome(said))


def _complained(event: _Event) -> Receipt:
    return event.receipt(ReceiptKind.COMPLAINED, at="BouncedAt", recipient="Email")


def _seen(event: _Event) -> Receipt:
    fields, is_click = event.fields, event.fields.text("RecordType") == "Click"
    names = (("link", "OriginalLink"), ("user_agent", "UserAgent"))
    detail = {name: value for name, field in names if (value := fields.text(field))}
    kind = ReceiptKind.CLICKED if is_click else ReceiptKind.OPENED
    return event.receipt(kind, at="ReceivedAt", recipient="Recipient", detail=detail)


def _changed(event: _Event) -> Receipt | None:
    # Hard bounces and complaints are told by webhooks of their own; a person's wish is "manual" by its recipient.
    is_wish = event.fields.text("Origin") == "Recipient"
    if not event.fields.is_true("SuppressSending") or not is_wish:
        return None
    # A manual one may name no message, and then says nothing of any.
    if event.fields.text("SuppressionReason") != "ManualSuppression" or "MessageID" not in event.fields:
        return None
    return event.receipt(ReceiptKind.UNSUBSCRIBED, at="ChangedAt", recipient="Recipient")


_READERS: dict[str, Callable[[_Event], Receipt | None]] = {
    "Delivery": _delivered,
    "Bounce": _bounced,
    "SpamComplaint": _complained,
    "Open": _seen,
    "Click": _seen,
    "SubscriptionChange": _changed,
}
