"""A stand-in for Amazon SES v2, for tests: SendEmail with a signature that is checked by hand.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from notifier.errors import Fault, PermanentFailure, TemporaryFailure
from tests.contracts.cases import Case, Refusal, Seen
from tests.contracts.http_server import Answer, HttpServer, Request, as_json
from tests.contracts.mails import TO, mail, parsed

KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


def error(status: int, name: str, message: str = "No.") -> Answer:
    """Return an answer as SES words its exceptions."""
    headers = {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/com.amazonaws/"}
    return Answer(status, json.dumps({"message": message}), headers)


@dataclass(frozen=True, slots=True)
class Sent:
    """One SendEmail: its JSON, and the mail in it."""

    wanted: dict  # type: ignore[type-arg]
    mail: bytes
    token: str | None
    """Of temporary credentials, where the signature covers it."""


class SesServer(HttpServer[Sent]):
    """Keeps what SendEmail was asked."""

    def __init__(self, *, port: int = 0, certificate: Path | None = None) -> None:
        self.secrets = {KEY: SECRET}
        """Access key → secret."""
        self.account: dict[str, Any] = {
            "EnforcementStatus": "HEALTHY", "ProductionAccessEnabled": True, "SendingEnabled": True,
            "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 120.0},
        }  # fmt: skip
        super().__init__(port=port, certificate=certificate)

    def tell(self, request: Request) -> Answer:
        """Answer GetAccount."""
        if (request.method, request.path) != ("GET", "/v2/email/account"):
            return error(404, "UnknownOperationException")
        if not _is_signed(request, self.secrets):
            return error(
                403, "InvalidSignatureException", "The request signature we calculated does not match"
            )
        return as_json(200, **self.account)

    def check(self, request: Request) -> Answer | None:
        """Demand path, signature and form."""
        if request.path != "/v2/email/outbound-emails":
            return error(404, "UnknownOperationException")
        if not _is_signed(request, self.secrets):
            return error(
                403, "InvalidSignatureException", "The request signature we calculated does not match"
            )
        wanted = json.loads(request.body)
        is_good = len(wanted["Destination"]["ToAddresses"]) == 1 and wanted["Content"].keys() == {"Raw"}
        tags = wanted["EmailTags"]
        is_good &= all(
            re.fullmatch(r"[A-Za-z0-9_-]{1,256}", one[key]) for one in tags for key in ("Name", "Value")
        )
        return None if is_good else error(400, "BadRequestException")

    def accept(self, kept: Sent) -> Answer:  # noqa: ARG002
        """Answer with a MessageId."""
        return as_json(200, MessageId=f"0102{next(self.numbers):016x}-000000")

    def read(self, request: Request) -> Sent:
        """Return the request and its mail."""
        wanted = json.loads(request.body)
        is_covered = "x-amz-security-token" in request.headers["authorization"]
        return Sent(
            wanted,
            base64.b64decode(wanted["Content"]["Raw"]["Data"], validate=True),
            request.headers.get("x-amz-security-token") if is_covered else None,
        )


def _is_signed(request: Request, secrets: Mapping[str, str]) -> bool:
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return False
    key, day, region, service, names, signature = found.groups()
    signed = names.split(";")
    if (
        key not in secrets
        or (region, service) != (REGION, "ses")
        or not {"host", "x-amz-date"} <= set(signed)
    ):
        return False
    lines = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in signed)
    body = hashlib.sha256(request.body).hexdigest()
    canonical = f"{request.method}\n{request.path}\n\n{lines}\n{names}\n{body}"
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{digest}"
    secret = f"AWS4{secrets[key]}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    return hmac.compare_digest(hmac.new(secret, text.encode(), "sha256").hexdigest(), signature)


def seen(sent: Sent) -> Seen:
    """Return what SES makes of it."""
    [tag] = sent.wanted["EmailTags"]
    assert tag["Name"] == "notifier-message"
    return parsed(sent.mail, to=sent.wanted["Destination"]["ToAddresses"][0], ours=UUID(tag["Value"]))


_UNVERIFIED = (
    "Email address is not verified. The following identities failed the check in region EU-WEST-1: x"
)

CASE = Case(
    server=SesServer,
    settings={"region": REGION, "access_key_id": KEY, "secret_access_key": SECRET},
    wrong_secret=lambda _: {"secret_access_key": "wrong-secret"},
    message=mail,
    seen=seen,
    gone=error(400, "MessageRejected", f"Address {TO} was rejected"),
    # It never says which: a dead address is a bounce, later.
    is_recipient_blamed=False,
    slow=Answer(429, "{}", {"x-amzn-ErrorType": "TooManyRequestsException", "Retry-After": "7"}),
    refusals=[
        Refusal(error(400, "MessageRejected"), PermanentFailure, Fault.CONTENT, "rejected"),
        Refusal(
            error(400, "MessageRejected", _UNVERIFIED), PermanentFailure, Fault.SENDER, "sender-not-verified",
            is_account=True,
        ),
        Refusal(
            error(400, "MailFromDomainNotVerifiedException"), PermanentFailure, Fault.SENDER,
            "sender-not-verified", is_account=True,
        ),
        Refusal(
            error(400, "AccountSuspendedException"), PermanentFailure, Fault.SENDER, "account-suspended",
            is_account=True,
        ),
        Refusal(
            error(400, "SendingPausedException"), TemporaryFailure, Fault.SENDER, "sending-paused",
            is_account=True,
        ),
        Refusal(error(400, "LimitExceededException"), TemporaryFailure, Fault.RATE, "rate-limited"),
        Refusal(error(400, "BadRequestException"), PermanentFailure, Fault.CONTENT, "bad-request"),
        Refusal(error(403, "ExpiredTokenException"), PermanentFailure, Fault.CREDENTIALS, "token-expired"),
        Refusal(error(404, "NotFoundException"), PermanentFailure, Fault.SENDER, "not-found", is_account=True),
        Refusal(error(500, "InternalFailure"), TemporaryFailure, Fault.PROVIDER, "provider"),
        Refusal(
            as_json(400, __type="com.amazonaws.services#TooManyRequestsException"), TemporaryFailure, Fault.RATE,
            "rate-limited",
        ),
        Refusal(error(400, "SomethingNewException"), PermanentFailure, Fault.PROVIDER, "provider"),
    ],
)  # fmt: skip
