"""The settings of one SMS gateway, refused where they could never work safely.

Values only: opens nothing, reads no environment.
"""

import re
from dataclasses import dataclass, field

from notifier.channels.provider import is_private_to_us, split_url
from notifier.errors import ConfigError

_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsProvider:
    """A gateway that speaks Twilio's API, and our account there."""

    name: str
    base_url: str = "https://api.twilio.com"
    account_sid: str
    auth_token: str = field(repr=False)
    sender: str
    connect_seconds: float = 5
    """For the connection, and again for its TLS."""
    read_seconds: float = 20
    """For each wait; with ``connect_seconds`` the deadline of a whole request, to its answer's last byte."""
    connections: int = 4
    status_callback: str = ""
    """Where the gateway tells what becomes of each message; empty = where its own settings say."""
    is_plain_http_allowed: bool = False
    """For a stand-in within one's own network; loopback never needs it."""

    def __post_init__(self) -> None:
        """Refuse what could never work, or would send the token in the clear."""
        url = split_url(self.base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise self._wrong("base_url", "must be an http or https URL")
        if not self.is_encrypted and not self.is_plain_http_allowed:
            raise self._wrong("base_url", "the token is never sent without TLS", "use https")
        if not _ACCOUNT.fullmatch(self.account_sid):
            raise self._wrong("account_sid", "must be letters and digits")
        if not self.sender:
            raise self._wrong("sender", "must be a number in E.164 or a sender name")

    @property
    def is_encrypted(self) -> bool:
        """Say whether nobody on the way can read along."""
        return is_private_to_us(self.base_url)

    def _wrong(self, field_name: str, problem: str, mend: str | None = None) -> ConfigError:
        return ConfigError(problem, field=f"sms.{field_name}", mend=mend)
