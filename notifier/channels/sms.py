"""SMS over Twilio's Messages API, or any gateway that speaks it.

One POST per message; never waits for a delivery receipt, never retries.
"""

import re
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from notifier.channels.base import Prepared, Session, refuse_locally
from notifier.channels.twilio_errors import MEANINGS, Meaning
from notifier.errors import (
    ConfigError,
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    Reply,
    SendError,
    TemporaryFailure,
)
from notifier.messages import Accepted, ChannelName, Outgoing

BODY_LIMIT = 1600
"""Characters Twilio takes: https://www.twilio.com/docs/api/errors/21617."""
RETRY_AFTER_LIMIT = timedelta(hours=6)
_TEXT_LIMIT = 500
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_BY_STATUS: dict[int, Meaning] = {
    401: Meaning(Fault.CREDENTIALS, "credentials"),
    403: Meaning(Fault.CREDENTIALS, "forbidden"),
    404: Meaning(Fault.CREDENTIALS, "account-not-found"),
    408: Meaning(Fault.PROVIDER, "provider", is_temporary=True),
    413: Meaning(Fault.CONTENT, "too-long"),
    429: Meaning(Fault.RATE, "rate-limited", is_temporary=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsProvider:
    """A gateway that speaks Twilio's API, and our account there."""

    name: str
    base_url: str = "https://api.twilio.com"
    account_sid: str
    auth_token: str = field(repr=False)
    sender: str
    connect_seconds: float = 5
    read_seconds: float = 20
    connections: int = 4
    is_plain_http_allowed: bool = False
    """For a stand-in within one's own network; loopback never needs it."""

    def __post_init__(self) -> None:
        """Refuse what could never work, or would send the token in the clear."""
        url = urlsplit(self.base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise self._wrong("base_url", "must be an http or https URL")
        if url.scheme == "http" and url.hostname not in _LOOPBACK and not self.is_plain_http_allowed:
            raise self._wrong("base_url", "the token is never sent without TLS", "use https")
        if not _ACCOUNT.fullmatch(self.account_sid):
            raise self._wrong("account_sid", "must be letters and digits")
        if not self.sender:
            raise self._wrong("sender", "must be a number in E.164 or a sender name")

    def _wrong(self, field_name: str, problem: str, mend: str | None = None) -> ConfigError:
        return ConfigError(problem, field=f"sms.{field_name}", mend=mend)


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
        """Connecting, writing and reading; httpx counts each for itself."""
        return 2 * self._provider.connect_seconds + 2 * self._provider.read_seconds

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
    """An HTTP client of one thread."""

    def __init__(self, provider: SmsProvider, context: ssl.SSLContext) -> None:
        self.relay = provider.name
        self._path = f"/2010-04-01/Accounts/{provider.account_sid}/Messages.json"
        self._is_usable = True
        self._client = httpx.Client(
            base_url=provider.base_url,
            auth=(provider.account_sid, provider.auth_token),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            timeout=httpx.Timeout(provider.read_seconds, connect=provider.connect_seconds),
            verify=context,
            trust_env=False,
        )

    @property
    def is_usable(self) -> bool:
        """Say whether another message may be sent."""
        return self._is_usable

    def send(self, message: Prepared) -> Accepted:
        """POST one message.

        Raises:
            TemporaryFailure: not taken; the gateway may take it later.
            PermanentFailure: not taken; it never will be.
            OutcomeUnknown: the request was sent, and no answer came that says what became of it.
        """
        self._is_usable = False
        try:
            response = self._client.post(self._path, content=message.wire)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _not_connected(error) from None
        except (httpx.WriteError, httpx.WriteTimeout):
            # A request that was not written whole has a body shorter than it says: no server acts on it.
            raise _network("write-failed") from None
        except httpx.HTTPError as error:
            raise _unknown(type(error).__name__) from None
        accepted = self._judge(response)
        self._is_usable = True
        return accepted

    def close(self) -> None:
        """Drop the connection."""
        self._is_usable = False
        self._client.close()

    def _judge(self, response: httpx.Response) -> Accepted:
        answer = _json(response)
        if response.is_success:
            sid = answer.get("sid")
            if not isinstance(sid, str) or not sid:
                raise _unknown("protocol", response.status_code)
            status = str(answer.get("status") or "")
            reply = Reply(phase=Phase.REQUEST, code=response.status_code, text=status, remote_id=sid)
            return Accepted(reply=reply, relay=self.relay)
        if response.status_code == httpx.codes.GATEWAY_TIMEOUT:
            # The gateway passed it on and stopped waiting: whoever stands behind it may have it.
            raise _unknown("gateway-timeout", response.status_code)
        # A refusal is an answer: the connection is as good as before.
        self._is_usable = True
        raise _failure(response, answer)


def _failure(response: httpx.Response, answer: dict[str, Any]) -> SendError:
    status, code = response.status_code, answer.get("code")
    meaning = _meaning(status, code)
    said = f"{status} with error {code}" if isinstance(code, int) else str(status)
    message = f"the gateway answered {said}: {meaning.reason}"
    text = str(answer.get("message") or "")[:_TEXT_LIMIT]
    reply = Reply(
        phase=Phase.REQUEST, code=status, enhanced=str(code) if isinstance(code, int) else None, text=text
    )
    if not meaning.is_temporary:
        return PermanentFailure(message, fault=meaning.fault, reply=reply, reason=meaning.reason)
    wait = _retry_after(response.headers.get("Retry-After"))
    return TemporaryFailure(
        message, fault=meaning.fault, reply=reply, reason=meaning.reason, retry_after=wait
    )


def _meaning(status: int, code: object) -> Meaning:
    if isinstance(code, int) and code in MEANINGS:
        return MEANINGS[code]
    # Redirects too: a gateway that moved must be configured anew, and nothing is lost meanwhile.
    is_temporary = not httpx.codes.is_client_error(status)
    return _BY_STATUS.get(status, Meaning(Fault.PROVIDER, "provider", is_temporary))


def _retry_after(value: str | None) -> timedelta | None:
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


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _not_connected(error: httpx.HTTPError) -> TemporaryFailure:
    # httpx keeps the cause of a failed handshake only in the chain.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return TemporaryFailure(
                "the gateway's TLS is not good enough",
                fault=Fault.TLS, reply=Reply(phase=Phase.TLS), reason="tls-handshake",
            )  # fmt: skip
        cause = cause.__cause__ or cause.__context__
    is_slow = isinstance(error, httpx.TimeoutException)
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
