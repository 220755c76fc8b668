"""Address a message: sender, headers and return path by its class, files from the event.

Writes no content; the channel writes the wire.
"""

from collections.abc import Mapping
from uuid import UUID

from notifier.crypto import Keyring
from notifier.messages import ChannelName, Outgoing, Rendered
from notifier.mime import class_headers
from notifier.pipeline.composing.attachments import fetch_files
from notifier.pipeline.composing.jobs import Job
from notifier.pipeline.composing.person_links import PersonWays
from notifier.setting_tables import Limits, Mail, Sender
from notifier.tokens import mint_message_id, mint_return_path


class Envelopes:
    """Addresses messages."""

    def __init__(self, keyring: Keyring, mail: Mail, limits: Limits) -> None:
        self._keyring, self._mail, self._limits = keyring, mail, limits

    def outgoing(
        self, job: Job, content: Rendered, locale: str, to: str, choice: PersonWays | None
    ) -> Outgoing:
        """Return the message as a channel takes it; ``choice``: how its reader may say what they want."""
        mail, row = self._mail, job.row
        is_email = job.channel is ChannelName.EMAIL
        own = mail.senders.get(job.entry.message_class) or Sender()
        sender = own.sender or mail.sender
        return Outgoing(
            id=row.message_id,
            channel=job.channel,
            tenant=row.tenant,
            to=to,
            to_name=job.recipient.name,
            sender=sender if is_email else "",
            sender_name=own.sender_name or mail.sender_name,
            reply_to=own.reply_to or mail.reply_to,
            content=content,
            message_id=mint_message_id(self._keyring.token_key, row.message_id, mail.domain),
            headers={
                **(self._class_headers(job, sender) if is_email else {}),
                **(choice.headers() if choice is not None else {}),
            },
            return_path=self._return_path(row.message_id) if is_email else "",
            notify=is_email and mail.envelope_sender is not None,
            files=fetch_files(job.event.attachments, self._limits) if is_email else (),
            is_tls_required=job.entry.is_tls_required,
            locale=locale,
            type=row.type,
        )

    def _return_path(self, message: UUID) -> str:
        mail = self._mail
        if mail.envelope_sender is None or not mail.verp:
            return ""
        return mint_return_path(self._keyring.return_path_key, message, mail.envelope_sender)

    def _class_headers(self, job: Job, sender: str) -> Mapping[str, str]:
        return class_headers(
            job.entry.message_class, type_name=job.row.type, tenant=job.row.tenant, sender=sender,
            sender_id=self._mail.feedback_id,
        )  # fmt: skip
