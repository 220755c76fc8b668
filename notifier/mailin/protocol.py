"""Speak SMTP or LMTP (RFC 5321, RFC 2033) within hard limits; hand each mail to whoever takes it.

Relays nothing, sends nothing, tells nobody which addresses exist but by taking or refusing them.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session, TLSSetupException

from notifier.logs import get_logger
from notifier.mailin.doors import Door, Doors
from notifier.setting_tables import MailIn

log = get_logger("mail_in")

Take = Callable[[bytes, Sequence[Door]], Awaitable[list[str]]]
"""Takes a mail for some doors and returns a reply for each."""

AWAY = "451 4.3.0 try again later"
_FULL = b"421 4.3.2 too many connections, try again later\r\n"
_UNKNOWN = "550 5.1.1 no such address here"
_MANY = "452 4.5.3 too many recipients"
_TOO_BIG = "552 5.3.4 the mail is larger than we take"
_NO = "502 5.5.1 not here"
_IN_CLEAR = "530 5.7.0 STARTTLS first"
_WORD = "mail-in"
_CHUNK = 65_536
"""Bytes read at once. Lines of a mail may be of any length: MTAs return what broke RFC 5322 §2.1.1 too."""
_EOL, _END = b"\r\n", b"\r\n.\r\n"
_OVERRUN = 1_048_576
"""A sender may go on so far beyond the limit before the line is cut; RFC 5321 §4.5.3.1.10 wants a reply first."""
_OURS = 300.0
"""Seconds until we give up on ourselves; what reading and storing may take is bounded by limits of their own."""
_REFUSED = 100
"""So many recipients of one connection may be refused: who guesses addresses is shown the door."""
_COMMANDS = {"*": 20, "MAIL": 10_000, "RCPT": 20_000, "DATA": 10_000, "RSET": 20_000, "NOOP": 1000}
"""How often a connection may say what: MTAs keep one open for many mails."""

# It logs addresses, and words of strangers.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)


@dataclass(eq=False, slots=True)
class Limits:
    """What all connections share."""

    settings: MailIn
    tls: ssl.SSLContext | None = None
    open: set[object] = field(default_factory=set)


class _Handler:
    """What aiosmtpd calls back."""

    def __init__(self, doors: Doors, settings: MailIn) -> None:
        self._doors, self._settings = doors, settings
        self.doors: list[Door] = []
        self._refused = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: "_Limited", _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        if len(envelope.rcpt_tos) >= self._settings.recipients:
            return _MANY
        door = self._doors.door(address)
        if door is None:
            self._refused += 1
            log.info("mail_in.refused", reason="unknown address", refused=self._refused)
            if self._refused >= _REFUSED:
                server.hang_up()
            return _UNKNOWN
        envelope.rcpt_tos.append(address)
        self.doors.append(door)
        return "250 2.1.5 ok"

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, name: str, offers: list[str]
    ) -> list[str]:
        """Offer no login: aiosmtpd does once TLS is there."""
        session.host_name = name
        return [one for one in offers if not one.startswith("250-AUTH")]

    async def handle_exception(self, error: Exception) -> str:
        """Answer what we did not foresee: the other side keeps its mail, and hears nothing of us."""
        if isinstance(error, TLSSetupException):
            log.info("mail_in.refused", reason="no TLS came about")
            return AWAY
        log.error("mail_in.failed", error=type(error).__name__)
        return AWAY


def _return_path(envelope: Envelope | None) -> bytes:
    """Return the header that whoever delivers a mail at last puts before it (RFC 5321 §4.4).

    An empty one tells a bounce from a person's answer.
    """
    sender = (envelope.mail_from if envelope else None) or "<>"
    path = sender if sender.startswith("<") else f"<{sender}>"
    return b"Return-Path: " + path.encode("utf-8", "surrogateescape") + b"\r\n"


class _Limited(SMTP):
    """What SMTP and LMTP have in common."""

    line_length_limit = _CHUNK

    def __init__(self, doors: Doors, take: Take, limits: Limits) -> None:
        settings = limits.settings
        self._handler, self._take, self._limits = _Handler(doors, settings), take, limits
        self._is_counted = False
        super().__init__(
            self._handler,
            data_size_limit=settings.max_bytes,
            enable_SMTPUTF8=True,
            hostname=_WORD,
            ident="notifier",
            tls_context=limits.tls,
            timeout=settings.idle_timeout.total_seconds(),
            command_call_limit=_COMMANDS,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many already."""
        # After STARTTLS the same connection begins once more (RFC 3207 §4.2).
        if self not in self._limits.open and len(self._limits.open) >= self._limits.settings.connections:
            log.warning("mail_in.full", connections=len(self._limits.open))
            if isinstance(transport, asyncio.WriteTransport):
                transport.write(_FULL)
            transport.close()
            return
        self._limits.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End; one that never began has nothing to end."""
        if self in self._limits.open:
            self._limits.open.remove(self)
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; what nobody waits for is not kept."""
        if self in self._limits.open:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """The other side says no more."""
        return super().eof_received() if self in self._limits.open else None

    def hang_up(self) -> None:
        """Close once what was said is on its way."""
        self.loop.call_later(0.1, self._close)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Shake hands, and wait no longer than for a command: asyncio tells nobody when a handshake was cut."""
        try:
            await asyncio.wait_for(
                super().smtp_STARTTLS(arg), self._limits.settings.idle_timeout.total_seconds()
            )
        except TimeoutError as error:
            raise TLSSetupException from error

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin a mail, unless it would come in the clear (RFC 3207 §4)."""
        if self._limits.settings.require_tls and (self.session is None or self.session.ssl is None):
            log.info("mail_in.refused", reason="in the clear")
            await self.push(_IN_CLEAR)
            return
        await super().smtp_MAIL(arg)

    async def smtp_AUTH(self, _arg: str) -> None:  # noqa: N802
        """Let nobody log in: there are no accounts."""
        await self.push(_NO)

    async def smtp_VRFY(self, _arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Tell nobody who is here."""
        await self.push(_NO)

    async def smtp_EXPN(self, _arg: str) -> None:  # noqa: N802
        """Tell nobody who is here."""
        await self.push(_NO)

    async def smtp_HELP(self, _arg: str) -> None:  # noqa: N802
        """Say nothing of ourselves."""
        await self.push(_NO)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """Take a mail, and answer once it is kept.

        In place of aiosmtpd's, which keeps each line as an object: a mail of empty lines takes forty times its size.
        """
        if await self.check_helo_needed():
            return
        if not self._handler.doors or arg:
            await self.push("501 5.5.4 DATA takes no argument" if arg else "503 5.5.1 need RCPT first")
            return
        doors, self._handler.doors = self._handler.doors, []
        await self.push("354 end with <CRLF>.<CRLF>")
        mail = await self._body()
        if mail is None:
            replies = [_TOO_BIG] * len(doors)
            log.warning("mail_in.refused", reason="too big")
        else:
            self._reset_timeout(_OURS)
            replies = await self._take(_return_path(self.envelope) + mail, doors)
            self._reset_timeout()
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        for reply in self._answers(replies):
            await self.push(reply)

    def _answers(self, replies: Sequence[str]) -> Sequence[str]:
        """Return the one reply there is for all (RFC 5321 §4.2.5): what failed for one is tried again for all."""
        return [max(replies, key=lambda reply: (reply[0] == "4", reply[0] == "5"))]

    async def _body(self) -> bytes | None:
        """Read to the final dot, undo the stuffing (RFC 5321 §4.5.2); None where it was too much."""
        most = self._limits.settings.max_bytes + len(_EOL + _END)
        body, taken, is_over = bytearray(), 0, False
        # A line end before the first line: so a dot alone ends an empty mail too. In chunks, not in lines: a mail of
        # empty lines would keep all other connections waiting.
        self._reader._buffer[:0] = _EOL  # type: ignore[attr-defined]  # noqa: SLF001
        while not is_over:
            try:
                part = await self._reader.readuntil(_END)
                is_over = True
            except asyncio.LimitOverrunError as error:
                part = await self._reader.read(error.consumed)
            taken += len(part)
            if taken > most + _OVERRUN:
                self._close()
            if taken <= most:
                body += part
        if taken > most:
            return None
        return bytes(body[: -len(_END)] + _EOL).replace(_EOL + b".", _EOL)[len(_EOL) :]

    def _set_rset_state(self) -> None:
        self._handler.doors = []
        super()._set_rset_state()  # type: ignore[no-untyped-call]

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Smtp(_Limited):
    """SMTP: one reply for all recipients."""


class Lmtp(_Limited, LMTP):
    """LMTP: a reply for each recipient, in their order (RFC 2033 §4.2)."""

    def _answers(self, replies: Sequence[str]) -> Sequence[str]:
        return replies


def protocol(
    doors: Doors, take: Take, settings: MailIn, tls: ssl.SSLContext | None = None
) -> Callable[[], Any]:
    """Return what makes the protocol of each connection; with ``tls`` it offers STARTTLS."""
    limits, kind = Limits(settings, tls), Lmtp if settings.protocol == "lmtp" else Smtp
    return lambda: kind(doors, take, limits)
