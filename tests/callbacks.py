"""Callbacks as the providers make them, signed with keys of the test's own; payloads after their documentation."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from notifier.inbound.callbacks import twilio_signature, vonage_signature
from notifier.inbound.callbacks.base import Callback

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:ses-events"
CERTIFICATE_URL = (
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-01d088a6f77103d0fe307c0069e40ed6.pem"
)
SUBSCRIBE_URL = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=y"
SES_ID = "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000"


def callback(body: bytes | str, *, url: str = "https://notifier.example.com/callbacks/x", at: datetime = NOW,
             **headers: str) -> Callback:  # fmt: skip
    """Return a request; headers with underscores for dashes."""
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Callback(url=url, headers=named, body=body.encode() if isinstance(body, str) else body, at=at)


@dataclass
class SnsSigner:
    """A certificate of SNS's kind, and what it signs (sns-verify-signature-of-message.html)."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        """Make the certificate."""
        self.certificate = certificate(self.key)

    @property
    def pem(self) -> bytes:
        """The file that SNS serves."""
        return self.certificate.public_bytes(Encoding.PEM)

    def message(
        self, event: Any, *, version: str = "1", at: datetime = NOW, **fields: str | None
    ) -> dict[str, Any]:
        """Return a message of SNS; ``event`` is JSON or a text, a field of None is left out."""
        made: dict[str, Any] = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": event if isinstance(event, str) else json.dumps(event),
            "Timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE_URL,
            **fields,
        }
        made = {name: value for name, value in made.items() if value is not None}
        return made | {"Signature": self.signature(made)}

    def confirmation(self, **fields: str) -> dict[str, Any]:
        """Return what SNS asks of a new subscriber."""
        asked = {"Type": "SubscriptionConfirmation", "Token": "2336412f37", "SubscribeURL": SUBSCRIBE_URL}
        return self.message("You have chosen to subscribe to the topic.", **asked | fields)

    def signature(self, message: Mapping[str, Any]) -> str:
        """Sign."""
        is_plain = message["Type"] == "Notification"
        names = ["Message", "MessageId", *(["Subject"] if is_plain else ["SubscribeURL"]), "Timestamp"]
        names += [*([] if is_plain else ["Token"]), "TopicArn", "Type"]
        text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        hash_ = SHA256() if message["SignatureVersion"] == "2" else SHA1()  # noqa: S303 - SNS's first version
        return base64.b64encode(self.key.sign(text.encode(), PKCS1v15(), hash_)).decode()


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, start: datetime = NOW, days: int = 365
) -> x509.Certificate:
    """Return a certificate that a CA of the test's own issued."""
    issuer = rsa.generate_private_key(65537, 2048)
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in ("sns.amazonaws.com", "Test CA")
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + timedelta(days=days))
        .sign(issuer, SHA256())
    )


def ses_event(kind: str, about: Mapping[str, Any], *, name: str | None = None, **mail: Any) -> dict[str, Any]:
    """Return an event as event publishing has it (event-publishing-retrieving-sns-examples.html)."""
    return {
        "eventType": kind,
        name or kind.lower(): about,
        "mail": {
            "timestamp": "2026-05-04T11:58:00.000Z",
            "source": "Shop <sender@example.com>",
            "sendingAccountId": "123456789012",
            "messageId": SES_ID,
            "destination": ["recipient@example.com"],
            "headersTruncated": False,
            "headers": [{"name": "Message-ID", "value": "<a.b@shop.example>"}],
            "commonHeaders": {"messageId": SES_ID},
            "tags": {"ses:configuration-set": ["ConfigSet"]},
            **mail,
        },
    }


def ses_bounce(kind: str, subtype: str, *recipients: Mapping[str, str], **mail: Any) -> dict[str, Any]:
    """Return a bounce."""
    about = {
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": list(recipients or [{"emailAddress": "recipient@example.com"}]),
        "timestamp": "2026-05-04T11:59:02.669Z",
        "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
    }
    return ses_event("Bounce", about, **mail)


def mailgun(key: str, event: Mapping[str, Any], *, at: datetime = NOW, token: str = "ae4a" * 12) -> bytes:
    """Return a webhook's body (securing-webhooks)."""
    timestamp = str(int(at.timestamp()))
    signature = hmac.new(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    signed = {"timestamp": timestamp, "token": token, "signature": signature}
    made = {
        "id": "CPgfbmQMTCKtHW6uIWtuVe",
        "timestamp": at.timestamp() - 3.25,
        "recipient": "alice@example.com",
        "message": {"headers": {"message-id": "a.b@shop.example", "to": "Alice <alice@example.com>"}},
        "user-variables": {},
        **event,
    }
    return json.dumps({"signature": signed, "event-data": made}).encode()


def postmark(record: str, **fields: Any) -> bytes:
    """Return a webhook's body (developer/webhooks/bounce-webhook and its neighbours)."""
    made = {
        "RecordType": record,
        "MessageStream": "outbound",
        "ServerID": 23,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Metadata": {},
        **fields,
    }
    return json.dumps(made).encode()


def basic(user: str, password: str) -> str:
    """Return the header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def twilio(token: str, *, url: str = "https://notifier.example.com/callbacks/sms", **fields: str) -> Callback:
    """Return a status callback (track-outbound-message-status)."""
    form = {
        "MessageSid": "SM1234567890abcdef1234567890abcdef",
        "AccountSid": "AC123",
        "From": "+15005550006",
        "To": "+4915550001",
        "ApiVersion": "2010-04-01",
        **fields,
    }
    signature = twilio_signature.sign(token, url, list(form.items()))
    return callback(urlencode(form), url=url, x_twilio_signature=signature)


def vonage(secret: str, method: str = "sha256", *, at: datetime = NOW, **fields: str) -> dict[str, str]:
    """Return a signed delivery receipt (delivery-receipts, signing-messages)."""
    made = {
        "msisdn": "447700900000",
        "to": "AcmeInc",
        "network-code": "12345",
        "messageId": "0A0000001234567B",
        "price": "0.03330000",
        "status": "delivered",
        "scts": "2001011400",
        "err-code": "0",
        "api-key": "abcd1234",
        "message-timestamp": "2026-05-04 11:59:30",
        "timestamp": str(int(at.timestamp())),
        "nonce": "a1b2&c3=d4",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return made | {"sig": vonage_signature.sign(made, secret, method)}


def vonage_token(
    secret: str, body: bytes, *, at: datetime = NOW, algorithm: str = "HS256", **claims: Any
) -> str:
    """Return the header of a signed webhook (webhooks#decoding-signed-webhooks)."""
    made = {
        "iat": int(at.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
        **claims,
    }
    return "Bearer " + jwt.encode(made, secret, algorithm=algorithm)
