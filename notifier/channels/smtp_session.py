"""Send mails over one SMTP connection after another: one transaction and one recipient each.

Says exactly how far a try got: before the final dot nothing was accepted, behind it nobody knows
(RFC 1047). Never retries, but for a connection found dead before it answered anything.
"""

import contextlib
import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace

from notifier.channels.base import Prepared, refuse_locally
from notifier.channels.smtp_connection import Cut, network, not_smtp, unknown
from notifier.channels.smtp_login import log_in
from notifier.channels.smtp_relay import SmtpRelay
from notifier.delivery.replies import ReplyRules, packaged
from notifier.errors import Fault, Phase, Reply
from notifier.messages import Accepted

_DOT = b".\r\n"
_CLOSING = 421
_REFUSED = 400
# RFC 5321 §4.3.2; any other success would leave the dialogue out of step.
_EXPECTED = {Phase.MAIL: range(200, 300), Phase.RCPT: range(200, 300), Phase.DATA: (354,)}
_FRESH_SECONDS = 0.2
_QUIT_SECONDS = 1.0
_LATE_REPLY_SECONDS = 0.5

# Where servers put the id under which they hold the mail, the most telling first.
_REMOTE_ID = re.compile(
    r"queued as:? (?P<postfix>[\w.-]+)"
    r"|InternalId=(?P<exchange>\d+)"
    r"|\bid=(?P<exim>[\w-]+)"
    r"|OK +\d+ (?P<gmail>[\w.-]+) - gsmtp"
    r"|(?P<sendmail>\w{8,}) Message accepted for delivery"
    r"|\bOk:? (?P<ses>[0-9a-fA-F][\w-]{15,})",
    re.IGNORECASE,
)


class _Stale(Exception):
    """A connection used before gave no answer at all: the server had dropped it."""


class SmtpSession:
    """An open connection to a relay, replaced by a new one when it is old, idle or found dead."""

    def __init__(
        self, relay: SmtpRelay, context: ssl.SSLContext | None, rules: ReplyRules | None = None
    ) -> None:
        self.relay = relay.name
        self._settings, self._context = relay, context
        self._rules = rules or packaged()
        self._line, self._features = log_in(relay, context, self._rules)
        self._is_usable = True
        self._needs_reset = False
        self._served = 0
        self._used_at = time.monotonic()

    @property
    def is_usable(self) -> bool:
        """Say whether another message may be sent."""
        return self._is_usable

    def refresh(self) -> None:
        """Replace the connection where it is old, idle or dropped, before a mail is at stake.

        Raises:
            TemporaryFailure: the relay is away, or its TLS is not what we demand.
            PermanentFailure: it does not accept our credentials any more.
        """
        if not self._is_usable:
            raise network(Phase.CONNECT, "session-closed")
        # Between the mails of one chunk there is nothing to look for: send() notices a good-bye by itself.
        is_idle = time.monotonic() - self._used_at >= _FRESH_SECONDS
        if self._is_worn() or (is_idle and self._line.is_stale):
            self._reconnect()

    def send(self, message: Prepared) -> Accepted:
        """Run one transaction.

        Raises:
            TemporaryFailure: refused for now, or cut before the final dot.
            PermanentFailure: refused for good.
            OutcomeUnknown: cut after the final dot, before its answer.
        """
        if not self._is_usable:
            raise network(Phase.MAIL, "session-closed")
        if self._is_worn():
            self._reconnect()
        self._check_fit(message)
        try:
            reply = self._transact(message)
        except _Stale:
            self._reconnect()
            reply = self._transact(message)
        return Accepted(reply=replace(reply, remote_id=remote_id(reply.text)), relay=self.relay)

    def close(self) -> None:
        """Say QUIT where the connection still works, and drop it."""
        if self._is_usable:
            deadline = time.monotonic() + _QUIT_SECONDS
            with contextlib.suppress(Exception):
                self._line.write(b"QUIT\r\n", deadline)
                self._line.read_reply(Phase.CONNECT, deadline)
        self._is_usable = False
        self._line.close()

    def _is_worn(self) -> bool:
        return (
            self._served >= self._settings.max_messages_per_connection
            or time.monotonic() - self._used_at > self._settings.idle_seconds
        )

    def _reconnect(self) -> None:
        self.close()
        self._line, self._features = log_in(self._settings, self._context, self._rules)
        self._is_usable, self._needs_reset, self._served = True, False, 0
        self._used_at = time.monotonic()

    def _check_fit(self, message: Prepared) -> None:
        if not message.to.isascii() and not self._features.has_smtputf8:
            raise refuse_locally(
                "smtputf8-not-offered", Fault.RECIPIENT,
                "the part before the @ is not ASCII, and the relay does not offer SMTPUTF8",
            )  # fmt: skip
        limit = self._features.size
        if limit is not None and len(message.wire) > limit:
            problem = f"the message has {len(message.wire)} bytes, the relay takes {limit}"
            raise refuse_locally("too-large", Fault.CONTENT, problem)

    def _transact(self, message: Prepared) -> Reply:
        # Until a whole answer is in, whatever happens ends this connection.
        self._is_usable = False
        reply, is_intact = self._envelope(message)
        if reply.phase is Phase.DATA and reply.code is not None and reply.code < _REFUSED:
            reply = self._body(message.wire)
        failure = self._rules.classify(reply)
        self._is_usable = is_intact and reply.code != _CLOSING
        self._needs_reset = failure is not None and reply.phase is not Phase.DOT
        self._served += 1
        self._used_at = time.monotonic()
        if failure is not None:
            if not self._is_usable:
                self._line.close()
            raise failure
        return reply

    def _envelope(self, message: Prepared) -> tuple[Reply, bool]:
        """Return the reply that decides, DATA's or the first refusal, and whether the line still stands."""
        commands = self._commands(message)
        answers: list[Reply] = []
        is_intact = True
        try:
            for reply in self._converse(commands):
                answers.append(reply)  # noqa: PERF402 - what came before a cut counts
        except Cut as cut:
            if not answers and self._served:
                raise _Stale from cut
            is_intact = False
            if not any(map(_is_refused, answers)):
                raise network(commands[len(answers)][0], cut.reason) from cut
        # On a line used before, a 421 was said while it idled: the mail has not been judged yet.
        if self._served and answers[0].code == _CLOSING:
            raise _Stale
        refused = next(filter(_is_refused, answers), None)
        if refused is None:
            return answers[-1], is_intact
        return refused, is_intact and self._take_back(answers)

    def _commands(self, message: Prepared) -> list[tuple[Phase, bytes]]:
        size = f" SIZE={len(message.wire)}" if self._features.has_size else ""
        is_ascii = message.to.isascii()
        of_mail, of_rcpt = ("" if is_ascii else " SMTPUTF8", "")
        if message.outgoing.notify and self._features.has_dsn:
            of_mail += f" RET=HDRS ENVID={message.outgoing.id.hex}"
            original = f" ORCPT=rfc822;{xtext(message.to)}" if is_ascii else ""
            of_rcpt = f" NOTIFY=FAILURE,DELAY{original}"
        commands = [
            (Phase.MAIL, f"MAIL FROM:<{message.sender}>{size}{of_mail}\r\n".encode()),
            (Phase.RCPT, f"RCPT TO:<{message.to}>{of_rcpt}\r\n".encode()),
            (Phase.DATA, b"DATA\r\n"),
        ]
        # A refused transaction stays open until RSET; MAIL within it is 503 (RFC 5321 §4.1.4).
        return [(Phase.MAIL, b"RSET\r\n"), *commands] if self._needs_reset else commands

    def _converse(self, commands: list[tuple[Phase, bytes]]) -> Iterator[Reply]:
        deadline = time.monotonic() + self._settings.command_seconds
        is_pipelining = self._features.is_pipelining
        if is_pipelining:
            self._line.write(b"".join(command for _, command in commands), deadline)
        for phase, command in commands:
            if not is_pipelining:
                self._line.write(command, deadline)
            reply = self._line.read_reply(phase, deadline)
            if not _is_refused(reply) and reply.code not in _EXPECTED[phase]:
                raise not_smtp(phase)
            yield reply
            if reply.code == _CLOSING or (_is_refused(reply) and not is_pipelining):
                return

    def _take_back(self, answers: list[Reply]) -> bool:
        """End a DATA that was let in although the envelope was refused; return whether the line stands."""
        if answers[-1].phase is not Phase.DATA or _is_refused(answers[-1]):
            return True
        # RFC 2920 §3.1 wants a lone dot. Only without a recipient is it sure to deliver nothing.
        if not any(_is_refused(reply) for reply in answers if reply.phase is Phase.RCPT):
            return False
        deadline = time.monotonic() + self._settings.command_seconds
        try:
            self._line.write(_DOT, deadline)
            self._line.read_reply(Phase.DATA, deadline)
        except Exception:  # noqa: BLE001 - the refusal is the outcome, whatever becomes of the line
            return False
        return True

    def _body(self, wire: bytes) -> Reply:
        body = dot_stuffed(wire)
        try:
            self._line.write(body, time.monotonic() + self._settings.data_seconds)
        except Cut as cut:
            if cut.written > len(body) - len(_DOT):
                raise unknown(cut.reason) from cut
            return self._late_reply(cut)
        try:
            reply = self._line.read_reply(Phase.DOT, time.monotonic() + self._settings.dot_seconds)
        except Cut as cut:
            raise unknown(cut.reason) from cut
        if 300 <= (reply.code or 0) < _REFUSED:  # noqa: PLR2004 - no intermediate reply may follow the dot
            raise unknown("protocol")
        return reply

    def _late_reply(self, cut: Cut) -> Reply:
        """Return why the server stopped reading, if it said so before it hung up."""
        try:
            reply = self._line.read_reply(Phase.DATA, time.monotonic() + _LATE_REPLY_SECONDS)
        except Exception:  # noqa: BLE001 - nothing to be learned
            raise network(Phase.DATA, cut.reason) from cut
        if not _is_refused(reply):
            raise network(Phase.DATA, cut.reason) from cut
        return reply


def dot_stuffed(wire: bytes) -> bytes:
    """Return the mail as DATA wants it: leading dots doubled, the final dot behind (RFC 5321 §4.5.2)."""
    body = wire.replace(b"\r\n.", b"\r\n..")
    return b"".join((b"." if body.startswith(b".") else b"", body, _DOT))


def xtext(address: str) -> str:
    """Return an address as a parameter may hold it (RFC 3461 §4): ``+``, ``=`` and what is not plain as ``+XX``."""
    return re.sub(r"[^!-*,-<>-~]", lambda found: f"+{ord(found[0]):02X}", address)


def remote_id(text: str) -> str | None:
    """Return the id the server gave the mail, where its answer tells one."""
    match = _REMOTE_ID.search(text)
    return match[match.lastgroup] if match and match.lastgroup else None


def _is_refused(reply: Reply) -> bool:
    return reply.code is None or reply.code >= _REFUSED
