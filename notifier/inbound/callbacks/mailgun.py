"""Read Mailgun's webhooks, one event a request.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-structure

The signature covers a time and a token, **not the event**: so each token counts once, whatever comes with it, and what
comes with it is believed because nobody but Mailgun and we can read the request, over TLS.
"""

import hmac
from datetime import datetime
from typing import Any

from notifier.inbound.callbacks.base import REFERENCE, SKEW, Callback, Malformed, NotBelieved, Reading, Trust
from notifier.inbound.callbacks.fields import Fields
from notifier.inbound.callbacks.verdicts import (
    SUPPRESSED,
    UNSUBSCRIBED,
    Diagnosis,
    diagnosis,
    judge,
    outcome,
    reason_of,
)
from notifier.receipts import Receipt, ReceiptKind
from notifier.tokens import message_id_of_reference

_KINDS = {
    "accepted": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "opened": ReceiptKind.OPENED,
    "clicked": ReceiptKind.CLICKED,
    "unsubscribed": ReceiptKind.UNSUBSCRIBED,
    "complained": ReceiptKind.COMPLAINED,
    "rejected": ReceiptKind.REJECTED,
    "failed": ReceiptKind.BOUNCED,
}
_LISTED = {
    "suppress-bounce": SUPPRESSED, "suppress-complaint": SUPPRESSED, "suppress-unsubscribe": UNSUBSCRIBED,
}  # fmt: skip
"""Mailgun keeps lists of addresses it sends nothing to: it did not try."""
_REASONS = {"espblock": "blocked", "old": "expired", "greylisted": "policyviolation"}
"""``reason`` of a failure; ``bounce``, ``generic`` and ``hardfail`` say no more than its severity."""


class MailgunReader:
    """Reads Mailgun's callbacks."""

    may_wait = False

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def read(self, callback: Callback) -> Reading:
        """Check the signature, then read the event.

        Raises:
            Refusal: it is not believed, or not what Mailgun documents.
        """
        fields = Fields.parse(callback.body)
        token = self._check(fields.below("signature"), callback.at)
        event = fields.below("event-data")
        name = event.id("event")
        if name not in _KINDS:
            return Reading(ignored=name)
        return Reading(receipts=(self._receipt(event, name, token, callback.at),))

    def _check(self, signature: Fields, now: datetime) -> str:
        """Return the token, once the signature holds."""
        timestamp, token = signature.text("timestamp", 20), signature.text("token", 100)
        given = signature.text("signature", 100).lower().encode(errors="replace")
        text = f"{timestamp}{token}".encode(errors="replace")
        expected = hmac.digest(self._trust.secret.encode(), text, "sha256").hex().encode()
        if not self._trust.secret or not token or not hmac.compare_digest(expected, given):
            raise NotBelieved("signature")
        oldest = now - self._trust.window
        if not oldest <= signature.moment("timestamp", oldest - SKEW) <= now + SKEW:
            raise NotBelieved("stale")
        return token

    def _receipt(self, event: Fields, name: str, token: str, now: datetime) -> Receipt:
        message_id = event.below("message").below("headers").text("message-id")
        reference = message_id_of_reference(event.below("user-variables").text(REFERENCE))
        remote = message_id.strip("<> ")
        if not remote and not reference:
            raise Malformed("missing", field="event-data.message.headers.message-id")
        return Receipt(
            at=event.moment("timestamp", now),
            source=self._trust.source,
            # A try again has the token of the first; an event's own id is unique for a day only.
            key=token,
            # The mail keeps the Message-ID we gave it, which has a MAC of its own.
            message_id=reference or f"<{remote}>",
            remote_id=remote or None,
            recipient=event.address("recipient"),
            **_what(event, name),
        )


def _what(event: Fields, name: str) -> dict[str, Any]:
    """Return kind, reason and detail."""
    kind = _KINDS[name]
    if kind is ReceiptKind.BOUNCED:
        return _failed(event)
    if kind is ReceiptKind.REJECTED:
        reject = event.below("reject")
        said = diagnosis(reject.text("description") or reject.text("reason"))
        reason = reason_of(said)
        return {"kind": kind, "reason": "contenterror" if reason == "onhold" else reason, **outcome(said)}
    if kind is ReceiptKind.DELIVERED:
        return {"kind": kind, **outcome(_said(event))}
    detail: dict[str, Any] = {}
    if link := event.text("url"):
        detail["link"] = link
    client = event.below("client-info")
    if agent := client.text("user-agent"):
        detail["user_agent"] = agent
    if bot := client.text("bot"):
        detail["bot"] = bot
    return {"kind": kind, "detail": detail}


def _failed(event: Fields) -> dict[str, Any]:
    said, why = _said(event), event.text("reason").lower()
    if event.text("severity") == "temporary":
        # Mailgun goes on trying, and tells of the end as of a permanent failure.
        return {"kind": ReceiptKind.DEFERRED, "reason": _REASONS.get(why) or reason_of(said), **outcome(said)}
    if why in _LISTED:
        return {"kind": ReceiptKind.REJECTED, "reason": _LISTED[why], **outcome(said)}
    # ``old``: it could not be delivered in time, which says nothing of the address.
    is_soft = event.below("delivery-status").text("bounce-type") == "soft"
    is_dead = why in {"bounce", "hardfail"} and not is_soft
    reason, bounce = judge(said, otherwise=_REASONS.get(why, ""), is_permanent=is_dead)
    return {"kind": ReceiptKind.BOUNCED, "reason": reason, "bounce": bounce, **outcome(said)}


def _said(event: Fields) -> Diagnosis:
    status = event.below("delivery-status")
    text = status.text("message") or status.text("description")
    return diagnosis(text, status.text("enhanced-code", 20), status.text("code", 20))
