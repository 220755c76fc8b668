"""Read Twilio's status callbacks of SMS, one status a request.

https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
https://www.twilio.com/docs/usage/security#validating-requests

The signature covers the URL and every field, and has no time: a captured request stays good, and changes nothing when
it comes again, since a status of a message is known once.
"""

import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl

from notifier.inbound.callbacks.base import Callback, Malformed, NotBelieved, Reading, Trust
from notifier.inbound.callbacks.fields import Fields
from notifier.inbound.callbacks.twilio_signature import is_signed
from notifier.inbound.callbacks.verdicts import UNSUBSCRIBED
from notifier.receipts import BounceClass, Receipt, ReceiptKind

_FIELDS = 200
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


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What an error code says of the number."""

    reason: str
    bounce: BounceClass


_HARD, _SOFT, _BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK
_CODES = {
    # https://www.twilio.com/docs/api/errors/30001 and so on.
    "21211": _Meaning("userunknown", _HARD),
    "21610": _Meaning(UNSUBSCRIBED, _BLOCK),
    "21612": _Meaning("networkerror", _SOFT),
    "21614": _Meaning("userunknown", _HARD),
    "21635": _Meaning("userunknown", _HARD),
    "30001": _Meaning("speeding", _BLOCK),
    "30002": _Meaning("securityerror", _BLOCK),
    "30003": _Meaning("networkerror", _SOFT),
    "30004": _Meaning("filtered", _SOFT),
    "30005": _Meaning("userunknown", _HARD),
    # A landline, or a carrier that cannot be reached: the number takes no SMS.
    "30006": _Meaning("notaccept", _HARD),
    "30007": _Meaning("spamdetected", _BLOCK),
    "30008": _Meaning("undefined", _SOFT),
    "30010": _Meaning("exceedlimit", _BLOCK),
    "30022": _Meaning("speeding", _BLOCK),
    "30023": _Meaning("speeding", _BLOCK),
    "30032": _Meaning("rejected", _BLOCK),
    "30034": _Meaning("rejected", _BLOCK),
    "30036": _Meaning("expired", _SOFT),
    "30410": _Meaning("networkerror", _SOFT),
    "30450": _Meaning("policyviolation", _BLOCK),
    "30453": _Meaning("speeding", _BLOCK),
}
_OTHER = _Meaning("undefined", _SOFT)


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
        parameters = [] if digest else _form(callback.body)
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
        meaning = _CODES.get(code, _OTHER) if kind in (ReceiptKind.BOUNCED, ReceiptKind.REJECTED) else None
        if status == "canceled":
            meaning = None
        # ``failed`` may come for a number nobody has, which is as final as a bounce.
        if kind is ReceiptKind.REJECTED and meaning is not None and meaning.bounce is _HARD:
            kind = ReceiptKind.BOUNCED
        return Receipt(
            kind=kind,
            # The callback has no time of its own but a carrier's, without a zone.
            at=callback.at,
            source=self._trust.source,
            key=f"{sid}:{status}",
            remote_id=sid,
            recipient=fields.address("To"),
            bounce=meaning.bounce if meaning is not None and kind is ReceiptKind.BOUNCED else None,
            reason=meaning.reason if meaning is not None else None,
            text=f"error {code}" if code else "",
        )


def _form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        # What is no form cannot have been signed as one.
        raise NotBelieved("signature") from None
