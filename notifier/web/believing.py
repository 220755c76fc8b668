"""Turn what an operator configured into the readers of callbacks: whose are believed, and by what.

A provider without a secret has no endpoint: nothing is believed for want of one.
"""

from collections.abc import Iterator

from pydantic import SecretStr

from notifier.bootstrap import Services
from notifier.channels.configured import SMS
from notifier.channels.provider import ProviderSettings
from notifier.inbound.callbacks.base import CallbackReader, Trust
from notifier.inbound.callbacks.registry import READERS
from notifier.logs import get_logger
from notifier.web.callbacks import CallbackDesk
from notifier.web.handover import Desk
from notifier.web.sns import Certificates, Fetch, confirm, fetch

log = get_logger("web")

_SECRETS = ("webhook_signing_key", "signature_secret", "auth_token", "webhook_secret")
"""What the settings of the kinds call what signs callbacks."""


def callback_desk(services: Services, desk: Desk, *, fetch: Fetch = fetch) -> CallbackDesk:
    """Make what takes callbacks in.

    Args:
        services: Whose settings say which providers there are.
        desk: Where receipts go.
        fetch: Reads a page of SNS.
    """
    certificates = Certificates(services.clock, fetch)
    return CallbackDesk(
        desk,
        dict(_readers(services, certificates)),
        confirm=lambda url: confirm(url, fetch),
        public_url=(services.settings.public_url or "").rstrip("/"),
        clock=services.clock,
    )


def _readers(services: Services, certificates: Certificates) -> Iterator[tuple[str, CallbackReader]]:
    settings = services.settings
    if settings.sms is not None:
        token = settings.sms.auth_token.get_secret_value()
        trust = Trust(
            source=SMS, window=settings.callback_window, secret=token, account=settings.sms.account_sid
        )
        yield SMS, READERS["twilio"](trust)
    for name, provider in services.providers.items():
        if provider.kind not in READERS:
            continue
        trust = _trust(name, provider, services, certificates)
        if trust.secret or (trust.user and trust.password) or trust.topics:
            yield name, READERS[provider.kind](trust)
        else:
            log.info("web.deaf", part="callbacks", provider=name, reason="no secret in its settings")


def _trust(name: str, provider: ProviderSettings, services: Services, certificates: Certificates) -> Trust:
    def text(field: str) -> str:
        value = getattr(provider, field, None)
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        return value if isinstance(value, str) else ""

    return Trust(
        source=name,
        window=services.settings.callback_window,
        secret=next((found for field in _SECRETS if (found := text(field))), ""),
        method=text("signature_method"),
        account=text("account_sid"),
        user=text("webhook_user"),
        password=text("webhook_password"),
        topics=frozenset(getattr(provider, "topic_arns", ())),
        certificate=certificates,
    )
