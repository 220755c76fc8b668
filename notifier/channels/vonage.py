"""SMS over Vonage's SMS API: one form a message, an answer for each of its parts.

Its status is 200 even for a refusal: only ``status`` of each part says what became of it.

Sources: https://developer.vonage.com/en/api/sms (request, answer),
https://developer.vonage.com/messaging/sms/guides/troubleshooting-sms and
https://developer.vonage.com/api-errors/sms (status codes).
"""

import base64
import re
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import Field, SecretStr

from notifier.channels.base import Channel, Prepared
from notifier.channels.http_channel import HttpChannel
from notifier.channels.http_dialect import Answer, PartlyTaken, Refused, Request, Taken, Verdict
from notifier.channels.inquiry import Inquiry, Seen, refused
from notifier.channels.meaning import AWAY, CREDENTIALS, RATE, Meaning
from notifier.channels.provider import Capabilities, Kind, ProviderSettings, Surroundings, reference, secret
from notifier.channels.sms import check_number, check_text
from notifier.errors import Fault
from notifier.messages import ChannelName, Outgoing
from notifier.rendering.segments import foreign

_TAKEN = "0"

MEANINGS: dict[str, Meaning] = {
    "1": RATE,
    "2": Meaning(Fault.PROVIDER, "protocol"),
    "3": Meaning(Fault.CONTENT, "invalid-parameter"),
    "4": CREDENTIALS,
    "5": AWAY,
    # "The platform was unable to process this message, for example, an unrecognised number prefix."
    "6": Meaning(Fault.PROVIDER, "unroutable"),
    "7": Meaning(Fault.RECIPIENT, "blocked"),
    "8": Meaning(Fault.CREDENTIALS, "account-suspended"),
    "9": Meaning(Fault.CREDENTIALS, "no-credit"),
    "10": RATE,
    "11": Meaning(Fault.CREDENTIALS, "account-not-enabled"),
    "12": Meaning(Fault.CONTENT, "too-long"),
    "14": CREDENTIALS,
    "15": Meaning(Fault.SENDER, "sender-number"),
    "22": Meaning(Fault.PROVIDER, "unroutable"),
    "23": Meaning(Fault.PROVIDER, "callback-url"),
    "29": Meaning(Fault.SENDER, "trial-account"),
    "32": CREDENTIALS,
    "33": Meaning(Fault.RECIPIENT, "unknown-recipient", is_hard=True),
}
_INVALID: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (re.compile(r"\bto\b"), Meaning(Fault.RECIPIENT, "invalid-number")),
    (re.compile(r"\bfrom\b"), Meaning(Fault.SENDER, "sender-number")),
)
"""Of status 3, whose text alone names the parameter."""
_UNKNOWN = Meaning(Fault.PROVIDER, "provider", is_temporary=True)


class Vonage(ProviderSettings):
    """An account at Vonage."""

    kind: Literal["vonage"]
    api_key: str = Field(min_length=1)
    api_secret: SecretStr
    sender: str = Field(min_length=1, max_length=15)
    """A number without its plus, or a name of at most 11 letters and digits."""
    signature_secret: SecretStr | None = None
    """What its callbacks are signed with, as parameters or as a JSON Web Token."""
    signature_method: Literal["md5hash", "md5", "sha1", "sha256", "sha512"] = "md5hash"

    def url(self, path: str) -> str:
        """Return the address of a part of the API."""
        return (self.base_url or "https://rest.nexmo.com").rstrip("/") + path


class VonageDialect:
    """POST /sms/json."""

    def __init__(self, settings: Vonage) -> None:
        self._settings = settings
        self._url = settings.url("/sms/json")

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the form, without the secret."""
        to, text = check_number(message.to), check_text(message.content.text)
        sender = message.sender or self._settings.sender
        form = {
            "from": sender.removeprefix("+"),
            "to": to.removeprefix("+"),
            "text": text,
            "client-ref": reference(message),
            # Without it, what the GSM alphabet lacks arrives as question marks.
            "type": "unicode" if foreign(text) else "text",
        }
        return Prepared(
            outgoing=message, wire=urlencode(form, errors="replace").encode(), to=to, sender=sender
        )

    def request(self, message: Prepared) -> Request:
        """Return the form with the account's key and secret."""
        settings = self._settings
        keys = urlencode({"api_key": settings.api_key, "api_secret": secret(settings.api_secret)}).encode()
        headers = (("Content-Type", "application/x-www-form-urlencoded"),)
        return Request(url=self._url, headers=headers, body=message.wire + b"&" + keys)

    def judge(self, answer: Answer) -> Verdict | None:
        """Read each part's status: all taken, none, or some."""
        parts = answer.json().get("messages")
        if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
            return None
        refused = [part for part in parts if str(part.get("status")) != _TAKEN]
        ids = [one for part in parts if isinstance(one := part.get("message-id"), str) and one]
        if not refused:
            return Taken(remote_id=ids[0], text=f"{len(parts)} parts") if ids and answer.is_success else None
        text = str(refused[0].get("error-text") or "")
        if len(refused) < len(parts):
            return PartlyTaken(remote_id=ids[0] if ids else None, text=text)
        return _refused(refused[0], text)


def _refused(part: dict[str, Any], text: str) -> Refused:
    status = str(part.get("status"))[:10]
    meaning = MEANINGS.get(status, _UNKNOWN)
    if status == "3":
        words = text.casefold()
        meaning = next((found for pattern, found in _INVALID if pattern.search(words)), meaning)
    return Refused(meaning=meaning, code=status if status.isdigit() else None, text=text)


def _build(name: str, settings: Vonage, around: Surroundings) -> Channel:  # noqa: ARG001 - it needs nothing else
    return HttpChannel(name, ChannelName.SMS, settings, VonageDialect(settings))


def _inquire(settings: Vonage) -> Inquiry:
    """Ask for the balance: https://developer.vonage.com/en/account/code-snippets/account-balance."""
    token = base64.b64encode(f"{settings.api_key}:{secret(settings.api_secret)}".encode()).decode()
    headers = (("Authorization", f"Basic {token}"),)
    request = Request(url=settings.url("/account/get-balance"), headers=headers, body=b"")
    return Inquiry(request=request, judge=_balance)


def _balance(answer: Answer) -> Seen:
    if found := refused(answer, "check api_key and api_secret"):
        return found
    said = answer.json()
    value = said.get("value")
    if not isinstance(value, int | float):
        return Seen(level="fail", words="answers, not as it is documented", mend="check base_url")
    if value > 0:
        return Seen(level="pass", words=f"takes our key; {value:.2f} EUR are left")
    if said.get("autoReload") is True:
        return Seen(level="warn", words=f"{value:.2f} EUR are left", mend="see why it is not reloaded")
    return Seen(level="fail", words=f"no credit is left ({value:.2f} EUR)", mend="top the account up")


KIND = Kind(
    settings=Vonage,
    build=_build,
    inquire=_inquire,
    capabilities=Capabilities(
        channel=ChannelName.SMS,
        receipts=("sent", "deferred", "delivered", "bounced", "rejected"),
        cannot=(
            "recognise a message it was handed twice",
            "take back the parts that went out where another was refused: that outcome is unknown",
            "send receipts unless the account has a delivery webhook",
        ),
        documentation=(
            "https://developer.vonage.com/en/api/sms",
            "https://developer.vonage.com/messaging/sms/guides/troubleshooting-sms",
            "https://developer.vonage.com/api-errors/sms",
        ),
    ),
)
