"""SMS over Twilio as one of several providers; ``sms:`` of the settings is the same for a single one.

Source: https://www.twilio.com/docs/messaging/api/message-resource; its error codes: ``twilio_errors``.
"""

import base64
from typing import Literal

from pydantic import Field, SecretStr

from notifier.channels.base import Channel
from notifier.channels.http_dialect import Answer, Request
from notifier.channels.inquiry import Inquiry, Seen, named, refused
from notifier.channels.provider import Capabilities, Kind, ProviderSettings, Surroundings, secret
from notifier.channels.sms import SmsChannel, SmsProvider
from notifier.messages import ChannelName

_BASE = "https://api.twilio.com"
_MESSAGES_ONLY = frozenset({404, 405, 501})
"""So gateways answer that speak only this part of the API."""


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
            base_url=settings.base_url or _BASE,
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


def _inquire(settings: Twilio) -> Inquiry:
    """Ask for the account: https://www.twilio.com/docs/iam/api/account."""
    base = (settings.base_url or _BASE).rstrip("/")
    token = base64.b64encode(f"{settings.account_sid}:{secret(settings.auth_token)}".encode()).decode()
    request = Request(
        url=f"{base}/2010-04-01/Accounts/{settings.account_sid}.json",
        headers=(("Authorization", f"Basic {token}"),),
        body=b"",
    )
    return Inquiry(request=request, judge=lambda answer: _account(answer, is_other=bool(settings.base_url)))


def _account(answer: Answer, *, is_other: bool) -> Seen:
    if is_other and answer.status in _MESSAGES_ONLY:
        return Seen(level="pass", words=f"answers {answer.status}: it speaks of messages only")
    if found := refused(answer, "check account_sid and auth_token"):
        return found
    said = answer.json()
    status = named(said, "status")
    if status and status != "active":
        return Seen(
            level="fail", words=f"the account is {status}", mend="see the account in Twilio's console"
        )
    if said.get("type") == "Trial":
        words = "a trial: it sends to verified numbers only"
        return Seen(level="warn", words=words, mend="upgrade the account")
    return Seen(level="pass", words="the account is active")


KIND = Kind(
    settings=Twilio,
    build=_build,
    inquire=_inquire,
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
