"""Tell whether a mail came from a machine, by its envelope and header alone: such a mail asks for nothing.

Never reads what a person may have written but the subject of an absence notice; says nothing of delivery.
"""

import re

from notifier.inbound.automatic import is_automatic
from notifier.inbound.structure import Fields, read_fields

_HEAD = 1 << 16
_HOPS = 50
"""Received fields of a mail that goes round: Postfix gives up there, RFC 5321 §6.3 at 100."""
# No postmaster: that is a person, who may read newsletters.
_SYSTEM = re.compile(r"(?:^|<)\s{0,4}\"?mailer-?daemon\"?(?:@|>|\s*$)", re.IGNORECASE)
_REPORTS = ("multipart/report", "message/delivery-status", "message/disposition-notification")
_LISTED = ("list-id", "list-post", "list-unsubscribe", "feedback-id")
_BULK = frozenset({"bulk", "list", "junk"})
_SPAM = ("x-spam-flag", "x-spam-status", "x-spam", "x-barracuda-spam-flag", "x-barracuda-spam-status")
_SCL = "x-ms-exchange-organization-scl"
_SPAM_FROM = 5
"""From here on Exchange calls a mail spam."""


def machine_sign(mail: bytes) -> str | None:
    """Return what shows that no person asks for something by this mail; None where nothing does.

    Args:
        mail: The mail, a Return-Path field with its envelope's sender before all others (RFC 5321 §4.4).
    """
    fields = read_fields(mail[:_HEAD].replace(b"\r\n", b"\n"))
    signs = {
        "no sender": _has_no_sender,
        "report": _is_report,
        "automatic": _is_automatic,
        "mailing list": _is_of_list,
        "spam": _is_spam,
        "loop": _is_loop,
    }
    return next((name for name, has in signs.items() if has(fields)), None)


def _has_no_sender(fields: Fields) -> bool:
    """Bounces and the answers of machines have none (RFC 5321 §4.5.5, RFC 3834 §3.3)."""
    path = fields.get("return-path").strip()
    return path in {"", "<>"} or _SYSTEM.search(path) is not None


def _is_report(fields: Fields) -> bool:
    kind = fields.get("content-type").strip().lower()
    return (
        kind.startswith(_REPORTS)
        or bool(fields.get("x-failed-recipients"))
        or _SYSTEM.search(fields.get("from")) is not None
    )


def _is_automatic(fields: Fields) -> bool:
    """Whatever is not ``no`` was sent by no person's hand (RFC 3834 §5)."""
    submitted = fields.get("auto-submitted").strip().lower()
    is_marked = bool(submitted) and re.match(r"no\b", submitted) is None
    return is_marked or is_automatic(fields, "")


def _is_of_list(fields: Fields) -> bool:
    """A mailing list's mail, or one of our own that came round."""
    return fields.get("precedence").strip().lower() in _BULK or any(fields.get(name) for name in _LISTED)


def _is_spam(fields: Fields) -> bool:
    """What a filter on the way says of it: SpamAssassin, rspamd, Barracuda, Exchange."""
    level = fields.get(_SCL).strip()
    is_scored = level.isascii() and level.isdigit() and int(level) >= _SPAM_FROM
    return is_scored or any(
        value.strip().lower().startswith(("yes", "true")) for name in _SPAM for value in fields.all(name)
    )


def _is_loop(fields: Fields) -> bool:
    """It went through too many hands, or twice to the same address (qmail's and Postfix's way to notice)."""
    delivered = [value.strip().lower() for value in fields.all("delivered-to")]
    return (
        len(fields.all("received")) >= _HOPS
        or len(set(delivered)) < len(delivered)
        or bool(fields.get("x-loop"))
    )
