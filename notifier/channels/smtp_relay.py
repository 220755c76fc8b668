"""The settings of one SMTP relay, refused where they could never work safely.

Values only: opens nothing, reads no environment.
"""

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from notifier.errors import ConfigError
from notifier.mime import HeaderError, validate_address

Security = Literal["starttls", "implicit", "none"]

# RFC 5321 §4.1.1.1: a domain, or an address literal.
_HELO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[A-Za-z0-9.:]{2,60}\]")
_PORT_LIMIT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpRelay:
    """An SMTP server that takes our mail, and how we talk to it.

    The times are deadlines of whole phases, in seconds: a server that dribbles bytes gains nothing.
    """

    name: str
    host: str
    port: int = 587
    security: Security = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    is_verified: bool = True
    """Check the server's certificate; only a test or a lab has reason not to."""
    helo: str = "localhost"
    envelope_from: str | None = None
    """Where bounces go; the message's sender where unset."""
    rewritten: frozenset[str] = frozenset()
    """Headers, in lower case, that the relay writes anew: a signature must leave them out."""
    connect_seconds: float = 5
    login_seconds: float = 20
    """From greeting to AUTH."""
    command_seconds: float = 30
    """MAIL, RCPT and DATA together."""
    data_seconds: float = 60
    """Until the whole body is written."""
    dot_seconds: float = 60
    """RFC 5321 §4.5.3.2.6 allows servers 600; every second of it is a second of lease."""
    max_messages_per_connection: int = 100
    idle_seconds: float = 60
    connections: int = 8

    def __post_init__(self) -> None:
        """Refuse what could never work, or would send a password in the clear."""
        if not 0 < self.port <= _PORT_LIMIT:
            raise self._wrong("port", f"must be 1 to {_PORT_LIMIT}")
        if self.security not in {"starttls", "implicit", "none"}:
            raise self._wrong("security", "must be starttls, implicit or none")
        if (self.username is None) != (self.password is None):
            raise self._wrong("username", "username and password belong together")
        if self.username is not None and self.security == "none":
            raise self._wrong("security", "a password is never sent without TLS", "use starttls or implicit")
        if not _HELO.fullmatch(self.helo):
            raise self._wrong("helo", "must be a host name or an address in brackets")
        if self.envelope_from is not None:
            self._check_envelope(self.envelope_from)

    def tls_context(self) -> ssl.SSLContext:
        """Return what TLS must fulfil for this relay.

        Raises:
            ConfigError: the file of certificate authorities cannot be read.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise self._wrong("ca_file", "cannot be read as PEM certificates") from error
        if not self.is_verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _check_envelope(self, address: str) -> None:
        try:
            validate_address(address, "envelope_from")
        except HeaderError as error:
            raise self._wrong("envelope_from", error.problem) from error

    def _wrong(self, field_name: str, problem: str, mend: str | None = None) -> ConfigError:
        return ConfigError(problem, field=f"relays.{self.name}.{field_name}", mend=mend)
