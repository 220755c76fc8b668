"""SMS over Twilio as one of several providers; ``sms:`` of the settings is the same for a single one.

Source: https://www.twilio.com/docs/messaging/api/message-resource; its error codes: ``twilio_errors``.
"""

from typing import Literal

from pydantic import Field, SecretStr

from notifier.channels.base import Channel
from notifier.channels.provider import Capabilities, Kind, ProviderSettings, Surroundings, secret
from notifier.channels.sms import SmsChannel, SmsProvider
from notifier.messages import ChannelName


class Twilio(ProviderSettings):
    """An account at Twilio."""

    kind: Literal["twilio"]
    account_sid: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    auth_token: SecretStr
    """For requests, and what callbacks are signed with."""
    sender: str = Field(min_length=1)


def _build(name: str, settings: Twilio, around: Surroundings) -> Channel:
    patience = settings.patience
    return SmsChannel(
        SmsProvider(
            name=name,
            base_url=settings.base_url or "https://api.twilio.com",
            account_sid=settings.account_sid,
            auth_token=secret(settings.auth_token),
            sender=settings.sender,
            connect_seconds=patience.connect_seconds,
            read_seconds=patience.read_seconds,
            connections=settings.connections,
            status_callback=f"{around.callbacks}/{name}" if around.callbacks else "",
            is_plain_http_allowed=settings.plain_http_allowed,
        )
    )


KIND = Kind(
    settings=Twilio,
    build=_build,
    capabilities=Capabilities(
        channel=ChannelName.SMS,
        receipts=("sent", "deferred", "delivered", "bounced", "rejected"),
        cannot=(
            "recognise a message it was handed twice",
            "send receipts unless `public_url` says where",
        ),
        documentation=(
            "https://www.twilio.com/docs/messaging/api/message-resource",
            "https://www.twilio.com/docs/api/errors",
        ),
    ),
)
