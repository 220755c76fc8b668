"""Write a mail for a provider: our own MIME with its envelope, or the failure of one that cannot be written.

Never connects to anything.
"""

from dataclasses import dataclass

from notifier.channels.base import Prepared, refuse_locally
from notifier.clock import Clock
from notifier.errors import Fault, Phase, Reply, SendError, TemporaryFailure
from notifier.messages import Outgoing
from notifier.mime import HeaderError, Signer, serialize, validate_address

SES_REWRITTEN = frozenset({"date", "message-id", "return-path"})
"""What Amazon SES writes anew: docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim-manual.html."""

_OURS = frozenset({"From", "Reply-To"})
_ADDRESSES = {"To": "address", "From": "sender address", "Reply-To": "reply address"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailWriter:
    """Writes mails for a provider that takes MIME as it is."""

    clock: Clock
    signer: Signer | None = None
    """Adds the DKIM signatures; last of all."""
    rewritten: frozenset[str] = frozenset()
    """Headers, in lower case, that the provider writes anew: a signature must leave them out."""
    max_bytes: int
    """The largest request the provider takes; base64 makes four bytes of three."""

    def write(self, message: Outgoing) -> Prepared:
        """Write the mail and its envelope.

        Raises:
            PermanentFailure: a header or address cannot be written, or the mail is too large.
            TemporaryFailure: our own sender or reply address cannot be written.
        """
        try:
            to, sender = validate_address(message.to, "To"), validate_address(message.sender, "From")
            now = self.clock.now()
            wire = serialize(message, date=now)
        except HeaderError as error:
            raise refusal(error) from error
        if self.signer is not None:
            wire = self.signer.sign(wire, sender=sender, at=now, rewritten=self.rewritten)
        if len(wire) * 4 // 3 > self.max_bytes:
            raise too_large(self.max_bytes)
        return Prepared(outgoing=message, wire=wire, to=to, sender=sender)


def refusal(error: HeaderError) -> SendError:
    """Return the failure of a mail with a header that cannot be written."""
    fault = Fault.RECIPIENT if error.field == "To" else Fault.CONTENT
    # The problem names the rule, never the value.
    reason = f"{_ADDRESSES.get(error.field, error.field)}: {error.problem}"
    if error.field in _OURS:  # a mistake in the configuration, which can be mended while the mail waits
        reply = Reply(phase=Phase.LOCAL, text=str(error))
        return TemporaryFailure(str(error), fault=Fault.SENDER, reply=reply, reason=reason)
    return refuse_locally(reason, fault, str(error))


def too_large(most: int) -> SendError:
    """Return the failure of a mail that is larger than the provider takes."""
    return refuse_locally("too-large", Fault.CONTENT, f"the mail is larger than the provider's {most} bytes")
