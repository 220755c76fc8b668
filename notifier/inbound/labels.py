"""Know what a line says of the address that follows: the failed recipient's, or somebody else's.

Knows words of ``signs.yaml`` and where they stand; names nobody.
"""

from typing import Any

from notifier.inbound.addresses import ADDRESS, tidy
from notifier.inbound.signs import pattern

_BEFORE = r"(?:^|[\s(\"'>*\x{3000}-\x{303f}\x{ff00}-\x{ff20}])"
"""What parts a label from other words; behind the marks of Chinese and Japanese stands no blank."""


_NEAR = 200
"""Characters before an address in which its label stands."""


def is_recipients(before: str) -> bool:
    """Say whether what stands before an address labels it as the recipient's."""
    return _label().search(before) is not None


def is_anothers(before: str) -> bool:
    """Say whether what stands before an address says that it is a sender's, a contact's or a host's."""
    return bool(_other_label().search(before) or _other_label_near().search(before))


def is_named(before: str) -> bool:
    """Say whether the words right before an address, wherever on the line, call it a recipient's."""
    return _named().search(before) is not None


def addresses_of_nobody_else(text: str) -> list[str]:
    """Return the addresses of a text that no label gives to a sender, a contact or a host; each once."""
    found = (
        tidy(match[0])
        for line in text.split("\n")
        for match in ADDRESS.finditer(line)
        if not is_anothers(line[max(0, match.start() - _NEAR) : match.start()])
    )
    return list({one.lower(): one for one in found}.values())


def _label() -> Any:
    return pattern(
        "label", before=r"^\W{0,8}", behind=r"[^:\x{ff1a}<@]{0,40}[:\x{ff1a}=]?\s{0,8}[<\"'(\[]{0,3}$"
    )


def _named() -> Any:
    return pattern("named", before=_BEFORE, behind=r"\W{1,4}$")


def _other_label() -> Any:
    return pattern(
        "other_label",
        "other_label_wide",
        before=_BEFORE,
        behind=r"(?:\b|[^\x00-\x7f]|\W)[^@]{0,60}$",
    )


def _other_label_near() -> Any:
    return pattern(
        "other_label_near",
        before=_BEFORE,
        behind=r"(?:[^\pL\pM\pN_@]{1,8}|[ \t]{0,3}[:\x{ff1a}][^@]{0,60})$",
    )
