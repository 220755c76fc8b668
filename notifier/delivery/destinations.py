"""Tell which mailbox provider a recipient is with: messages to one provider meet the same limits.

Pure: goes by the domain's name alone, and never asks the DNS.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from notifier.delivery.endpoints import HAS_ENDPOINTS
from notifier.messages import ChannelName

OTHER = "other"
"""All domains that are in no group."""
WHOLE_RELAY = "*"
"""The relay itself, whatever the destination."""
_OWN = "d:"
_DOMAIN_BYTES = 8

# Domains: the providers' own sign-up and help pages list them. A name ending in ".*" stands for all countries'.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "gmail": ("gmail.com", "googlemail.com"),
    "microsoft": ("outlook.*", "hotmail.*", "live.*", "msn.com", "passport.com", "windowslive.com"),
    "yahoo": ("yahoo.*", "ymail.com", "rocketmail.com", "myyahoo.com", "aol.*", "aim.com", "netscape.net"),
    "icloud": ("icloud.com", "me.com", "mac.com"),
    "gmx": ("gmx.*", "web.de", "mail.com", "email.com", "1und1.de", "online.de"),
    "proton": ("proton.me", "protonmail.com", "protonmail.ch", "pm.me"),
    "zoho": ("zoho.com", "zoho.eu", "zoho.in", "zohomail.com", "zohomail.eu", "zohomail.in"),
    "yandex": ("yandex.*", "ya.ru", "narod.ru"),
    "mailru": ("mail.ru", "inbox.ru", "list.ru", "bk.ru", "internet.ru", "xmail.ru"),
    "qq": ("qq.com", "vip.qq.com", "foxmail.com"),
    "163": ("163.com", "126.com", "yeah.net", "vip.163.com", "188.com"),
    "naver": ("naver.com",),
    "comcast": ("comcast.net", "xfinity.com"),
    "att": ("att.net", "sbcglobal.net", "bellsouth.net", "pacbell.net", "ameritech.net", "swbell.net"),
    "charter": ("charter.net", "spectrum.net", "rr.com", "roadrunner.com", "twc.com", "brighthouse.com"),
    "cox": ("cox.net",),
    "orange": ("orange.fr", "wanadoo.fr", "voila.fr"),
    "free": ("free.fr", "aliceadsl.fr"),
    "sfr": ("sfr.fr", "neuf.fr", "club-internet.fr", "9online.fr", "cegetel.net"),
    "laposte": ("laposte.net",),
    "telekom": ("t-online.de", "magenta.de"),
    "freenet": ("freenet.de",),
    "libero": ("libero.it", "iol.it", "inwind.it", "blu.it", "giallo.it"),
    "tim": ("tim.it", "alice.it", "tin.it", "virgilio.it"),
    "bt": ("btinternet.com", "btopenworld.com", "talk21.com"),
    "telenet": ("telenet.be",),
    "ziggo": ("ziggo.nl", "home.nl", "upcmail.nl", "hetnet.nl", "kpnmail.nl"),
    "wp": ("wp.pl", "o2.pl", "tlen.pl"),
    "onet": ("onet.pl", "op.pl", "vp.pl", "poczta.onet.pl", "onet.eu"),
    "interia": ("interia.pl", "interia.eu", "poczta.fm"),
    "seznam": ("seznam.cz", "email.cz", "post.cz"),
    "uol": ("uol.com.br", "bol.com.br"),
}  # fmt: skip

# ITU-T E.164: zone 1 and 7 are one digit, these are two, all others three.
_TWO_DIGITS = frozenset(
    str(code)
    for code in (
        20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58,
        60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
    )
)  # fmt: skip
_COUNTRY_LETTERS = 2
_SECOND_LEVELS = frozenset({"co", "com", "net", "ne"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a message goes; ``domain`` tells small domains apart without naming them."""

    group: str = OTHER
    domain: bytes | None = None


class Destinations:
    """The groups, and those the settings add: group → domains."""

    def __init__(self, more: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._domains: dict[str, str] = {}
        self._countries: dict[str, str] = {}
        for groups in (GROUPS, more or {}):
            for group, domains in groups.items():
                for domain in domains:
                    stem, star, _ = domain.casefold().partition(".*")
                    (self._countries if star else self._domains)[stem] = group

    def of(self, channel: ChannelName, address: str, key: bytes) -> Destination:
        """Return where an address is; ``key`` is that of the hash of domains in no group."""
        if channel is ChannelName.SMS:
            return Destination(group=_country(address))
        if channel in HAS_ENDPOINTS:
            return Destination(domain=_digest(key, address))
        if channel is not ChannelName.EMAIL:
            return Destination()
        domain = _ascii(address.rpartition("@")[2])
        group = self.group(domain)
        return Destination(group=group) if group != OTHER else Destination(domain=_digest(key, domain))

    def group(self, domain: str) -> str:
        """Return the group of a domain in lower case."""
        stem, _, rest = domain.partition(".")
        if domain in self._domains:
            return self._domains[domain]
        # Two labels at most behind the name: yahoo.de, yahoo.co.uk, yahoo.com.br; never yahoo.shop.example.org.
        is_country = bool(rest) and rest.count(".") <= 1 and _is_suffix(rest)
        return self._countries.get(stem, OTHER) if is_country else OTHER


def own_group(domain: bytes) -> str:
    """Return the name of a domain's own group."""
    return _OWN + domain.hex()


def _is_suffix(rest: str) -> bool:
    """Say whether this may be what a country's variant of a name ends in."""
    second, dot, top = rest.rpartition(".")
    is_country = len(top) == _COUNTRY_LETTERS
    return is_country and second in _SECOND_LEVELS if dot else is_country or top == "com"


def _country(number: str) -> str:
    digits = "".join(filter(str.isdigit, number))
    if digits[:1] in {"1", "7"}:
        return f"+{digits[0]}"
    length = 2 if digits[:2] in _TWO_DIGITS else 3
    return f"+{digits[:length]}" if digits else OTHER


def _ascii(domain: str) -> str:
    folded = domain.strip().rstrip(".").casefold()
    try:
        return folded if folded.isascii() else folded.encode("idna").decode("ascii")
    except UnicodeError:
        return folded


def _digest(key: bytes, domain: str) -> bytes:
    return hmac.digest(key, b"domain:" + domain.encode(), "sha256")[:_DOMAIN_BYTES]
