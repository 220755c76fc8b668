"""SMS over Twilio's Messages API, or any gateway that speaks it.

One POST per message; never waits for a delivery receipt, never retries.
"""

import base64
import re
from http import HTTPStatus
from urllib.parse import urlencode

from notifier.channels.base import Prepared, Session, refuse_locally
from notifier.channels.http_deadline import trusted
from notifier.channels.http_dialect import Answer, Refused, Request, Taken, Verdict, meaning_of
from notifier.channels.http_session import HttpSession
from notifier.channels.provider import Patience
from notifier.channels.sms_provider import SmsProvider
from notifier.channels.twilio_errors import MEANINGS
from notifier.errors import Fault
from notifier.messages import ChannelName, Outgoing

__all__ = ["BODY_LIMIT", "SmsChannel", "SmsProvider"]

BODY_LIMIT = 1600
"""Characters Twilio takes: https://www.twilio.com/docs/api/errors/21617."""
_E164 = re.compile(r"\+[1-9]\d{6,14}")


class SmsChannel:
    """SMS through one gateway."""

    name = ChannelName.SMS

    def __init__(self, provider: SmsProvider) -> None:
        self._provider = provider
        self._patience = Patience(
            connect_seconds=provider.connect_seconds, read_seconds=provider.read_seconds
        )
        self._context = trusted()

    @property
    def relay(self) -> str:
        """The gateway's name."""
        return self._provider.name

    @property
    def connections(self) -> int:
        """How many connections one process may hold open."""
        return self._provider.connections

    @property
    def phase_seconds(self) -> float:
        """The deadline of a request, and a little."""
        return self._patience.phase_seconds

    @property
    def is_encrypted(self) -> bool:
        """Say whether the gateway is reached over TLS, or never leaves this machine."""
        return self._provider.is_encrypted

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the form.

        Raises:
            PermanentFailure: no E.164 number, or a text that is empty or too long.
        """
        to, text = check_number(message.to), check_text(message.content.text)
        sender = message.sender or self._provider.sender
        fields = {"To": to, "From": sender, "Body": text}
        if self._provider.status_callback:
            fields["StatusCallback"] = self._provider.status_callback
        form = urlencode(fields, errors="replace")
        return Prepared(outgoing=message, wire=form.encode(), to=to, sender=sender)

    def open(self) -> Session:
        """Return a session; the connection itself is made by the first send."""
        return HttpSession(self.relay, _Twilio(self._provider), self._patience, self._context, noun="gateway")


def check_number(to: str) -> str:
    """Return a phone number that every gateway understands.

    Raises:
        PermanentFailure: it is not E.164.
    """
    if not _E164.fullmatch(to):
        raise refuse_locally(
            "invalid-number", Fault.RECIPIENT, "To: must be a number in E.164, such as +4930…"
        )
    return to


def check_text(text: str) -> str:
    """Return the text as it is sent.

    Raises:
        PermanentFailure: it is empty or too long.
    """
    text = text.strip().replace("\x00", "")
    if not text:
        raise refuse_locally("empty", Fault.CONTENT, "the text is empty")
    if len(text) > BODY_LIMIT:
        raise refuse_locally("too-long", Fault.CONTENT, f"the text is longer than {BODY_LIMIT} characters")
    return text


class _Twilio:
    """Twilio's form, and its answers: https://www.twilio.com/docs/messaging/api/message-resource."""

    def __init__(self, provider: SmsProvider) -> None:
        self._url = (
            f"{provider.base_url.rstrip('/')}/2010-04-01/Accounts/{provider.account_sid}/Messages.json"
        )
        token = base64.b64encode(f"{provider.account_sid}:{provider.auth_token}".encode()).decode()
        self._headers = (
            ("Authorization", f"Basic {token}"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        )

    def request(self, message: Prepared) -> Request:
        """Return the form as it was prepared."""
        return Request(url=self._url, headers=self._headers, body=message.wire)

    def judge(self, answer: Answer) -> Verdict | None:
        """Read a sid, or an error code."""
        said = answer.json()
        sid, code = said.get("sid"), said.get("code")
        if answer.is_success:
            is_taken = isinstance(sid, str) and bool(sid)
            return Taken(remote_id=sid, text=str(said.get("status") or "")) if is_taken else None
        if not isinstance(code, int) or answer.status == HTTPStatus.GATEWAY_TIMEOUT:
            return None
        meaning = MEANINGS.get(code) or meaning_of(answer.status)
        return Refused(meaning=meaning, code=str(code), text=str(said.get("message") or ""))
