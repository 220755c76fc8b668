"""What an operator configured reaches the adapters, field by field."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from notifier.channels.configured import sms_provider, smtp_relay
from notifier.errors import ConfigError
from notifier.setting_tables import Mail, Relay, Sms
from notifier.settings import Settings

TIMES = ("connect", "login", "command", "data", "dot", "idle")


def settings(**changes: Any) -> Settings:
    """Return settings that name our domain and where bounces go."""
    mail = Mail(domain="mail.example.com", envelope_sender="bounces@example.com")
    return Settings(mail=mail, **changes)


def test_each_time_of_a_relay_reaches_its_own_phase() -> None:
    """Six times, none of them swapped, in seconds."""
    times = {f"{phase}_timeout": timedelta(seconds=n, milliseconds=500) for n, phase in enumerate(TIMES, 1)}

    relay = smtp_relay("one", Relay(host="relay.example.com", **times), settings())

    assert [getattr(relay, f"{phase}_seconds") for phase in TIMES] == [n + 0.5 for n in range(1, 7)]


def test_a_relay_says_the_domain_of_the_mails_unless_it_has_a_name_of_its_own() -> None:
    """And bounces go to the one address."""
    plain = smtp_relay("one", Relay(host="relay.example.com"), settings())
    named = smtp_relay("one", Relay(host="relay.example.com", helo="out.example.com"), settings())

    assert (plain.helo, plain.envelope_from) == ("mail.example.com", "bounces@example.com")
    assert named.helo == "out.example.com"


def test_a_password_for_a_relay_without_tls_is_refused() -> None:
    """With the field's name, before anything is opened."""
    relay = Relay(host="relay.example.com", security="none", username="u", password=SecretStr("p"))

    with pytest.raises(ConfigError, match=r"relays\.one\.security"):
        smtp_relay("one", relay, settings())


def test_the_gateway_gets_its_times_and_connections() -> None:
    """And its token, which stays out of its text."""
    sms = Sms(
        base_url="https://sms.example.com",
        account_sid="AC1",
        auth_token=SecretStr("hidden"),
        sender="+15005550006",
        connections=3,
        connect_timeout=timedelta(seconds=2),
        read_timeout=timedelta(seconds=7),
    )

    provider = sms_provider(sms)

    assert (provider.connections, provider.connect_seconds, provider.read_seconds) == (3, 2.0, 7.0)
    assert provider.auth_token == "hidden"
    assert "hidden" not in repr(provider)


@pytest.mark.parametrize(
    ("host", "is_rewriting"),
    [
        ("email-smtp.eu-central-1.amazonaws.com", True),
        ("Email-SMTP-fips.us-east-1.amazonaws.com", True),
        ("relay.example.com", False),
        ("email-smtp.eu-central-1.amazonaws.com.example.com", False),
    ],
)
def test_a_relay_of_amazon_ses_is_known_to_write_headers_anew(host: str, is_rewriting: bool) -> None:  # noqa: FBT001
    """Its Date and Message-ID stay out of our signature."""
    relay = smtp_relay("one", Relay(host=host), settings())

    assert ("message-id" in relay.rewritten) is is_rewriting
