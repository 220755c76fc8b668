"""Read Vonage's delivery receipts (SMS API) and message statuses (Messages API), one a request.

https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts
https://api.support.vonage.com/hc/en-us/articles/204014733 (error codes)
https://developer.vonage.com/en/api/messages-olympus#message-status
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from notifier.inbound.callbacks.base import Callback, Malformed, NotBelieved, Reading, Trust
from notifier.inbound.callbacks.fields import Fields
from notifier.inbound.callbacks.vonage_signature import check_hash, check_token
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.tokens import message_id_of_reference

_FIELDS = 100
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


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What an error code says of the number."""

    reason: str
    bounce: BounceClass


_HARD, _SOFT, _BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK
_CODES = {
    "1": _Meaning("undefined", _SOFT),
    "2": _Meaning("networkerror", _SOFT),
    # "The number is no longer active and should be removed from your database."
    "3": _Meaning("userunknown", _HARD),
    # "Permanent error": the user barred it, and only their operator can lift that.
    "4": _Meaning("notaccept", _HARD),
    "5": _Meaning("networkerror", _SOFT),
    "6": _Meaning("spamdetected", _BLOCK),
    "7": _Meaning("networkerror", _SOFT),
    "8": _Meaning("networkerror", _SOFT),
    # "User has requested not to receive messages from a specific service": from us, not from all.
    "9": _Meaning("filtered", _SOFT),
    "10": _Meaning("contenterror", _BLOCK),
    "11": _Meaning("networkerror", _SOFT),
    "12": _Meaning("networkerror", _SOFT),
    "13": _Meaning("policyviolation", _BLOCK),
    "14": _Meaning("filtered", _SOFT),
    "15": _Meaning("exceedlimit", _BLOCK),
    "39": _Meaning("rejected", _BLOCK),
    "41": _Meaning("rejected", _BLOCK),
    "50": _Meaning("rejected", _BLOCK),
    "51": _Meaning("contenterror", _BLOCK),
    "52": _Meaning("rejected", _BLOCK),
    "53": _Meaning("policyviolation", _BLOCK),
    "54": _Meaning("policyviolation", _BLOCK),
    "99": _Meaning("undefined", _SOFT),
    # Messages API: https://developer.vonage.com/en/api-errors/messages
    "1010": _Meaning("policyviolation", _BLOCK),
    "1020": _Meaning("contenterror", _BLOCK),
    "1210": _Meaning("spamdetected", _BLOCK),
    "1220": _Meaning("contenterror", _BLOCK),
    "1240": _Meaning("filtered", _SOFT),
    "1250": _Meaning("networkerror", _SOFT),
    "1260": _Meaning("networkerror", _SOFT),
    "1270": _Meaning("networkerror", _SOFT),
    "1300": _Meaning("undefined", _SOFT),
    "1310": _Meaning("networkerror", _SOFT),
    "1320": _Meaning("userunknown", _HARD),
}
_OTHER = _Meaning("undefined", _SOFT)


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
        meaning = _CODES.get(code, _OTHER) if kind in (ReceiptKind.BOUNCED, ReceiptKind.REJECTED) else None
        status = fields.text("status", 40).lower()
        if status == "expired" and meaning is _OTHER:
            meaning = _Meaning("expired", _SOFT)
        if kind is ReceiptKind.REJECTED and meaning is not None and meaning.bounce is _HARD:
            kind = ReceiptKind.BOUNCED
        own = fields.text("client-ref", 200) or fields.text("client_ref", 200)
        return Receipt(
            kind=kind,
            at=_moment(fields, now),
            source=self._trust.source,
            key=f"{remote}:{status}:{code}",
            remote_id=remote,
            message_id=message_id_of_reference(own) or None,
            recipient=_number(fields.text("msisdn", 40) or fields.text("to", 40)),
            bounce=meaning.bounce if meaning is not None and kind is ReceiptKind.BOUNCED else None,
            reason=meaning.reason if meaning is not None else None,
            text=f"error {code}" if code not in ("", "0") else "",
        )


def _is_bearer(callback: Callback) -> bool:
    return callback.header("authorization")[:7].lower() == "bearer "


def _plain(callback: Callback) -> dict[str, str]:
    """Return the fields of a form or an object, as they were signed."""
    if "json" in callback.header("content-type").lower():
        return Fields.parse(callback.body).flat()
    try:
        pairs = parse_qsl(callback.body.decode(), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise NotBelieved("signature") from None
    return dict(pairs)


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
