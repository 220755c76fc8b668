"""Turn what an operator configured into the settings of relays and gateways.

Values only: opens nothing, builds no channel.
"""

import re
from datetime import timedelta

from notifier.channels import console, portal
from notifier.channels.mail_writing import SES_REWRITTEN
from notifier.channels.registry import read_providers
from notifier.channels.sms_provider import SmsProvider
from notifier.channels.smtp_relay import SmtpRelay
from notifier.setting_tables import Relay, Sms
from notifier.settings import Settings

SMS = "sms"
"""The name of the one gateway under ``sms:``."""
_SES = re.compile(r"email-smtp(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", re.IGNORECASE)


def smtp_relay(name: str, relay: Relay, settings: Settings) -> SmtpRelay:
    """Return a relay's adapter settings.

    Raises:
        ConfigError: it could never work, or would send a password in the clear.
    """
    return SmtpRelay(
        name=name,
        host=relay.host,
        port=relay.port,
        security=relay.security,
        username=relay.username,
        password=relay.password.get_secret_value() if relay.password else None,
        ca_file=relay.ca_file,
        is_verified=relay.verify,
        helo=relay.helo or settings.mail.domain,
        envelope_from=settings.mail.envelope_sender,
        rewritten=SES_REWRITTEN if _SES.fullmatch(relay.host) else frozenset(),
        connect_seconds=_seconds(relay.connect_timeout),
        login_seconds=_seconds(relay.login_timeout),
        command_seconds=_seconds(relay.command_timeout),
        data_seconds=_seconds(relay.data_timeout),
        dot_seconds=_seconds(relay.dot_timeout),
        connections=relay.connections,
        max_messages_per_connection=relay.max_messages_per_connection,
        idle_seconds=_seconds(relay.idle_timeout),
    )


def sms_provider(sms: Sms, callbacks: str = "") -> SmsProvider:
    """Return the SMS gateway's adapter settings.

    Raises:
        ConfigError: it could never work, or would send the token in the clear.
    """
    return SmsProvider(
        name=SMS,
        base_url=sms.base_url,
        account_sid=sms.account_sid,
        auth_token=sms.auth_token.get_secret_value(),
        sender=sms.sender,
        connections=sms.connections,
        connect_seconds=_seconds(sms.connect_timeout),
        read_seconds=_seconds(sms.read_timeout),
        status_callback=f"{callbacks}/{SMS}" if callbacks else "",
        is_plain_http_allowed=sms.plain_http_allowed,
    )


def connections(settings: Settings) -> int:
    """Return how many messages one process can have on their way at once, over all it can send over."""
    sms = settings.sms.connections if settings.sms else 0
    relays = sum(relay.connections for relay in settings.relays.values())
    providers = sum(provider.connections for provider in read_providers(settings).values())
    return relays + sms + providers + portal.CONNECTIONS + console.ConsoleChannel.connections


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
