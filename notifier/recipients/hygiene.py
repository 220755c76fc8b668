"""Judge an address before anybody writes to it: spelled right, a person's, here to stay, known already.

Pure: whether the domain takes mail is asked of a function that is passed in.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import idna

from notifier.mime import HeaderError, validate_address


class Concern(StrEnum):
    """What speaks against an address."""

    SYNTAX = "syntax"
    """It cannot go on the wire."""
    NO_DOMAIN = "no_domain"
    """The domain does not exist, or has no address."""
    NO_MAIL = "no_mail"
    """The domain says that it takes no mail (RFC 7505)."""
    TYPO = "typo"
    """The domain looks like another one, better known."""
    ROLE = "role"
    """A function, not a person (RFC 2142): several read it, none of them agreed to."""
    DISPOSABLE = "disposable"
    """A mailbox that lives for minutes."""


class MailHosts(StrEnum):
    """What DNS says of a domain."""

    THERE = "there"
    NULL = "null"
    NONE = "none"
    UNKNOWN = "unknown"
    """No answer: nothing is concluded from that."""


LookUp = Callable[[str], MailHosts]
"""Asks DNS about a domain in ASCII form."""

FATAL = frozenset({Concern.SYNTAX, Concern.NO_DOMAIN, Concern.NO_MAIL})
"""With these nothing can arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found out about an address."""

    concerns: tuple[Concern, ...] = ()
    problem: str | None = None
    """The rule of syntax it breaks."""
    suggestion: str | None = None
    """What may have been meant."""
    wire: str | None = None
    """As it goes on the wire; None where it cannot."""
    normal: str | None = None
    """The same for all spellings of one mailbox."""

    @property
    def is_usable(self) -> bool:
        """Tell whether mail may arrive there."""
        return not FATAL.intersection(self.concerns)


# RFC 2142 §2 to §5, and what companies use besides.
_ROLES = frozenset({
    "abuse", "accounts", "admin", "administrator", "all", "billing", "compliance", "contact", "devnull", "dns",
    "enquiries", "everyone", "finance", "ftp", "hello", "help", "helpdesk", "hostmaster", "hr", "info", "invoices",
    "it", "jobs", "kontakt", "legal", "list", "mail", "mailer-daemon", "marketing", "media", "news", "noc",
    "no-reply", "noreply", "nobody", "null", "office", "operations", "ops", "orders", "postmaster", "press",
    "privacy", "recruiting", "root", "sales", "security", "service", "spam", "subscribe", "support", "sysadmin",
    "team", "tech", "undisclosed-recipients", "unsubscribe", "usenet", "uucp", "webmaster", "www",
})  # fmt: skip

# Mailbox providers people write from; the better known one wins.
_KNOWN = (
    "gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "aol.com", "live.com", "msn.com",
    "googlemail.com", "gmx.de", "gmx.net", "web.de", "t-online.de", "freenet.de", "posteo.de", "mailbox.org",
    "yahoo.co.uk", "hotmail.co.uk", "btinternet.com", "yahoo.fr", "hotmail.fr", "orange.fr", "free.fr", "laposte.net",
    "wanadoo.fr", "sfr.fr", "libero.it", "hotmail.it", "yahoo.it", "yahoo.de", "outlook.de", "hotmail.de", "yandex.ru",
    "mail.ru", "proton.me", "protonmail.com", "me.com", "mac.com", "comcast.net", "verizon.net", "att.net",
    "sbcglobal.net", "bluewin.ch", "telenet.be", "ziggo.nl", "seznam.cz", "wp.pl", "qq.com", "163.com", "126.com",
    "naver.com", "uol.com.br", "fastmail.com", "zoho.com", "mail.com", "ymail.com", "rocketmail.com", "gmx.com",
    "gmx.at", "email.com",
)  # fmt: skip
_KNOWN_SET = frozenset(_KNOWN)
_ENDINGS: Mapping[str, str] = dict.fromkeys(
    ("con", "cmo", "ocm", "vom", "xom", "comm", "coom", "cpm"), "com"
) | dict.fromkeys(("ent", "nte", "met", "nett"), "net")
_COUNTRIES: Mapping[str, str] = {"om": "com", "cm": "com"}
"""Countries whose ending is a slip behind a well-known name, and nowhere else."""
_CUT: Mapping[str, str] = {f"{name}.co": f"{name}.com" for name in ("gmail", "hotmail", "icloud", "outlook")}
"""Colombia has no mailboxes of these; of Yahoo it has."""
_SHORT = 6
"""A name of fewer letters is too near to others for one letter to say much."""

# Providers that drop dots, or what stands behind a sign; by their own help pages.
_DOTS = frozenset({"gmail.com", "googlemail.com"})
_SAME: Mapping[str, str] = {
    "googlemail.com": "gmail.com", "pm.me": "proton.me", "protonmail.com": "proton.me", "protonmail.ch": "proton.me",
    "me.com": "icloud.com", "mac.com": "icloud.com", "ya.ru": "yandex.ru", "yandex.com": "yandex.ru",
}  # fmt: skip
_PLUS = frozenset({
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "icloud.com", "me.com",
    "mac.com", "proton.me", "protonmail.com", "pm.me", "fastmail.com", "yandex.ru", "yandex.com", "mailbox.org",
    "posteo.de", "zoho.com", "outlook.de", "hotmail.de", "hotmail.co.uk", "hotmail.fr", "hotmail.it",
})  # fmt: skip


_WRAPPING = re.compile(r"^[^<]*<|>[^>]*$|^mailto:", re.IGNORECASE)
"""What mail programs put around an address: the name of its owner, or a link."""
_SLIPS = (
    ("", ""), (",", "."), (";", "."), (" ", ""), ("..", "."), ("@@", "@"), ("(at)", "@"), ("@.", "@"),
)  # fmt: skip


def examine(
    address: str, *, disposable: Collection[str] = frozenset(), look_up: LookUp | None = None
) -> Examined:
    """Return what speaks against an address.

    Args:
        address: As somebody typed it.
        disposable: Domains, in ASCII and lower case, whose mailboxes live for minutes; their subdomains too.
        look_up: Asks DNS; without it the domain is taken to exist.
    """
    typed = address.strip()
    try:
        wire = validate_address(typed, is_utf8_taken=True)
    except HeaderError as error:
        return Examined(concerns=(Concern.SYNTAX,), problem=error.problem, suggestion=_mended(typed))
    local, _, domain = wire.rpartition("@")
    if "." not in domain:  # RFC 5321 §2.3.5
        problem = "the domain has no dot: it means something in one house only, if at all"
        return Examined(concerns=(Concern.SYNTAX,), problem=problem)
    concerns = []
    if look_up is not None:
        found = look_up(domain)
        concerns += [Concern.NO_DOMAIN] if found is MailHosts.NONE else []
        concerns += [Concern.NO_MAIL] if found is MailHosts.NULL else []
    meant = nearest_domain(domain)
    concerns += [Concern.TYPO] if meant is not None else []
    concerns += [Concern.ROLE] if local.partition("+")[0].casefold() in _ROLES else []
    concerns += [Concern.DISPOSABLE] if any(one in disposable for one in _with_parents(domain)) else []
    return Examined(
        concerns=tuple(concerns),
        suggestion=f"{local}@{meant}" if meant is not None else None,
        wire=wire,
        normal=normal_form(wire),
    )


def normal_form(wire: str) -> str:
    """Return the same text for all spellings of one mailbox, as far as its provider says that they are one.

    For finding duplicates; never write to it, and never take two people for one by it alone.
    """
    local, _, domain = wire.casefold().rpartition("@")
    if domain in _PLUS:
        local = local.partition("+")[0] or local
    if domain in _DOTS:
        local = local.replace(".", "") or local
    return f"{local}@{_SAME.get(domain, domain)}"


def duplicates(addresses: Iterable[str]) -> dict[str, list[int]]:
    """Return, by normal form, the positions of addresses that are one mailbox; what is none has no part in it."""
    found: dict[str, list[int]] = {}
    for position, address in enumerate(addresses):
        if (normal := examine(address).normal) is not None:
            found.setdefault(normal, []).append(position)
    return {normal: positions for normal, positions in found.items() if len(positions) > 1}


@lru_cache(maxsize=4096)
def nearest_domain(domain: str) -> str | None:
    """Return the well-known domain that may have been meant; None where there is none, or it is one itself."""
    if domain in _KNOWN_SET:
        return None
    if domain in _CUT:
        return _CUT[domain]
    name, _, ending = domain.rpartition(".")
    if ending in _ENDINGS and name:
        return f"{name}.{_ENDINGS[ending]}"
    if (meant := f"{name}.{_COUNTRIES.get(ending)}") in _KNOWN_SET:
        return meant
    return next((known for known in _KNOWN if _is_slip(domain, known)), None)


def _is_slip(typed: str, known: str) -> bool:
    """Tell whether one slip of a finger makes one of the other: a letter more, less, other, or two swapped.

    A slip in the ending of a country is another country: yahoo.co is not yahoo.com misspelt.
    """
    name, _, ending = typed.partition(".")
    right, _, right_ending = known.partition(".")
    if ending == right_ending:
        return len(right) >= _SHORT - 1 and _one_edit(name, right)
    return name == right and len(ending) > 2 and len(right) >= _SHORT - 1 and _one_edit(ending, right_ending)  # noqa: PLR2004


def _one_edit(one: str, other: str) -> bool:
    """Tell whether the Damerau-Levenshtein distance is 1."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), -1)
    if start == -1:
        return True
    if len(one) == len(other):
        is_swap = one[start : start + 2] == other[start : start + 2][::-1]
        return one[start + 1 :] == other[start + 1 :] or (is_swap and one[start + 2 :] == other[start + 2 :])
    short, long = sorted((one, other), key=len)
    return short[start:] == long[start + 1 :]


def _mended(typed: str) -> str | None:
    """Return what a slip on the keyboard, or of the clipboard, may have been meant to be, where that can be written."""
    bare = _WRAPPING.sub("", _WRAPPING.sub("", typed))
    for wrong, right in _SLIPS:
        tried = bare.replace(wrong, right).strip(".<>\"' ")
        if tried == typed:
            continue
        try:
            return validate_address(tried)
        except HeaderError:
            continue
    return None


def _with_parents(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[at:]) for at in range(len(labels) - 1)]


def shown(wire: str) -> str:
    """Return an address with its domain as people write it."""
    local, _, domain = wire.rpartition("@")
    try:
        return f"{local}@{idna.decode(domain)}"
    except idna.IDNAError:
        return wire
