"""Take mails over SMTP and treat each recipient as the table of behaviours says.

Listens on loopback unless told otherwise, relays nothing.
"""

import asyncio
import ssl

from aiosmtpd.smtp import SMTP, Envelope, Session

from notifier.embedded.catcher.behaviours import ACCEPTED, Behaviour, Behaviours
from notifier.embedded.catcher.mailbox import Mailbox

_LARGEST = 40 * 1024 * 1024


class Handler:
    """What aiosmtpd calls back."""

    def __init__(self, mailbox: Mailbox, behaviours: Behaviours) -> None:
        self._mailbox, self._behaviours = mailbox, behaviours

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        """Answer a recipient."""
        reply = await _act(server, self._behaviours.treat(address, "rcpt"))
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(rcpt_options)
        return reply

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer the final dot: one reply for all (RFC 5321 §3.3), so the first that misbehaves decides."""
        treated = [self._behaviours.treat(recipient, "dot") for recipient in envelope.rcpt_tos]
        odd = next((item for item in treated if item.is_cut or item.reply != ACCEPTED), None)
        if odd is None or odd.is_cut or odd.reply.startswith("2"):
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            self._mailbox.add(envelope.mail_from or "", tuple(envelope.rcpt_tos), content)
        delays = [item for item in treated if item.delay]
        return await _act(server, odd or (delays[0] if delays else Behaviour()))


async def serve(
    mailbox: Mailbox, behaviours: Behaviours, *, host: str, port: int, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Start to listen, offering STARTTLS where there is a context for it; returns the server."""
    handler = Handler(mailbox, behaviours)

    def protocol() -> SMTP:
        return SMTP(
            handler, hostname="catcher.localhost", data_size_limit=_LARGEST, enable_SMTPUTF8=True,
            tls_context=tls,
        )  # fmt: skip

    return await asyncio.get_running_loop().create_server(protocol, host, port)


async def _act(server: SMTP, behaviour: Behaviour) -> str:
    await asyncio.sleep(behaviour.delay.total_seconds())
    if behaviour.is_cut and isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()
    return behaviour.reply
