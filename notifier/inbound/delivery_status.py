"""Read the machine's part of a delivery report (RFC 3464, RFC 6533): who, what happened, why.

Reads it in the part made for it, and in plain text where a relay or a reader's program moved it there. Decides
no reason.
"""

import re
from dataclasses import dataclass
from itertools import groupby

from notifier.inbound.addresses import address_in
from notifier.inbound.structure import Fields, Part, decoded, read_fields

_RECIPIENTS = 100
_FIELD_OF_RECIPIENT = re.compile(r"(?im)^[ \t>]{0,8}(?:final|original|x-actual)-recipient[ \t]*:")
_FIELD_OF_OUTCOME = re.compile(r"(?im)^[ \t>]{0,8}(?:action|status|diagnostic-code)[ \t]*:")
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_COMMENT = re.compile(r"\(([^()]{1,300})\)")
_TYPE = re.compile(r"[A-Za-z][\w-]{0,39}")
_FAILED = frozenset({"failed", "delayed", "fail", "failure", "undeliverable", "undelivered", "expired"})
_PASSED = frozenset({"delivered", "relayed", "expanded", "deliverable", "delivery"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusGroup:
    """The fields of one recipient."""

    address: str | None
    aliases: tuple[str, ...]
    action: str
    status: str | None
    comment: str
    """What stands in brackets behind the status."""
    diagnostic: str
    is_local: bool
    """The words are a local program's, not a server's (``x-unix``)."""

    @property
    def has_failed(self) -> bool:
        """Whether this is a failure or a delay."""
        if self.action in _PASSED:
            return False
        return self.action in _FAILED or (self.status or "")[:1] in {"4", "5"}


def read_groups(part: Part) -> list[StatusGroup]:
    """Return the recipients of a ``message/delivery-status`` part."""
    return groups_of(part.text)


def groups_in_prose(text: str) -> list[StatusGroup]:
    """Return the recipients of report fields that stand in plain text, also in a quoted one."""
    start = _FIELD_OF_RECIPIENT.search(text)
    if start is None or _FIELD_OF_OUTCOME.search(text) is None:
        return []
    return groups_of("\n".join(line.lstrip("> \t") if line[:1] == ">" else line for line in text.split("\n")))


def groups_of(text: str) -> list[StatusGroup]:
    """Return what the blocks of fields in a text say of recipients."""
    found = []
    for is_empty, lines in groupby(text.split("\n"), lambda line: not line.strip()):
        if is_empty:
            continue
        fields = read_fields("\n".join(lines))
        for one in _split(fields):
            if group := _group(one):
                found.append(group)
                if len(found) == _RECIPIENTS:
                    return found
    return found


def _split(fields: Fields) -> list[Fields]:
    """Part groups that lack the empty line between them."""
    groups: list[list[tuple[str, str]]] = [[]]
    for name, value in fields.items:
        if any(name == key for key, _ in groups[-1]) and name in {"final-recipient", "original-recipient"}:
            groups.append([])
        groups[-1].append((name, value))
    return [Fields(tuple(group)) for group in groups]


def _group(fields: Fields) -> StatusGroup | None:
    names = {name for name, _ in fields.items}
    if not names & {"final-recipient", "original-recipient", "x-actual-recipient"}:
        return None
    if not names & {"action", "status", "diagnostic-code"}:
        return None
    final = _recipient(fields.get("final-recipient"))
    others = [_recipient(fields.get(name)) for name in ("original-recipient", "x-actual-recipient")]
    named = [address for address in (final, *others) if address]
    status = fields.get("status")
    code = _STATUS.search(status)
    kind, said = _diagnostic(fields.get("diagnostic-code"))
    comment = _COMMENT.search(status)
    return StatusGroup(
        address=named[0] if named else None,
        aliases=tuple(dict.fromkeys(one for one in named[1:] if one.lower() != named[0].lower())),
        action=re.split(r"[\s(;]", fields.get("action").lower().strip() + " ")[0],
        status=".".join(code.groups()) if code else None,
        comment=comment[1] if comment else "",
        diagnostic=decoded(said),
        is_local=kind == "x-unix",
    )


def _diagnostic(value: str) -> tuple[str, str]:
    """Return the type in front of a diagnostic, which some leave out, and the words."""
    kind, _, said = value.partition(";")
    if said and _TYPE.fullmatch(kind.strip()):
        return kind.strip().lower(), said.strip()
    return "", value.strip().removeprefix(";").strip()


def _recipient(value: str) -> str | None:
    """Return the address of a recipient field: its type in front is optional, and seldom right."""
    kind, _, rest = value.partition(";")
    address = rest or kind
    if "+" in address and kind.strip().lower() == "utf-8":
        address = re.sub(
            r"\\x\{([0-9A-Fa-f]{1,6})\}", lambda found: chr(min(int(found[1], 16), 0x10FFFF)), address
        )
    address = address.strip()
    whole = address.strip("<>")
    if re.fullmatch(r"\S{1,250}@\S{1,250}", whole) and not whole.startswith("@"):
        return whole
    return address_in(address)
