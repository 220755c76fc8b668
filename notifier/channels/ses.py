"""Email over Amazon SES, API version 2: our own MIME in one signed POST.

SES writes Date and Message-ID anew, so its own MessageId and our tag are what a receipt is matched by.

Sources: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html (request, answer, errors),
https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html,
https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html (texts of MessageRejected),
https://docs.aws.amazon.com/ses/latest/dg/send-email-raw.html (headers it replaces),
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html (signature).
"""

import base64
from http import HTTPStatus
from typing import Literal, Self

import orjson
from pydantic import Field, SecretStr, model_validator

from notifier.channels.aws_credentials import Keys, MachineKeys, OwnKeys, signed
from notifier.channels.base import Channel, Prepared
from notifier.channels.http_channel import HttpChannel
from notifier.channels.http_dialect import Answer, Refused, Request, Taken, Verdict
from notifier.channels.inquiry import Inquiry, Seen, refused
from notifier.channels.mail_writing import SES_REWRITTEN, MailWriter
from notifier.channels.meaning import AWAY, CREDENTIALS, RATE, Meaning
from notifier.channels.provider import Capabilities, Kind, ProviderSettings, Surroundings, reference, secret
from notifier.errors import ConfigError, Fault, SendError
from notifier.forms import wrong
from notifier.messages import ChannelName, Outgoing

TAG = "notifier-message"
"""The tag that carries our message id with its MAC; events quote it."""
MAX_BYTES = 40_000_000
_PATH = "/v2/email/outbound-emails"

_NOT_VERIFIED = Meaning(Fault.SENDER, "sender-not-verified", is_account=True)
_PAUSED = Meaning(Fault.SENDER, "sending-paused", is_temporary=True, is_account=True)

MEANINGS: dict[str, Meaning] = {
    "TooManyRequestsException": RATE,
    "LimitExceededException": RATE,
    "ThrottlingException": RATE,
    "Throttling": RATE,
    "MessageRejected": Meaning(Fault.CONTENT, "rejected"),
    "BadRequestException": Meaning(Fault.CONTENT, "bad-request"),
    "MailFromDomainNotVerifiedException": Meaning(Fault.SENDER, "sender-not-verified", is_account=True),
    "AccountSuspendedException": Meaning(Fault.SENDER, "account-suspended", is_account=True),
    "SendingPausedException": _PAUSED,
    # The configuration set, or the identity.
    "NotFoundException": Meaning(Fault.SENDER, "not-found", is_account=True),
    "AccessDeniedException": Meaning(Fault.CREDENTIALS, "forbidden"),
    "ExpiredTokenException": Meaning(Fault.CREDENTIALS, "token-expired"),
    "IncompleteSignature": CREDENTIALS,
    "InvalidSignatureException": CREDENTIALS,
    "MissingAuthenticationTokenException": CREDENTIALS,
    "NotAuthorized": Meaning(Fault.CREDENTIALS, "forbidden"),
    "OptInRequired": Meaning(Fault.CREDENTIALS, "account-inactive"),
    "RequestExpired": Meaning(Fault.CREDENTIALS, "clock"),
    "SignatureDoesNotMatch": CREDENTIALS,
    "UnrecognizedClientException": CREDENTIALS,
    "InternalFailure": AWAY,
    "InternalServiceErrorException": AWAY,
    "ServiceUnavailable": AWAY,
}
_REJECTED: tuple[tuple[str, Meaning], ...] = (
    # In the sandbox a recipient too must be verified: that is our account's state, not the recipient's fault.
    ("is not verified", _NOT_VERIFIED),
    ("sending paused", _PAUSED),
    ("sending suspended", Meaning(Fault.SENDER, "account-suspended", is_account=True)),
)
"""Of MessageRejected, whose text alone says who is at fault."""

_UNASKED = frozenset({"AccessDeniedException", "AccessDenied", "NotAuthorized"})
"""The signature was good, and the policy of the key or role does not allow it."""
_NEAR = 0.9
"""So much of a day's quota used is told."""


class Ses(ProviderSettings):
    """An account at Amazon SES, in one region."""

    kind: Literal["ses"]
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    access_key_id: str | None = Field(default=None, min_length=1)
    secret_access_key: SecretStr | None = Field(default=None, min_length=1)
    session_token: SecretStr | None = None
    """Without keys those of the machine's role sign."""
    configuration_set: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Where events are published from; without one there are no receipts."""
    topic_arns: tuple[str, ...] = ()
    """The SNS topics whose callbacks are ours."""

    @model_validator(mode="after")
    def _has_both_keys(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise wrong(
                "access_key_id and secret_access_key belong together",
                "set both, or neither: then the role of the machine signs",
            )
        if self.session_token is not None and self.access_key_id is None:
            raise wrong("session_token is of no use without keys", "set access_key_id and secret_access_key")
        return self

    def url(self, path: str) -> str:
        """Return the address of a part of the API."""
        base = self.base_url or f"https://email.{self.region}.amazonaws.com"
        return base.rstrip("/") + path

    def keys(self) -> Keys:
        """Return where the keys come from; asks nobody yet."""
        if self.access_key_id is None:
            return MachineKeys(self.region)
        return OwnKeys(self.access_key_id, secret(self.secret_access_key), secret(self.session_token) or None)


class SesDialect:
    """SendEmail with raw content."""

    def __init__(self, settings: Ses, around: Surroundings) -> None:
        self._writer = MailWriter(
            clock=around.clock, signer=around.signer, rewritten=SES_REWRITTEN, max_bytes=MAX_BYTES
        )
        self._settings, self._url = settings, settings.url(_PATH)
        self._keys = settings.keys()

    def get_ready(self) -> None:
        """Have keys at hand that are good for a while: fetching them may take seconds.

        Raises:
            SendError: there are none, or not right now.
        """
        self._keys.current()

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the mail."""
        return self._writer.write(message)

    def request(self, message: Prepared) -> Request:
        """Return the signed request; a signature is good for minutes only."""
        wanted = {
            "Destination": {"ToAddresses": [message.to]},
            "Content": {"Raw": {"Data": base64.b64encode(message.wire).decode()}},
            "EmailTags": [{"Name": TAG, "Value": reference(message.outgoing)}],
        }
        if self._settings.configuration_set:
            wanted["ConfigurationSetName"] = self._settings.configuration_set
        body = orjson.dumps(wanted)
        headers = signed(
            self._keys, service="ses", region=self._settings.region, method="POST", url=self._url, body=body
        )
        return Request(url=self._url, headers=headers, body=body)

    def judge(self, answer: Answer) -> Verdict | None:
        """Read a message id, or an exception's name."""
        said = answer.json()
        if answer.is_success:
            remote_id = said.get("MessageId")
            return Taken(remote_id=remote_id) if isinstance(remote_id, str) and remote_id else None
        name = _name_of(answer)
        text = str(said.get("message") or said.get("Message") or "")
        meaning = MEANINGS.get(name)
        if meaning is None:
            return None
        if name == "ExpiredTokenException":
            self._keys.forget()
        if name == "MessageRejected":
            words = text.casefold()
            meaning = next((found for part, found in _REJECTED if part in words), meaning)
        return Refused(meaning=meaning, code=name, text=text)


def _name_of(answer: Answer) -> str:
    """Return an exception's name."""
    # "MessageRejected:http://…" in the header, "com.amazonaws…#MessageRejected" in the body.
    name = answer.header("x-amzn-errortype").partition(":")[0] or str(answer.json().get("__type") or "")
    return name.rpartition("#")[2]


def _build(name: str, settings: Ses, around: Surroundings) -> Channel:
    dialect = SesDialect(settings, around)
    return HttpChannel(name, ChannelName.EMAIL, settings, dialect, get_ready=dialect.get_ready)


def _check(name: str, settings: Ses) -> None:
    """Refuse settings without keys on a machine without a role."""
    try:
        settings.keys().current()
    except SendError as error:
        raise ConfigError(
            str(error),
            field=f"providers.{name}.access_key_id",
            mend="set access_key_id and secret_access_key, or give this machine a role that may ses:SendEmail",
        ) from None


def _inquire(settings: Ses) -> Inquiry:
    """Ask GetAccount: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html."""
    url = settings.url("/v2/email/account")
    headers = signed(settings.keys(), service="ses", region=settings.region, method="GET", url=url)
    return Inquiry(request=Request(url=url, headers=headers, body=b""), judge=_account)


def _account(answer: Answer) -> Seen:
    if answer.status == HTTPStatus.FORBIDDEN and _name_of(answer) in _UNASKED:
        mend = "allow it ses:GetAccount, or try it with a message"
        return Seen(level="warn", words="our key is known, and may not ask about the account", mend=mend)
    mend = "check region, access_key_id and secret_access_key, or the machine's role, and its clock"
    if found := refused(answer, mend):
        return found
    said = answer.json()
    if said.get("SendingEnabled") is False or said.get("EnforcementStatus") == "SHUTDOWN":
        return Seen(level="fail", words="sending is paused for the account", mend="see the console of SES")
    if said.get("ProductionAccessEnabled") is False:
        mend = "ask Amazon for production access"
        return Seen(level="warn", words="a sandbox: it sends to verified addresses only", mend=mend)
    words, is_near = _quota(said.get("SendQuota"))
    if said.get("EnforcementStatus") == "PROBATION":
        return Seen(
            level="warn", words=f"under review; {words}", mend="see the console of SES: bounces, complaints"
        )
    return (
        Seen(level="warn", words=words, mend="ask Amazon for more")
        if is_near
        else Seen(level="pass", words=words)
    )


def _quota(quota: object) -> tuple[str, bool]:
    """Return how much of a day's quota is used, in words, and whether that is nearly all."""
    said = quota if isinstance(quota, dict) else {}
    most, sent = said.get("Max24HourSend"), said.get("SentLast24Hours")
    if not isinstance(most, int | float) or not isinstance(sent, int | float) or most <= 0:
        return "sending is enabled", False
    return f"{sent:.0f} of {most:.0f} mails in 24 hours", sent >= most * _NEAR


KIND = Kind(
    settings=Ses,
    build=_build,
    check=_check,
    inquire=_inquire,
    capabilities=Capabilities(
        channel=ChannelName.EMAIL,
        receipts=("sent", "deferred", "delivered", "bounced", "rejected", "complained", "opened", "clicked"),
        has_raw_mime=True,
        has_own_signature=True,
        has_attachments=True,
        max_bytes=MAX_BYTES,
        cannot=(
            "keep our Date and Message-ID: our signature leaves them out",
            "recognise a message it was handed twice",
            "use our return path: bounces come by callback",
            "send receipts without a configuration set that publishes to SNS",
        ),
        documentation=(
            "https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html",
            "https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html",
            "https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html",
        ),
    ),
)
