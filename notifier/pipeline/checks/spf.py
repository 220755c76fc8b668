"""Say which address an SPF record lets send: check_host() of RFC 7208 §4, without what depends on one mail.

For records that were found valid; asks DNS through the function that is passed in, and judges no syntax.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Ask = Callable[[str, str], Sequence[Any]]
"""(name, type) to records, none where there are none."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TERM = re.compile(
    r"(?P<sign>[-+~?]?)(?P<kind>[a-z][a-z0-9]*)(?::(?P<value>[^/]+))?(?:/(?P<v4>\d+))?(?://(?P<v6>\d+))?",
    re.IGNORECASE,
)
_REDIRECT = re.compile(r"redirect=(?P<domain>\S+)", re.IGNORECASE)
PASS, NEUTRAL = "+", "?"
_LOOKUPS = 10
"""RFC 7208 §4.6.4."""


def spf_records(texts: Sequence[str]) -> list[str]:
    """Return those of a name's TXT records that are SPF's (RFC 7208 §4.5)."""
    return [text for text in texts if text == "v=spf1" or text.startswith("v=spf1 ")]


class _PermanentError(Exception):
    """Receivers give up on the record (RFC 7208 §2.6.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """Whether one address may send, and how many terms may still ask DNS before receivers give up."""

    address: Address
    ask: Ask
    terms: Iterator[int] = field(default_factory=lambda: iter(range(_LOOKUPS)))

    def spend(self) -> None:
        """Count a term that asks DNS, in whatever record it stands: so that a circle of them ends, too."""
        if next(self.terms, None) is None:
            raise _PermanentError


def verdict(record: str, domain: str, address: str, ask: Ask) -> str:
    """Return the sign of the first mechanism that holds: ``+`` pass, ``-``, ``~``, or ``?`` where none says more.

    A mechanism with a macro, ``exists`` or ``ptr`` is taken to hold: it depends on the mail. Where receivers give up,
    as over more look-ups than ten or a length that is none, nothing more is said either.
    """
    question = _Question(address=ipaddress.ip_address(address), ask=ask)
    try:
        return _verdict(record, domain, question)
    except (_PermanentError, ValueError):
        return NEUTRAL


def _verdict(record: str, domain: str, question: _Question) -> str:
    for term in record.split()[1:]:
        found = _TERM.fullmatch(term)
        if found is not None and _holds(found, domain, question):
            return found["sign"] or PASS
    redirect = next(filter(None, map(_REDIRECT.fullmatch, record.split())), None)
    if redirect is None:
        return NEUTRAL
    if "%" in redirect["domain"]:
        return PASS
    question.spend()
    return _of(redirect["domain"], question)


def _of(domain: str, question: _Question) -> str:
    """Return the verdict of another domain's record."""
    texts = [b"".join(one.strings).decode("latin-1") for one in question.ask(domain, "TXT")]
    records = spf_records(texts)
    return _verdict(records[0], domain, question) if len(records) == 1 else NEUTRAL


def _holds(term: re.Match[str], domain: str, question: _Question) -> bool:
    kind, value = term["kind"].lower(), (term["value"] or domain).rstrip(".")
    if kind in {"exists", "ptr"} or "%" in value:
        return True
    if kind in {"ip4", "ip6"}:
        return question.address in ipaddress.ip_network(_network(term), strict=False)
    if kind in {"include", "mx", "a"}:
        question.spend()
    if kind == "include":
        return _of(value, question) == PASS
    if kind == "mx":
        hosts = [str(one.exchange).rstrip(".") for one in question.ask(value, "MX")]
        return any(_is_at(host, term, question) for host in hosts[:_LOOKUPS])
    return kind == "all" or (kind == "a" and _is_at(value, term, question))


def _network(term: re.Match[str]) -> str:
    """Return the network of ip4 or ip6, whose value may have colons and one slash."""
    return term.string[term.start("value") :]


def _is_at(host: str, term: re.Match[str], question: _Question) -> bool:
    """Tell whether a host's address is ours, or one of the same network where the term gives its length."""
    is_v4 = question.address.version == 4  # noqa: PLR2004
    if not host:
        return False
    length = (term["v4"] or 32) if is_v4 else (term["v6"] or 128)
    return any(
        question.address in ipaddress.ip_network(f"{one.address}/{length}", strict=False)
        for one in question.ask(host, "A" if is_v4 else "AAAA")
    )
