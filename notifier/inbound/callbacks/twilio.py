"""Read Twilio's status callbacks of SMS, one status a request.

https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
https://www.twilio.com/docs/usage/security#validating-requests

The signature covers the URL and every field, and has no time: a captured request stays good, and changes nothing when
it comes again, since a status of a message is known once.
"""

import hashlib
import hmac
from urllib.parse import parse_qs

from notifier.inbound.callbacks.base import Callback, Malformed, NotBelieved, Reading, Trust
from notifier.inbound.callbacks.fields import Fields, signed_form
from notifier.inbound.callbacks.sms_errors import Meaning, meaning_of, verdict
from notifier.inbound.callbacks.twilio_signature import is_signed
from notifier.inbound.callbacks.verdicts import UNSUBSCRIBED
from notifier.receipts import BounceClass, Receipt, ReceiptKind

_STATUSES = {
    # https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.OPENED,
    "undelivered": ReceiptKind.BOUNCED,
    "failed": ReceiptKind.REJECTED,
    "canceled": ReceiptKind.REJECTED,
}
_SOON = frozenset({"accepted", "scheduled", "queued", "sending"})
"""What precedes ``sent`` says nothing we did not know when the gateway took the message."""


_HARD, _SOFT, _BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK
_CODES = {
    # https://www.twilio.com/docs/api/errors/30001 and so on.
    "21211": Meaning("userunknown", _HARD),
    "21610": Meaning(UNSUBSCRIBED, _BLOCK),
    "21612": Meaning("networkerror", _SOFT),
    "21614": Meaning("userunknown", _HARD),
    "21635": Meaning("userunknown", _HARD),
    "30001": Meaning("speeding", _BLOCK),
    "30002": Meaning("securityerror", _BLOCK),
    "30003": Meaning("networkerror", _SOFT),
    "30004": Meaning("filtered", _SOFT),
    "30005": Meaning("userunknown", _HARD),
    # A landline, or a carrier that cannot be reached: the number takes no SMS.
    "30006": Meaning("notaccept", _HARD),
    "30007": Meaning("spamdetected", _BLOCK),
    "30008": Meaning("undefined", _SOFT),
    "30010": Meaning("exceedlimit", _BLOCK),
    "30022": Meaning("speeding", _BLOCK),
    "30023": Meaning("speeding", _BLOCK),
    "30032": Meaning("rejected", _BLOCK),
    "30034": Meaning("rejected", _BLOCK),
    "30036": Meaning("expired", _SOFT),
    "30410": Meaning("networkerror", _SOFT),
    "30450": Meaning("policyviolation", _BLOCK),
    "30453": Meaning("speeding", _BLOCK),
}


class TwilioReader:
    """Reads Twilio's callbacks."""

    may_wait = False

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def read(self, callback: Callback) -> Reading:
        """Check the signature, then read the status.

        Raises:
            Refusal: it is not believed, or not what Twilio documents.
        """
        fields = Fields(self._believed(callback))
        if fields.text("AccountSid") not in ("", self._trust.account):
            raise NotBelieved("account")
        sid = fields.text("MessageSid", 64) or fields.text("SmsSid", 64)
        status = (fields.text("MessageStatus", 40) or fields.text("SmsStatus", 40)).lower()
        if not sid or not status:
            raise Malformed("missing", field="MessageStatus" if sid else "MessageSid")
        kind = _STATUSES.get(status)
        if kind is None:
            return Reading(ignored=status if status in _SOON else f"unknown:{status}")
        return Reading(receipts=(self._receipt(fields, kind, sid, status, callback),))

    def _believed(self, callback: Callback) -> dict[str, str]:
        """Return the form of a request the gateway signed."""
        digest = parse_qs(callback.url.partition("?")[2]).get("bodySHA256")
        parameters = [] if digest else signed_form(callback.body)
        signature = callback.header("x-twilio-signature")
        if not self._trust.secret or not is_signed(self._trust.secret, callback.url, parameters, signature):
            raise NotBelieved("signature")
        if not digest:
            return dict(parameters)
        # A body that is no form is signed by its hash, in the URL.
        found = hashlib.sha256(callback.body).hexdigest().encode()
        if not hmac.compare_digest(found, digest[0].lower().encode(errors="replace")):
            raise NotBelieved("signature")
        return Fields.parse(callback.body).flat()

    def _receipt(
        self, fields: Fields, kind: ReceiptKind, sid: str, status: str, callback: Callback
    ) -> Receipt:
        code = fields.text("ErrorCode", 10)
        meaning = meaning_of(kind, code, _CODES) if status != "canceled" else None
        return Receipt(
            **verdict(kind, meaning),
            # The callback has no time of its own but a carrier's, without a zone.
            at=callback.at,
            source=self._trust.source,
            key=f"{sid}:{status}",
            remote_id=sid,
            recipient=fields.address("To"),
            text=f"error {code}" if code else "",
        )
