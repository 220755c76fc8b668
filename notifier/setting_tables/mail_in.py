"""The door for what comes back by mail: where it listens, how much it takes.

Shapes only: it is opened by ``notifier.mailin``.
"""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from notifier.documents import Strict
from notifier.forms import Address, wrong
from notifier.setting_tables.values import Port, Wait


class ServerTls(Strict):
    """The certificate a server of ours shows."""

    cert_file: Path
    """In PEM: our certificate first, then those between it and an authority."""
    key_file: Path | None = None
    """Its private key in PEM; in ``cert_file`` where unset."""


class MailIn(Strict):
    """The door for bounces, complaints and answers that come back by mail."""

    protocol: Literal["lmtp", "smtp"] = "lmtp"
    """LMTP answers for each recipient; your MTA speaks it by ``lmtp:``."""
    host: str = "127.0.0.1"
    port: Port = 2424
    socket: Path | None = None
    """A Unix socket to listen on instead of host and port."""
    key: SecretStr | None = None
    """What return paths are checked with: ``notifier keys return-path`` prints it."""
    tls: ServerTls | None = None
    """Offers STARTTLS; renewed files are taken over while it runs."""
    require_tls: bool = False
    """Take no mail from who does not use it."""
    complaints: tuple[Address, ...] = ()
    """Where mailbox providers send complaints (feedback loops); taken besides return paths."""
    max_bytes: int = Field(default=10_485_760, ge=65_536)
    connections: int = Field(default=20, ge=1, le=1000)
    recipients: int = Field(default=20, ge=1, le=1000)
    """Of one mail; the MTA brings the rest of them again."""
    idle_timeout: Wait = timedelta(seconds=60)
    """From one command to the next, and from DATA to the final dot."""
    readers: int = Field(default=2, ge=1, le=64)
    """Processes that read mails; each holds one at a time."""
    read_timeout: Wait = timedelta(seconds=10)
    """Processor's time for one mail; three times as long by the clock."""
    read_memory: int = Field(default=536_870_912, ge=134_217_728)
    """Bytes one reader may use."""

    @field_validator("require_tls")
    @classmethod
    def _has_certificate(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's way
        # A certificate that is wrong itself is told of by itself.
        if value and "tls" in info.data and info.data["tls"] is None:
            raise wrong(
                "nobody could bring a mail: there is no certificate", "name one: mail_in.tls.cert_file"
            )
        return value
