"""A signed JSON POST to an endpoint of the settings, after Standard Webhooks.

Where it goes is never taken from an event: the address on this channel is an endpoint's name.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
(headers, signature, secret, payload, 410).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal, Self
from uuid import UUID

import orjson
from pydantic import AfterValidator, Field, SecretStr, model_validator

from notifier.channels.base import Channel, Prepared, refuse_locally
from notifier.channels.http_channel import HttpChannel
from notifier.channels.http_dialect import BY_STATUS, Answer, Refused, Request, Taken, Verdict
from notifier.channels.meaning import AWAY, Meaning
from notifier.channels.provider import (
    Capabilities,
    Kind,
    ProviderSettings,
    Surroundings,
    check_url,
    is_private_to_us,
)
from notifier.clock import Clock
from notifier.documents import Strict
from notifier.errors import Fault
from notifier.forms import wrong
from notifier.messages import ChannelName, Outgoing

_PREFIX = "whsec_"
# The specification's bounds, in bytes.
_SHORTEST, _LONGEST = 24, 64
MAX_BYTES = 1_000_000

_BY_STATUS: dict[int, Meaning] = {
    HTTPStatus.UNAUTHORIZED: BY_STATUS[401],
    HTTPStatus.FORBIDDEN: BY_STATUS[403],
    # The endpoint's owner wants no more of it.
    HTTPStatus.GONE: Meaning(Fault.RECIPIENT, "gone", is_hard=True),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Meaning(Fault.CONTENT, "too-long"),
    HTTPStatus.TOO_MANY_REQUESTS: BY_STATUS[429],
}


def _signing_key(value: SecretStr) -> SecretStr:
    try:
        length = len(_key(value))
    except (ValueError, binascii.Error):
        length = 0
    if not _SHORTEST <= length <= _LONGEST:
        raise wrong(
            f"must be {_PREFIX} and {_SHORTEST} to {_LONGEST} bytes in base64",
            "make one with: echo whsec_$(openssl rand -base64 32)",
        )
    return value


def _key(value: SecretStr) -> bytes:
    return base64.b64decode(value.get_secret_value().removeprefix(_PREFIX), validate=True)


SigningKey = Annotated[SecretStr, AfterValidator(_signing_key)]


class Endpoint(Strict):
    """Where a POST may go, and what it is signed with."""

    url: str
    secret: SigningKey
    old_secret: SigningKey | None = None
    """Signs as well, while the receiver changes over."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_url(self.url.partition("?")[0], is_plain_allowed=False)
        return self


class Webhook(ProviderSettings):
    """Endpoints of ours or of others that take notifications."""

    kind: Literal["webhook"]
    endpoints: Mapping[str, Endpoint] = Field(min_length=1)
    """By the name that a recipient's ``endpoint`` gives."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.base_url or self.plain_http_allowed:
            raise wrong("each endpoint has its url, always with https", "remove base_url, plain_http_allowed")
        return self

    @property
    def is_encrypted(self) -> bool:
        """Say whether every endpoint is reached over TLS, or on this machine."""
        return all(is_private_to_us(one.url) for one in self.endpoints.values())


class WebhookDialect:
    """One JSON object a message, signed when it is sent."""

    def __init__(self, settings: Webhook, clock: Clock) -> None:
        self._endpoints = settings.endpoints
        self._clock = clock
        self._keys = {
            name: [_key(one) for one in (endpoint.secret, endpoint.old_secret) if one is not None]
            for name, endpoint in settings.endpoints.items()
        }

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the JSON: the same bytes at every try."""
        if message.to not in self._endpoints:
            raise refuse_locally(
                "unknown-endpoint", Fault.RECIPIENT, "To: no endpoint of the settings has this name"
            )
        content = message.content
        wire = orjson.dumps(
            {
                "type": message.type,
                "timestamp": _minted(message.id).isoformat(),
                "data": {
                    "id": str(message.id),
                    "tenant": message.tenant,
                    "subject": content.subject,
                    "text": content.text,
                    "locale": message.locale,
                },
            }
        )
        if len(wire) > MAX_BYTES:
            raise refuse_locally("too-large", Fault.CONTENT, f"the JSON is larger than {MAX_BYTES} bytes")
        return Prepared(outgoing=message, wire=wire, to=message.to)

    def request(self, message: Prepared) -> Request:
        """Sign ``id.timestamp.body``; the id is the message's, so that a receiver drops a second copy."""
        said = f"{message.outgoing.id}.{int(self._clock.now().timestamp())}"
        name, _, moment = said.partition(".")
        signed = said.encode() + b"." + message.wire
        signatures = " ".join(f"v1,{_sign(key, signed)}" for key in self._keys[message.to])
        headers = (
            ("Content-Type", "application/json"),
            ("webhook-id", name),
            ("webhook-timestamp", moment),
            ("webhook-signature", signatures),
        )
        return Request(url=self._endpoints[message.to].url, headers=headers, body=message.wire)

    def judge(self, answer: Answer) -> Verdict | None:
        """Read the status alone: any 2xx is a yes, and what is not in the table may be so later."""
        if answer.is_success:
            return Taken(remote_id=None)
        return Refused(meaning=_BY_STATUS.get(answer.status, AWAY))


def _sign(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _minted(message: UUID) -> datetime:
    """Return when a message came to be: the first 48 bits of UUIDv7 are milliseconds (RFC 9562 §5.7)."""
    return datetime.fromtimestamp((message.int >> 80) / 1000, UTC)


def _build(name: str, settings: Webhook, around: Surroundings) -> Channel:
    return HttpChannel(name, ChannelName.WEBHOOK, settings, WebhookDialect(settings, around.clock))


KIND = Kind(
    settings=Webhook,
    build=_build,
    capabilities=Capabilities(
        channel=ChannelName.WEBHOOK,
        has_idempotency_key=True,
        max_bytes=MAX_BYTES,
        cannot=("send receipts: 2xx is all that becomes known", "carry attachments or HTML"),
        documentation=(
            "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        ),
    ),
)
