"""Tell whether a message comes from our topic of Amazon SNS: the string that is signed, and its signature.

Fetches nothing: the certificate is handed in, and the URLs in a message are only judged by where they lead.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from notifier.inbound.callbacks.base import SKEW, Malformed, NotBelieved, Trust
from notifier.inbound.callbacks.fields import Fields

NOTIFICATION, CONFIRMATION = "Notification", "SubscriptionConfirmation"
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
# Version 1 is what a topic has until somebody sets SignatureVersion 2.
_HASHES = {"1": SHA1, "2": SHA256}
_HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+)+-\d{1,2}\.amazonaws\.com(?:\.cn)?")
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,64}\.pem")
_KEY_BITS = 2048
_MESSAGE = 262_144
"""Bytes an SNS message may have: https://docs.aws.amazon.com/general/latest/gr/sns.html."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An SNS message whose topic is ours and whose signature holds."""

    type: str
    id: str
    message: str
    subscribe_url: str


def open_envelope(body: bytes, trust: Trust, now: datetime) -> Envelope:
    """Return a message of SNS, once it is believed.

    The topic is looked at first, so that nothing is fetched for a stranger's, and the certificate's place before it is
    fetched.

    Raises:
        Malformed: it is no message of SNS.
        NotBelieved: not our topic, too old, from elsewhere, or changed.
        Unverifiable: the certificate cannot be had right now.
    """
    fields = Fields.parse(body)
    kind = fields.id("Type")
    if fields.text("TopicArn", _MESSAGE) not in trust.topics:
        raise NotBelieved("topic")
    if kind not in _SIGNED:
        raise Malformed("unknown", field="Type")
    _check_age(fields, trust, now)
    url = fields.text("SigningCertURL", _MESSAGE)
    check_certificate_url(url)
    if trust.certificate is None:
        raise NotBelieved("certificate")
    check_signature(fields, trust.certificate(url))
    return Envelope(
        type=kind,
        id=fields.id("MessageId"),
        message=fields.text("Message", _MESSAGE),
        subscribe_url=fields.text("SubscribeURL", _MESSAGE),
    )


def signed_text(fields: Fields) -> bytes:
    """Return what is signed: each name and value on a line of its own, in the order of the names.

    What a message does not have, such as the subject, is left out.
    """
    names = _SIGNED.get(fields.text("Type"), ())
    return "".join(f"{name}\n{fields.raw(name)}\n" for name in names if name in fields).encode(
        errors="surrogatepass"
    )


def check_signature(fields: Fields, certificate: Certificate) -> None:
    """Let through what the certificate's owner signed.

    Raises:
        NotBelieved: it is not.
    """
    hash_ = _HASHES.get(fields.text("SignatureVersion"))
    key = certificate.public_key()
    if hash_ is None or not isinstance(key, RSAPublicKey):
        raise NotBelieved("signature")
    try:
        signature = base64.b64decode(fields.text("Signature", _MESSAGE), validate=True)
        key.verify(signature, signed_text(fields), PKCS1v15(), hash_())
    except (InvalidSignature, binascii.Error, ValueError):
        raise NotBelieved("signature") from None


def check_certificate_url(url: str) -> None:
    """Let through only where SNS keeps its certificates: https, a host of its own, its own name of the file.

    Raises:
        NotBelieved: the URL leads elsewhere.
    """
    if not _is_sns(url) or not _CERTIFICATE_PATH.fullmatch(urlsplit(url).path) or urlsplit(url).query:
        raise NotBelieved("certificate_url")


def check_subscribe_url(url: str) -> None:
    """Let through only where SNS takes confirmations.

    Raises:
        NotBelieved: the URL leads elsewhere.
    """
    if not _is_sns(url) or urlsplit(url).path not in ("", "/"):
        raise NotBelieved("subscribe_url")


def read_certificate(pem: bytes, now: datetime) -> Certificate:
    """Read a certificate that may sign now.

    Its issuer is not checked here: that it is SNS's own follows from where it was read, over TLS.

    Raises:
        NotBelieved: it is none, not valid yet or any more, or its key is no RSA key of 2,048 bits or more.
    """
    try:
        certificate = load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except ValueError:
        raise NotBelieved("certificate") from None
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise NotBelieved("certificate")
    if not isinstance(key, RSAPublicKey) or key.key_size < _KEY_BITS:
        raise NotBelieved("certificate")
    return certificate


def _is_sns(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if url != url.strip() or "\\" in url or not url.isascii() or not url.isprintable():
        return False
    # The authority as a whole: no user, no port, nothing the parser might have let fall.
    return parts.scheme == "https" and port is None and _HOST.fullmatch(parts.netloc) is not None


def _check_age(fields: Fields, trust: Trust, now: datetime) -> None:
    long_ago = now - trust.window * 2
    at = fields.moment("Timestamp", long_ago)
    if not now - trust.window <= at <= now + SKEW:
        raise NotBelieved("stale")
