"""What ``notifier doctor`` looks up in the DNS: the names our mail lives by, as the settings have them."""

from collections.abc import Iterator
from datetime import UTC, datetime

import idna

from notifier.channels.signing import dkim_keys
from notifier.crypto.dkim_keys import public_der
from notifier.errors import ConfigError
from notifier.mime import DkimKey, Signer
from notifier.pipeline.checks import dns
from notifier.pipeline.checks.verdict import Check, State, fail
from notifier.settings import Settings

_NOWHERE = ("localhost", ".localhost", ".example", ".invalid", ".test", ".local")
"""RFC 6761 and RFC 6762: names the world does not know."""


def check_names(settings: Settings) -> Iterator[Check]:
    """Check SPF, DKIM, DMARC, MX and PTR of the domains we send from."""
    mail = settings.mail
    domain = _domain(mail.sender)
    if domain.endswith(_NOWHERE) and not settings.dns_servers:
        yield Check(
            name="DNS", state=State.WARN, detail=f"not looked at: mail.sender is at {domain}",
            mend="set mail.sender and mail.domain to a domain of yours",
        )  # fmt: skip
        return
    resolver = dns.new_resolver(settings.dns_servers)
    envelope = _domain(mail.envelope_sender or mail.sender)
    addresses = [str(one) for one in mail.sending_addresses]
    keys, wrong = _keys(settings)
    yield from wrong
    yield dns.check_spf(envelope, addresses, resolver)
    for key in keys:
        yield dns.check_dkim(key.domain, key.selector, public_der(key.key), resolver)
    senders = (one.sender for one in mail.senders.values() if one.sender is not None)
    for own in dict.fromkeys([domain, *map(_domain, senders)]):
        signing = [key.domain for key in Signer(keys).keys_for(f"x@{own}", datetime.now(UTC))]
        yield dns.check_dmarc(own, envelope, signing, resolver)
    for receiving in dict.fromkeys([envelope, settings.unsubscribe_domain or envelope]):
        yield dns.check_mx(receiving, resolver)
    for address in addresses:
        yield dns.check_ptr(address, resolver)


def _keys(settings: Settings) -> tuple[list[DkimKey], list[Check]]:
    """Return the keys mails are signed with, also those whose time has not come, and what is wrong with others."""
    keys: list[DkimKey] = []
    wrong: list[Check] = []
    for name, dkim in settings.dkim.items():
        try:
            keys += dkim_keys(name, dkim)
        except ConfigError as error:
            wrong.append(fail(f"DKIM {name}", str(error), "`notifier config check`"))
    return keys, wrong


def _domain(address: str) -> str:
    return idna.encode(address.rpartition("@")[2], uts46=True).decode()
