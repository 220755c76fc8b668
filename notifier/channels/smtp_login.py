"""Come from nothing to a connection that takes MAIL: greeting, EHLO, TLS, AUTH.

Never falls back: TLS that was asked for is had, or there is no connection.
"""

import base64
import ssl
import time
from dataclasses import dataclass

from notifier.channels.smtp_connection import Connection, Cut, connect, network, not_smtp
from notifier.channels.smtp_relay import SmtpRelay
from notifier.delivery.replies import ReplyRules
from notifier.errors import Fault, PermanentFailure, Phase, Reply, TemporaryFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the server's EHLO offered."""

    keywords: frozenset[str]
    mechanisms: frozenset[str]
    size: int | None

    @property
    def is_pipelining(self) -> bool:
        """Say whether commands may be sent without waiting (RFC 2920)."""
        return "PIPELINING" in self.keywords

    @property
    def has_smtputf8(self) -> bool:
        """Say whether addresses need not be ASCII (RFC 6531)."""
        return "SMTPUTF8" in self.keywords

    @property
    def has_dsn(self) -> bool:
        """Say whether reports may be asked for (RFC 3461)."""
        return "DSN" in self.keywords

    @property
    def has_size(self) -> bool:
        """Say whether MAIL may name the size (RFC 1870)."""
        return "SIZE" in self.keywords


def log_in(
    relay: SmtpRelay, context: ssl.SSLContext | None, rules: ReplyRules
) -> tuple[Connection, Features]:
    """Open a connection that is ready for MAIL.

    Raises:
        TemporaryFailure: the server is away, or its TLS is not what we demand.
        PermanentFailure: it does not accept our credentials.
    """
    line = connect(relay.host, relay.port, time.monotonic() + relay.connect_seconds)
    try:
        return line, _Login(relay, line, time.monotonic() + relay.login_seconds, rules).run(context)
    except BaseException:
        line.close()
        raise


class _Login:
    """One log-in under one deadline."""

    def __init__(self, relay: SmtpRelay, line: Connection, deadline: float, rules: ReplyRules) -> None:
        self._relay, self._line, self._deadline, self._rules = relay, line, deadline, rules

    def run(self, context: ssl.SSLContext | None) -> Features:
        relay, line = self._relay, self._line
        if relay.security == "implicit" and context is not None:
            line.start_tls(context, relay.host, self._deadline)
        self._ask(None, Phase.GREETING)
        features = self._ehlo()
        if relay.security == "starttls" and context is not None:
            self._start_tls(features, context)
            # What was said before TLS may have been forged (RFC 3207 §4.2).
            features = self._ehlo()
        if relay.username is not None and relay.password is not None:
            self._authenticate(features, relay.username, relay.password)
        return features

    def _ehlo(self) -> Features:
        reply = self._ask(f"EHLO {self._relay.helo}", Phase.EHLO)
        return parse_features(reply.text)

    def _start_tls(self, features: Features, context: ssl.SSLContext) -> None:
        if "STARTTLS" not in features.keywords:
            raise _tls_failure(
                "starttls-not-offered", "the server does not offer STARTTLS, which is required"
            )
        self._ask("STARTTLS", Phase.TLS)
        # Plaintext behind the reply would be read as if it came through TLS (CVE-2011-0411).
        if self._line.has_leftover:
            raise _tls_failure("starttls-injection", "plaintext came after the server's answer to STARTTLS")
        self._line.start_tls(context, self._relay.host, self._deadline)

    def _authenticate(self, features: Features, username: str, password: str) -> None:
        if "PLAIN" in features.mechanisms:
            self._ask(f"AUTH PLAIN {_coded(f'{chr(0)}{username}{chr(0)}{password}')}", Phase.AUTH)
        elif "LOGIN" in features.mechanisms:
            self._ask("AUTH LOGIN", Phase.AUTH, expected=3)
            self._ask(_coded(username), Phase.AUTH, expected=3)
            self._ask(_coded(password), Phase.AUTH)
        else:
            raise PermanentFailure(
                "the server offers neither AUTH PLAIN nor AUTH LOGIN",
                fault=Fault.CREDENTIALS, reply=Reply(phase=Phase.AUTH), reason="auth-not-offered",
            )  # fmt: skip

    def _ask(self, command: str | None, phase: Phase, expected: int = 2) -> Reply:
        try:
            if command is not None:
                self._line.write(f"{command}\r\n".encode(), self._deadline)
            reply = self._line.read_reply(phase, self._deadline)
        except Cut as cut:
            raise network(phase, cut.reason) from cut
        failure = self._rules.classify(reply)
        if failure is not None:
            raise failure
        if reply.code is None or reply.code // 100 != expected:
            raise not_smtp(phase)
        return reply


def parse_features(text: str) -> Features:
    """Read the lines of an EHLO reply; the first is a greeting."""
    keywords, mechanisms, size = set[str](), set[str](), None
    for line in text.upper().split("\n")[1:]:
        keyword, *arguments = line.replace("=", " ", 1).split() or [""]
        keywords.add(keyword)
        if keyword == "AUTH":
            mechanisms.update(arguments)
        elif keyword == "SIZE" and arguments and arguments[0].isdigit():
            size = int(arguments[0]) or None
    return Features(keywords=frozenset(keywords), mechanisms=frozenset(mechanisms), size=size)


def _tls_failure(reason: str, problem: str) -> TemporaryFailure:
    return TemporaryFailure(problem, fault=Fault.TLS, reply=Reply(phase=Phase.TLS), reason=reason)


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
