"""Decide whether an address can go on the wire, and in which form.

Syntax only: never asks DNS, never judges whether anybody lives there.
"""

import re
from functools import lru_cache

import idna

from notifier.mime.errors import HeaderError

# RFC 5321 §4.5.3.1: 64 octets of local part, 254 of path without its brackets (erratum 1690 of RFC 3696).
LOCAL_LIMIT = 64
ADDRESS_LIMIT = 254
DOMAIN_LIMIT = 253

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
# RFC 5321 §4.1.2 Quoted-string, less the blank: too many servers split a path there.
_QUOTED = re.compile(r'"(?:[!#-\[\]-~]|\\[!-~])*"')
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def validate_address(address: str, field: str = "To", *, is_utf8_taken: bool = False) -> str:
    """Return the address as it goes on the wire: the local part as given, the domain as A-labels.

    Args:
        address: ``local@domain``.
        field: What errors name.
        is_utf8_taken: The way may speak SMTPUTF8 (RFC 6531): then the local part need not be ASCII.

    Raises:
        HeaderError: naming ``field`` and the rule it breaks, never the address.
    """
    if _CONTROL.search(address):
        raise HeaderError(field, "the address holds a control character or line break")
    local, at, domain = address.rpartition("@")
    if not at or not local:
        raise HeaderError(field, "the address must have the form local@domain")
    _check_local(local, field, is_utf8_taken=is_utf8_taken)
    wire = f"{local}@{_wire_domain(domain, field)}"
    if len(wire.encode("utf-8", "replace")) > ADDRESS_LIMIT:
        raise HeaderError(field, f"the address is longer than {ADDRESS_LIMIT} octets")
    return wire


def needs_smtputf8(local: str) -> bool:
    """Say whether this local part can only travel with SMTPUTF8 (RFC 6531)."""
    return not local.isascii()


def _check_local(local: str, field: str, *, is_utf8_taken: bool) -> None:
    if needs_smtputf8(local) and not is_utf8_taken:
        raise HeaderError(field, "the part before the @ is not ASCII; SMTPUTF8 is not supported")
    if len(local.encode("utf-8", "replace")) > LOCAL_LIMIT:
        raise HeaderError(field, f"the part before the @ is longer than {LOCAL_LIMIT} octets")
    # RFC 6531 §3.3 takes what is not ASCII wherever an atom may stand; what nobody sees is not taken.
    if local.isprintable():
        local = _NOT_ASCII.sub("x", local)
    if _DOT_ATOM.fullmatch(local) or _QUOTED.fullmatch(local):
        return
    raise HeaderError(field, "the part before the @ holds a character or dot that is not allowed there")


def _wire_domain(domain: str, field: str) -> str:
    if not domain:
        raise HeaderError(field, "the address has no domain")
    wire = _to_ascii(domain)
    if wire is None:
        raise HeaderError(field, "the domain is not a valid host name")
    return wire


@lru_cache(maxsize=4096)
def _to_ascii(domain: str) -> str | None:
    wire = domain.lower()
    if not wire.isascii():
        try:
            wire = idna.encode(domain, uts46=True).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError):
            return None
    if len(wire) > DOMAIN_LIMIT or not _DOMAIN.fullmatch(wire):
        return None
    # An IPv4 address without brackets is not a domain (RFC 5321 §4.1.3).
    return None if wire.rpartition(".")[2].isdigit() else wire
