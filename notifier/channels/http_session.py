"""Hand messages over by HTTP: one POST each, under one deadline, over one connection that is kept.

Knows no provider: an adapter builds the request and judges the answer. Never retries, never follows a redirect.
"""

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpcore

from notifier.channels.base import Prepared
from notifier.channels.http_deadline import (
    NOT_ANSWERED,
    NOT_CONNECTED,
    NOT_WRITTEN,
    DeadlineBackend,
    read_answer,
    target,
)
from notifier.channels.http_dialect import (
    Answer,
    Dialect,
    PartlyTaken,
    Refused,
    Request,
    Taken,
    meaning_of,
)
from notifier.channels.provider import Patience
from notifier.errors import (
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    Reply,
    SendError,
    TemporaryFailure,
)
from notifier.messages import Accepted

RETRY_AFTER_LIMIT = timedelta(hours=6)
_TEXT_LIMIT = 500
# Providers' answers have a few kB at most.
_ANSWER_LIMIT = 65536
_IDLE_SECONDS = 5.0


class HttpSession:
    """An HTTP connection of one thread."""

    def __init__(
        self,
        relay: str,
        dialect: Dialect,
        patience: Patience,
        context: ssl.SSLContext,
        *,
        noun: str = "provider",
        get_ready: Callable[[], None] | None = None,
    ) -> None:
        self.relay = relay
        self._dialect, self._patience, self._noun = dialect, patience, noun
        self._is_usable, self._get_ready = True, get_ready
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
        """Fetch what a request needs; an idle connection is checked, and replaced, before one is written.

        Raises:
            SendError: it is not to be had.
        """
        if self._get_ready is None:
            return
        try:
            self._get_ready()
        except SendError:
            self._is_usable = False
            raise

    def send(self, message: Prepared) -> Accepted:
        """POST one message.

        Raises:
            TemporaryFailure: not taken; the provider may take it later.
            PermanentFailure: not taken; it never will be.
            OutcomeUnknown: the request was sent, and no answer came that says what became of it.
        """
        request = self._dialect.request(message)
        self._is_usable = False
        self._backend.is_cut = False
        try:
            answer = self._post(request)
        except NOT_CONNECTED as error:
            raise self._not_connected(error) from None
        except NOT_WRITTEN:
            raise self._network("write-failed") from None
        except NOT_ANSWERED as error:
            if self._backend.is_cut:
                raise self._network("write-failed") from None
            is_slow = isinstance(error, httpcore.TimeoutException)
            raise _unknown("timeout" if is_slow else type(error).__name__) from None
        accepted = self._accepted(answer)
        self._is_usable = True
        return accepted

    def close(self) -> None:
        """Drop the connection."""
        self._is_usable = False
        self._pool.close()

    def _post(self, request: Request) -> Answer:
        patience = self._patience
        self._backend.deadline = time.monotonic() + patience.seconds
        waits = {"connect": patience.connect_seconds} | dict.fromkeys(
            ("read", "write", "pool"), patience.read_seconds
        )
        with self._pool.stream(
            "POST", target(request.url), headers=request.wire_headers(), content=request.body,
            extensions={"timeout": waits},
        ) as response:  # fmt: skip
            return read_answer(response, _ANSWER_LIMIT)

    def _accepted(self, answer: Answer) -> Accepted:
        if answer.is_success and answer.body is None:
            raise _unknown("too-long-an-answer", answer.status)
        verdict = self._dialect.judge(answer)
        if verdict is None and answer.is_success:
            raise _unknown("protocol", answer.status)
        if isinstance(verdict, PartlyTaken):
            raise _unknown("partly-taken", answer.status, verdict)
        if isinstance(verdict, Taken):
            reply = Reply(
                phase=Phase.REQUEST, code=answer.status, text=verdict.text[:_TEXT_LIMIT],
                remote_id=verdict.remote_id,
            )  # fmt: skip
            return Accepted(reply=reply, relay=self.relay)
        if verdict is None and answer.status == HTTPStatus.GATEWAY_TIMEOUT:
            # Whoever answers passed it on and stopped waiting: who stands behind may have it.
            raise _unknown("gateway-timeout", answer.status)
        # A refusal is an answer: the session is as good as before.
        self._is_usable = True
        raise self._failure(answer, verdict or Refused(meaning=meaning_of(answer.status)))

    def _failure(self, answer: Answer, refused: Refused) -> SendError:
        meaning = refused.meaning
        said = f"{answer.status} with error {refused.code}" if refused.code else str(answer.status)
        message = f"the {self._noun} answered {said}: {meaning.reason}"
        # What is said of the account would be said to every message, as to a log-in.
        phase = Phase.AUTH if meaning.is_account else Phase.REQUEST
        reply = Reply(phase=phase, code=answer.status, enhanced=refused.code, text=refused.text[:_TEXT_LIMIT])
        if not meaning.is_temporary:
            return PermanentFailure(
                message, fault=meaning.fault, reply=reply, reason=meaning.reason, is_hard=meaning.is_hard
            )
        return TemporaryFailure(
            message, fault=meaning.fault, reply=reply, reason=meaning.reason,
            retry_after=read_retry_after(answer.header("retry-after"), answer.header("date")),
        )  # fmt: skip

    def _not_connected(self, error: Exception) -> TemporaryFailure:
        # httpcore keeps the cause of a failed handshake only in the chain.
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError):
                return TemporaryFailure(
                    f"the {self._noun}'s TLS is not good enough",
                    fault=Fault.TLS, reply=Reply(phase=Phase.TLS), reason="tls-handshake",
                )  # fmt: skip
            cause = cause.__cause__ or cause.__context__
        is_slow = isinstance(error, httpcore.TimeoutException)
        return self._network("timeout" if is_slow else "unreachable", Phase.CONNECT)

    def _network(self, reason: str, phase: Phase = Phase.REQUEST) -> TemporaryFailure:
        return TemporaryFailure(
            f"no connection to the {self._noun}: {reason}",
            fault=Fault.NETWORK, reply=Reply(phase=phase), reason=reason,
        )  # fmt: skip


def read_retry_after(value: str, sent: str = "") -> timedelta | None:
    """Read seconds or a date (RFC 9110 §10.2.3); nonsense is None, eternity is capped.

    A date is one of the other side's clock: it counts from ``sent``, the answer's own ``Date`` (§6.6.1), where there
    is one. By a clock of ours that runs fast every wait would be over already.
    """
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:6])), RETRY_AFTER_LIMIT)
    moment = _moment(value)
    if moment is None:
        return None
    wait = moment - (_moment(sent) or datetime.now(UTC))
    return min(max(wait, timedelta(0)), RETRY_AFTER_LIMIT)


def _moment(value: str) -> datetime | None:
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
        # "-0000" is UTC of an unknown place (RFC 5322 §3.3).
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _unknown(reason: str, status: int | None = None, partly: PartlyTaken | None = None) -> OutcomeUnknown:
    said = partly or PartlyTaken()
    reply = Reply(phase=Phase.REQUEST, code=status, text=said.text[:_TEXT_LIMIT], remote_id=said.remote_id)
    return OutcomeUnknown(
        f"the request was sent, and no valid answer came: {reason}",
        fault=Fault.NETWORK, reply=reply, reason=reason,
    )  # fmt: skip
