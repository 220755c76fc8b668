"""Read Vonage's delivery receipts (SMS API) and message statuses (Messages API), one a request.

https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts
https://api.support.vonage.com/hc/en-us/articles/204014733 (error codes)
https://developer.vonage.com/en/api/messages-olympus#message-status
"""

from collections.abc import Mapping
from datetime import datetime

from notifier.inbound.callbacks.base import Callback, Malformed, NotBelieved, Reading, Trust
from notifier.inbound.callbacks.fields import Fields, signed_form
from notifier.inbound.callbacks.sms_errors import UNCLEAR, Meaning, meaning_of, verdict
from notifier.inbound.callbacks.vonage_signature import check_hash, check_token
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.tokens import message_id_of_reference

_STATUSES = {
    "accepted": ReceiptKind.SENT,
    "submitted": ReceiptKind.SENT,
    "buffered": ReceiptKind.DEFERRED,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.OPENED,
    "expired": ReceiptKind.BOUNCED,
    "failed": ReceiptKind.BOUNCED,
    "undeliverable": ReceiptKind.BOUNCED,
    "unknown": ReceiptKind.BOUNCED,
    "rejected": ReceiptKind.REJECTED,
}


_HARD, _SOFT, _BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK
_CODES = {
    "1": Meaning("undefined", _SOFT),
    "2": Meaning("networkerror", _SOFT),
    # "The number is no longer active and should be removed from your database."
    "3": Meaning("userunknown", _HARD),
    # "Permanent error": the user barred it, and only their operator can lift that.
    "4": Meaning("notaccept", _HARD),
    "5": Meaning("networkerror", _SOFT),
    "6": Meaning("spamdetected", _BLOCK),
    "7": Meaning("networkerror", _SOFT),
    "8": Meaning("networkerror", _SOFT),
    # "User has requested not to receive messages from a specific service": from us, not from all.
    "9": Meaning("filtered", _SOFT),
    "10": Meaning("contenterror", _BLOCK),
    "11": Meaning("networkerror", _SOFT),
    "12": Meaning("networkerror", _SOFT),
    "13": Meaning("policyviolation", _BLOCK),
    "14": Meaning("filtered", _SOFT),
    "15": Meaning("exceedlimit", _BLOCK),
    "39": Meaning("rejected", _BLOCK),
    "41": Meaning("rejected", _BLOCK),
    "50": Meaning("rejected", _BLOCK),
    "51": Meaning("contenterror", _BLOCK),
    "52": Meaning("rejected", _BLOCK),
    "53": Meaning("policyviolation", _BLOCK),
    "54": Meaning("policyviolation", _BLOCK),
    "99": Meaning("undefined", _SOFT),
    # Messages API: https://developer.vonage.com/en/api-errors/messages
    "1010": Meaning("policyviolation", _BLOCK),
    "1020": Meaning("contenterror", _BLOCK),
    "1210": Meaning("spamdetected", _BLOCK),
    "1220": Meaning("contenterror", _BLOCK),
    "1240": Meaning("filtered", _SOFT),
    "1250": Meaning("networkerror", _SOFT),
    "1260": Meaning("networkerror", _SOFT),
    "1270": Meaning("networkerror", _SOFT),
    "1300": Meaning("undefined", _SOFT),
    "1310": Meaning("networkerror", _SOFT),
    "1320": Meaning("userunknown", _HARD),
}


class VonageReader:
    """Reads Vonage's callbacks."""

    may_wait = False

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def read(self, callback: Callback) -> Reading:
        """Check the signature, then read the status.

        Raises:
            Refusal: it is not believed, or not what Vonage documents.
        """
        fields = Fields(self._believed(callback)) if not _is_bearer(callback) else self._tokened(callback)
        is_sms = "messageId" in fields
        remote = fields.text("messageId", 100) or fields.text("message_uuid", 100)
        status = fields.text("status", 40).lower()
        if not remote or not status:
            raise Malformed("missing", field="status" if remote else "messageId")
        kind = _STATUSES.get(status)
        if kind is None:
            return Reading(ignored=f"unknown:{status}")
        code = fields.text("err-code", 10) if is_sms else _error(fields)
        return Reading(receipts=(self._receipt(fields, kind, remote, code, callback.at),))

    def _tokened(self, callback: Callback) -> Fields:
        trust = self._trust
        if not trust.secret:
            raise NotBelieved("signature")
        check_token(callback.header("authorization"), trust, callback.body, now=callback.at)
        return Fields.parse(callback.body)

    def _believed(self, callback: Callback) -> Mapping[str, str]:
        trust = self._trust
        if not trust.secret:
            raise NotBelieved("signature")
        fields = _plain(callback)
        check_hash(fields, trust, now=callback.at)
        return fields

    def _receipt(self, fields: Fields, kind: ReceiptKind, remote: str, code: str, now: datetime) -> Receipt:
        meaning = meaning_of(kind, code, _CODES)
        status = fields.text("status", 40).lower()
        if status == "expired" and meaning is UNCLEAR:
            meaning = Meaning("expired", _SOFT)
        own = fields.text("client-ref", 200) or fields.text("client_ref", 200)
        return Receipt(
            **verdict(kind, meaning),
            at=_moment(fields, now),
            source=self._trust.source,
            key=f"{remote}:{status}:{code}",
            remote_id=remote,
            message_id=message_id_of_reference(own) or None,
            recipient=_number(fields.text("msisdn", 40) or fields.text("to", 40)),
            text=f"error {code}" if code not in ("", "0") else "",
        )


def _is_bearer(callback: Callback) -> bool:
    return callback.header("authorization")[:7].lower() == "bearer "


def _plain(callback: Callback) -> dict[str, str]:
    """Return the fields of a form or an object, as they were signed."""
    if "json" in callback.header("content-type").lower():
        return Fields.parse(callback.body).flat()
    return dict(signed_form(callback.body))


def _error(fields: Fields) -> str:
    """Return the number of a Messages API error: its title, or the end of its type's URL."""
    error = fields.below("error")
    title = error.text("title", 100)
    return title if title.isdigit() else error.text("type", 300).rpartition("#")[2][:10]


def _moment(fields: Fields, now: datetime) -> datetime:
    name = "message-timestamp" if "message-timestamp" in fields else "timestamp"
    return fields.moment(name, now)


def _number(text: str) -> str | None:
    """Return a number in E.164; Vonage leaves out the plus."""
    return f"+{text}" if text.isdigit() else text or None
