"""Read complaints: abuse reports (RFC 5965), and those of providers that only resemble them.

Decides only whether a mail is one, and what it names.
"""

import re
from dataclasses import dataclass

from notifier.inbound.addresses import address_in, addresses_in
from notifier.inbound.structure import Fields, Part, read_fields

_TYPE = re.compile(r"(?im)^feedback-type[ \t]*:[ \t]*([\w-]{1,40})")
# Microsoft's junk mail reporting sends the reported mail with fields of its own, and no report part.
_REPORTED_BY = ("x-hmxmroriginalrecipient", "x-original-rcpt-to", "x-complaint-rcpt")
_COMPLAINT_SUBJECT = re.compile(
    r"^(?:complaint about message from|\W*(?:e-?mail )?(?:feedback|abuse|spam|complaint) report"
    r"|client tos notification)",
    re.IGNORECASE,
)
# X-ARF 0.2 (x-arf.org), which abuse desks write instead of RFC 5965.
_XARF_SPAM = re.compile(r"(?im)^report-type[ \t]*:[ \t]*\"?(?:info_|abuse_)?spam")
_COMPLAINT_TEXT = re.compile(
    r"this is an? e?-?mail abuse report|(?:complaint|abuse report) (?:about|for|regarding) an? (?:e-?mail|message)"
    r"|(?:marked|reported|flagged) (?:your|this|the|a) (?:e-?mail|message|mail) as (?:spam|junk)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a complaint names."""

    type: str
    recipients: tuple[str, ...]


def read_feedback(mail: Part, parts: list[Part], copy: Fields) -> Feedback | None:
    """Return the complaint a mail is, if it is one."""
    fields = _report_fields(mail, parts)
    if fields is None:
        reported = next((copy.get(name) for name in _REPORTED_BY if copy.get(name)), "")
        if not (reported and address_in(reported)) and not _resembles_one(mail, parts, copy):
            return None
        fields = Fields()
    kind = re.split(r"[\s;(]", fields.get("feedback-type").strip().lower())[0] or "abuse"
    return Feedback(type=kind, recipients=_recipients(fields, copy))


def _report_fields(mail: Part, parts: list[Part]) -> Fields | None:
    for part in parts:
        if part.type == "message/feedback-report":
            return read_fields(part.text.lstrip("\n"))
    is_report = mail.parameters.get("report-type", "").lower() == "feedback-report"
    for part in parts:
        if part.type == "text/plain" and (found := _TYPE.search(part.text)):
            fields = read_fields(part.text[found.start() :])
            if is_report or {"user-agent", "version"} <= {name for name, _ in fields.items}:
                return fields
    return Fields() if is_report else None


def _resembles_one(mail: Part, parts: list[Part], copy: Fields) -> bool:
    """Whether a mail without a report part says that it is a complaint, and brings the mail."""
    if not copy.items:
        return False
    if mail.fields.get("x-xarf") and any(_XARF_SPAM.search(part.text) for part in parts):
        return True
    if not _COMPLAINT_SUBJECT.search(mail.fields.words("subject")):
        return False
    return bool(mail.fields.get("x-loop") or mail.fields.get("feedback-type")) or any(
        _COMPLAINT_TEXT.search(part.text) for part in parts if part.type == "text/plain"
    )


def _recipients(fields: Fields, copy: Fields) -> tuple[str, ...]:
    """Return who complained: as the report says, else whom the reported mail was for."""
    for name in ("original-rcpt-to", "removal-recipient", "x-original-rcpt-to"):
        named = [address for value in fields.all(name) for address in addresses_in(value)]
        if named:
            return tuple(dict.fromkeys(named))
    for name in (*_REPORTED_BY, "x-original-to", "delivered-to", "to"):
        if named := addresses_in(copy.get(name)):
            return tuple(named)
    return ()
