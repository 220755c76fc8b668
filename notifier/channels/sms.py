"""SMS over Twilio's Messages API, or any gateway that speaks it.

One POST per message; never waits for a delivery receipt, never retries.
"""

import base64
import re
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import httpcore
import httpx
import orjson

from notifier.channels.base import Prepared, Session, refuse_locally
from notifier.channels.http_deadline import (
    NOT_ANSWERED,
    NOT_CONNECTED,
    NOT_WRITTEN,
    DeadlineBackend,
    TooLong,
    read_at_most,
)
from notifier.channels.sms_provider import SmsProvider
from notifier.channels.twilio_errors import MEANINGS, Meaning
from notifier.errors import (
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    Reply,
    SendError,
    TemporaryFailure,
)
from notifier.messages import Accepted, ChannelName, Outgoing

__all__ = ["BODY_LIMIT", "SmsChannel", "SmsProvider"]

BODY_LIMIT = 1600
"""Characters Twilio takes: https://www.twilio.com/docs/api/errors/21617."""
RETRY_AFTER_LIMIT = timedelta(hours=6)
_TEXT_LIMIT = 500
# Twilio's answers have about 1 kB.
_ANSWER_LIMIT = 65536
_IDLE_SECONDS = 5.0
# For closing and judging.
_SLACK_SECONDS = 1.0
_E164 = re.compile(r"\+[1-9]\d{6,14}")

_BY_STATUS: dict[int, Meaning] = {
    401: Meaning(Fault.CREDENTIALS, "credentials"),
    403: Meaning(Fault.CREDENTIALS, "forbidden"),
    404: Meaning(Fault.CREDENTIALS, "account-not-found"),
    408: Meaning(Fault.PROVIDER, "provider", is_temporary=True),
    413: Meaning(Fault.CONTENT, "too-long"),
    429: Meaning(Fault.RATE, "rate-limited", is_temporary=True),
}


class SmsChannel:
    """SMS through one gateway."""

    name = ChannelName.SMS

    def __init__(self, provider: SmsProvider) -> None:
        self._provider = provider
        # Building it reads the bundle of authorities, some 20 ms: once, not per session.
        self._context = ssl.create_default_context()

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
        return self._provider.connect_seconds + self._provider.read_seconds + _SLACK_SECONDS

    @property
    def is_encrypted(self) -> bool:
        """Say whether the gateway is reached over TLS, or never leaves this machine."""
        return self._provider.is_encrypted

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the form.

        Raises:
            PermanentFailure: no E.164 number, or a text that is empty or too long.
        """
        if not _E164.fullmatch(message.to):
            raise refuse_locally(
                "invalid-number", Fault.RECIPIENT, "To: must be a number in E.164, such as +4930…"
            )
        text = message.content.text.strip().replace("\x00", "")
        if not text:
            raise refuse_locally("empty", Fault.CONTENT, "the text is empty")
        if len(text) > BODY_LIMIT:
            raise refuse_locally(
                "too-long", Fault.CONTENT, f"the text is longer than {BODY_LIMIT} characters"
            )
        sender = message.sender or self._provider.sender
        form = urlencode({"To": message.to, "From": sender, "Body": text}, errors="replace")
        return Prepared(outgoing=message, wire=form.encode(), to=message.to, sender=sender)

    def open(self) -> Session:
        """Return a session; the connection itself is made by the first send."""
        return SmsSession(self._provider, self._context)


class SmsSession:
    """An HTTP connection of one thread."""

    def __init__(self, provider: SmsProvider, context: ssl.SSLContext) -> None:
        self.relay = provider.name
        self._provider = provider
        self._is_usable = True
        self._url = _messages_url(provider)
        token = base64.b64encode(f"{provider.account_sid}:{provider.auth_token}".encode())
        self._headers = [
            (b"Authorization", b"Basic " + token),
            (b"Content-Type", b"application/x-www-form-urlencoded"),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"notifier"),
        ]
        self._backend = DeadlineBackend()
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=1,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._backend,
        )

    @property
    def is_usable(self) -> bool:
        """Say whether another message may be sent."""
        return self._is_usable

    def refresh(self) -> None:
        """Nothing to do: an idle connection is checked, and replaced, before a request is written."""

    def send(self, message: Prepared) -> Accepted:
        """POST one message.

        Raises:
            TemporaryFailure: not taken; the gateway may take it later.
            PermanentFailure: not taken; it never will be.
            OutcomeUnknown: the request was sent, and no answer came that says what became of it.
        """
        self._is_usable = False
        try:
            answer = self._post(message.wire)
        except NOT_CONNECTED as error:
            raise _not_connected(error) from None
        except NOT_WRITTEN:
            raise _network("write-failed") from None
        except NOT_ANSWERED as error:
            is_slow = isinstance(error, httpcore.TimeoutException)
            raise _unknown("timeout" if is_slow else type(error).__name__) from None
        accepted = self._judge(answer)
        self._is_usable = True
        return accepted

    def _post(self, form: bytes) -> "_Answer":
        provider = self._provider
        self._backend.deadline = time.monotonic() + provider.connect_seconds + provider.read_seconds
        waits = {"connect": provider.connect_seconds} | dict.fromkeys(
            ("read", "write", "pool"), provider.read_seconds
        )
        with self._pool.stream(
            "POST", self._url, headers=self._headers, content=form, extensions={"timeout": waits}
        ) as response:
            wait = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
            try:
                body: bytes | None = read_at_most(response, _ANSWER_LIMIT)
            except TooLong:
                body = None
            return _Answer(status=response.status, body=body, retry_after=wait.decode("latin-1"))

    def close(self) -> None:
        """Drop the connection."""
        self._is_usable = False
        self._pool.close()

    def _judge(self, answer: "_Answer") -> Accepted:
        said = answer.json()
        if httpx.codes.is_success(answer.status):
            sid = said.get("sid")
            if answer.body is None:
                raise _unknown("too-long-an-answer", answer.status)
            if not isinstance(sid, str) or not sid:
                raise _unknown("protocol", answer.status)
            status = str(said.get("status") or "")
            reply = Reply(phase=Phase.REQUEST, code=answer.status, text=status, remote_id=sid)
            return Accepted(reply=reply, relay=self.relay)
        if answer.status == HTTPStatus.GATEWAY_TIMEOUT:
            # The gateway passed it on and stopped waiting: whoever stands behind it may have it.
            raise _unknown("gateway-timeout", answer.status)
        # A refusal is an answer: the session is as good as before.
        self._is_usable = True
        raise _failure(answer, said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the gateway said; ``body`` is None where it was too long to be read."""

    status: int
    body: bytes | None
    retry_after: str

    def json(self) -> dict[str, Any]:
        """Return the object of the body, empty where there is none."""
        try:
            answer = orjson.loads(self.body or b"")
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}


def _messages_url(provider: SmsProvider) -> httpcore.URL:
    # httpx knows how a host with umlauts is written on the wire.
    url = httpx.URL(
        f"{provider.base_url.rstrip('/')}/2010-04-01/Accounts/{provider.account_sid}/Messages.json"
    )
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _failure(answer: _Answer, words: dict[str, Any]) -> SendError:
    status, code = answer.status, words.get("code")
    meaning = _meaning(status, code)
    said = f"{status} with error {code}" if isinstance(code, int) else str(status)
    message = f"the gateway answered {said}: {meaning.reason}"
    text = str(words.get("message") or "")[:_TEXT_LIMIT]
    reply = Reply(
        phase=Phase.REQUEST, code=status, enhanced=str(code) if isinstance(code, int) else None, text=text
    )
    if not meaning.is_temporary:
        return PermanentFailure(message, fault=meaning.fault, reply=reply, reason=meaning.reason)
    wait = _retry_after(answer.retry_after)
    return TemporaryFailure(
        message, fault=meaning.fault, reply=reply, reason=meaning.reason, retry_after=wait
    )


def _meaning(status: int, code: object) -> Meaning:
    if isinstance(code, int) and code in MEANINGS:
        return MEANINGS[code]
    # Redirects too: a gateway that moved must be configured anew, and nothing is lost meanwhile.
    is_temporary = not httpx.codes.is_client_error(status)
    return _BY_STATUS.get(status, Meaning(Fault.PROVIDER, "provider", is_temporary))


def _retry_after(value: str) -> timedelta | None:
    """Read seconds or a date (RFC 9110 §10.2.3)."""
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:6])), RETRY_AFTER_LIMIT)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    wait = moment.astimezone(UTC) - datetime.now(UTC)
    return min(max(wait, timedelta(0)), RETRY_AFTER_LIMIT)


def _not_connected(error: Exception) -> TemporaryFailure:
    # httpcore keeps the cause of a failed handshake only in the chain.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return TemporaryFailure(
                "the gateway's TLS is not good enough",
                fault=Fault.TLS, reply=Reply(phase=Phase.TLS), reason="tls-handshake",
            )  # fmt: skip
        cause = cause.__cause__ or cause.__context__
    is_slow = isinstance(error, httpcore.TimeoutException)
    return _network("timeout" if is_slow else "unreachable", Phase.CONNECT)


def _network(reason: str, phase: Phase = Phase.REQUEST) -> TemporaryFailure:
    return TemporaryFailure(
        f"no connection to the gateway: {reason}",
        fault=Fault.NETWORK, reply=Reply(phase=phase), reason=reason,
    )  # fmt: skip


def _unknown(reason: str, status: int | None = None) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the request was sent, and no valid answer came: {reason}",
        fault=Fault.NETWORK, reply=Reply(phase=Phase.REQUEST, code=status), reason=reason,
    )  # fmt: skip
