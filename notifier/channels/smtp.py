"""Email over SMTP: a relay's settings become a channel.

Writes mails and opens sessions; holds no connection and never decides about retries.
"""

from datetime import datetime

from notifier.channels.base import Prepared, Session, refuse_locally
from notifier.channels.mail_writing import refusal
from notifier.channels.smtp_relay import SmtpRelay
from notifier.channels.smtp_session import SmtpSession
from notifier.clock import Clock, SystemClock
from notifier.delivery.replies import ReplyRules
from notifier.errors import Fault
from notifier.messages import ChannelName, Outgoing
from notifier.mime import HeaderError, Signer, serialize, validate_address

__all__ = ["SmtpChannel", "SmtpRelay"]

_QUIT_SECONDS = 2.0


class SmtpChannel:
    """Email through one relay."""

    name = ChannelName.EMAIL

    def __init__(
        self,
        relay: SmtpRelay,
        clock: Clock | None = None,
        *,
        signer: Signer | None = None,
        rules: ReplyRules | None = None,
    ) -> None:
        self._settings = relay
        self._clock = clock or SystemClock()
        self._signer, self._rules = signer, rules
        self._context = None if relay.security == "none" else relay.tls_context()

    @property
    def relay(self) -> str:
        """The relay's name."""
        return self._settings.name

    @property
    def connections(self) -> int:
        """How many connections one process may hold open."""
        return self._settings.connections

    @property
    def phase_seconds(self) -> float:
        """The sum of a send's deadlines, with one stale connection and the log-in that replaces it."""
        relay = self._settings
        login = _QUIT_SECONDS + relay.connect_seconds + relay.login_seconds
        # Twice for the stale line and the new one, once for a DATA that must be taken back.
        envelope = 3 * relay.command_seconds
        return login + envelope + relay.data_seconds + relay.dot_seconds

    @property
    def is_encrypted(self) -> bool:
        """Say whether the relay is spoken to over TLS only."""
        return self._settings.security != "none"

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the mail and its envelope, and sign it: from here on not one byte of it may change.

        Raises:
            PermanentFailure: a header or address cannot be written, or TLS is required and not configured.
            TemporaryFailure: our own sender or reply address cannot be written.
        """
        if message.is_tls_required and not self.is_encrypted:
            raise refuse_locally(
                "tls-required", Fault.TLS, f"{self.relay} has no TLS, which this mail requires"
            )
        path = message.return_path or self._settings.envelope_from or message.sender
        now = self._clock.now()
        try:
            return Prepared(
                outgoing=message,
                wire=self._signed(serialize(message, date=now, is_utf8_taken=True), message.sender, now),
                to=validate_address(message.to, "To", is_utf8_taken=True),
                sender=validate_address(path, "From"),
            )
        except HeaderError as error:
            raise refusal(error) from error

    def open(self) -> Session:
        """Connect and log in.

        Raises:
            TemporaryFailure: the relay is away, or its TLS is not what we demand.
            PermanentFailure: it does not accept our credentials.
        """
        return SmtpSession(self._settings, self._context, self._rules)

    def _signed(self, wire: bytes, sender: str, now: datetime) -> bytes:
        if self._signer is None:
            return wire
        sender = validate_address(sender, "From")
        return self._signer.sign(wire, sender=sender, at=now, rewritten=self._settings.rewritten)
