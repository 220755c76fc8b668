"""Every error notifier raises on purpose, in one tree.

A class says what the caller should do; its message says what happened, where, and the mend. Messages
carry field names, codes and ids, never addresses, bodies or secrets.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path


class NotifierError(Exception):
    """Something went wrong in notifier."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class ConfigError(NotifierError):
    """A setting, rule, catalogue entry or template is wrong: say where, and how to mend it."""

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        field: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.problem, self.file, self.line, self.field, self.mend = problem, file, line, field, mend
        where = f"{file}:{line}" if file and line else str(file or "")
        parts = [part for part in (where, field, problem) if part]
        super().__init__(": ".join(parts) + (f" (mend: {mend})" if mend else ""))


class EventRefused(NotifierError):
    """The event can never be accepted as it is: correct the named field and send it again."""

    def __init__(self, reason: str, *, field: str | None = None, code: str = "invalid") -> None:
        self.reason, self.field, self.code = reason, field, code
        super().__init__(f"{field}: {reason}" if field else reason)


class NoSuchMessage(NotifierError):
    """No message has this id."""


class IntakeFull(NotifierError):
    """The intake stream is at its configured limit: wait and try again, or send less."""


class IntakeUnavailable(NotifierError):
    """The intake cannot be reached: try again, with the same id; it stays the same event."""


class NotDurable(NotifierError):
    """The server cannot promise that the event is on disk: turn on its append-only file."""


class ResultTimeout(NotifierError, TimeoutError):
    """No result arrived in time. The event may still be processed; it has not failed."""


class TemplateError(NotifierError):
    """A template cannot be loaded or rendered; the message names the file, the line and the variable."""

    def __init__(
        self, problem: str, *, template: str, line: int | None = None, variable: str | None = None
    ) -> None:
        self.problem, self.template, self.line, self.variable = problem, template, line, variable
        where = f"{template}:{line}" if line else template
        super().__init__(f"{where}: {problem}")


class KeyDestroyed(NotifierError):
    """The key of this data was destroyed: the person asked to be forgotten."""


class CannotUnseal(NotifierError):
    """Sealed data does not open: wrong master key, or the bytes were changed."""


class KeyMissing(CannotUnseal):
    """This process lacks a key that was made after it started, or its master key: data waits for it."""


class Fault(StrEnum):
    """Whose fault a failure is; decides what the pipeline does besides retrying."""

    RECIPIENT = "recipient"
    CONTENT = "content"
    SENDER = "sender"
    CREDENTIALS = "credentials"
    TLS = "tls"
    NETWORK = "network"
    RATE = "rate"
    MAILBOX = "mailbox"
    PROVIDER = "provider"


class Phase(StrEnum):
    """How far a try got: of SMTP (RFC 5321 §3), or ``request`` for an HTTP provider."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"
    REQUEST = "request"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the other side answered.

    ``text`` may quote the recipient's address: it is stored sealed and never logged.
    """

    phase: Phase
    code: int | None = None
    enhanced: str | None = None
    text: str = ""
    remote_id: str | None = None


class SendError(NotifierError):
    """A try to send did not succeed; ``is_hard``: because the address is dead, for this and every later message."""

    def __init__(
        self, message: str, *, fault: Fault, reply: Reply, reason: str | None = None, is_hard: bool = False
    ) -> None:
        self.fault, self.reply, self.is_hard = fault, reply, is_hard
        self.reason = reason or fault.value
        super().__init__(message)


class TemporaryFailure(SendError):
    """The same message may succeed later: retry."""

    def __init__(
        self,
        message: str,
        *,
        fault: Fault,
        reply: Reply,
        reason: str | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, fault=fault, reply=reply, reason=reason)


class PermanentFailure(SendError):
    """This channel will never accept this message: fall back."""


class OutcomeUnknown(SendError):
    """The connection was cut after the last byte and before the answer: it may have arrived (RFC 1047)."""
