"""Read one mail that came back: what it is, whom it is about, why, and which message it answers.

Pure, and never raises, whatever the bytes: what cannot be understood is ``other``.
"""

import re
from datetime import datetime

from notifier.inbound.addresses import address_in, plain, same
from notifier.inbound.automatic import has_automatic_subject, is_automatic
from notifier.inbound.delivery_status import StatusGroup, groups_in_prose, read_groups
from notifier.inbound.feedback import read_feedback
from notifier.inbound.incoming import Incoming
from notifier.inbound.judging import judged
from notifier.inbound.prose import Mention, mentions
from notifier.inbound.provider_notices import Notice, read_notice
from notifier.inbound.report import MailReport, Original, RecipientReport, ReportKind
from notifier.inbound.smtp_words import refusals
from notifier.inbound.structure import read_fields
from notifier.inbound.telling import asks_about_report, blames_one, is_reply, may_be_report, names_enough

_FORWARDED = re.compile(r"\s{0,4}(?:fwd?|wg|tr|rv|enc)\s{0,3}:", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")


def read_report(mail: bytes, *, received_at: datetime) -> MailReport:
    """Return what a mail says to the sender of another.

    Args:
        mail: The mail as it came, any bytes; of very long ones the beginning is read.
        received_at: When it came.
    """
    one = Incoming(mail)
    kind, recipients, feedback_type = _read(one)
    return MailReport(
        kind=kind,
        received_at=received_at,
        recipients=recipients,
        feedback_type=feedback_type,
        original=_original(one),
        message_id=_id_in(one.fields.get("message-id")),
        is_read_receipt=kind is ReportKind.OTHER and one.is_read_receipt,
        sent_to=one.sent_to,
    )


_Reading = tuple[ReportKind, tuple[RecipientReport, ...], str | None]


def _read(mail: Incoming) -> _Reading:
    if mail.is_read_receipt:
        return ReportKind.OTHER, (), None
    if notice := read_notice(mail.full_text):
        return _of_notice(mail, notice)
    if feedback := read_feedback(mail.root, mail.parts, mail.copy):
        complained = tuple(
            RecipientReport(address=one, reason="feedback", action="complained")
            for one in feedback.recipients
        )
        return ReportKind.COMPLAINT, complained, feedback.type
    if groups := _groups(mail):
        return _of_groups(mail, groups)
    return _of_prose(mail)


def _of_prose(mail: Incoming) -> _Reading:
    """Read a mail without machine-readable fields."""
    # Exim and Postfix mark their own reports as automatic replies.
    # Who answers without a way back is no person (RFC 3834 §3.3).
    is_machines = mail.has_no_path and is_reply(mail) and not mail.is_named_system
    is_answer = is_machines or is_automatic(mail.fields, mail.text)
    is_answers_subject = has_automatic_subject(mail.fields) or (
        is_reply(mail) and not mail.has_report_subject and not mail.names_code
    )
    if is_answer and (is_answers_subject or not mail.is_named_system):
        return _of_reply(mail)
    if found := _from_prose(mail):
        return ReportKind.BOUNCE, found, None
    return _of_reply(mail) if is_answer else (ReportKind.OTHER, (), None)


def _of_reply(mail: Incoming) -> _Reading:
    sender = address_in(mail.fields.get("from"))
    replied = (RecipientReport(address=sender, reason="vacation", action="replied"),) if sender else ()
    return ReportKind.AUTO_REPLY, replied, None


def _of_notice(mail: Incoming, notice: Notice) -> _Reading:
    mail.copy = notice.copy
    if notice.kind == "Complaint":
        complained = tuple(
            RecipientReport(address=one.address or "", reason="feedback", action="complained")
            for one in notice.groups
        )
        return ReportKind.COMPLAINT, complained, notice.feedback_type or "abuse"
    return _of_groups(mail, list(notice.groups))


def _groups(mail: Incoming) -> list[StatusGroup]:
    """Return the machine-readable recipients: from the part for them, else from text they were moved to."""
    for part in mail.parts:
        if part.is_status and (found := read_groups(part)):
            return found
    if is_reply(mail) or asks_about_report(mail) or (mail.is_of_list and not mail.is_named_system):
        return []
    # A report somebody forwarded to us is one still; somebody's mail about a report is not.
    is_somebodys = mail.is_of_thread and not _FORWARDED.match(mail.subject)
    if not mail.is_from_system and (is_somebodys or not mail.begins_like_report):
        return []
    return groups_in_prose(mail.full_text)


def _of_groups(mail: Incoming, groups: list[StatusGroup]) -> _Reading:
    failed = [group for group in groups if group.has_failed]
    if not failed:
        passed = tuple(
            RecipientReport(
                address=one.address, status=one.status, reason="delivered", action=one.action or "delivered"
            )
            for one in groups
            if one.address
        )
        return ReportKind.OTHER, passed, None
    named = mentions(mail.text, original=mail.original_recipients, own=mail.own_addresses)
    recipients = []
    for group in failed:
        mention = _mention_of(group, named, alone=len(failed) == 1)
        address = group.address or (mention.address if mention else None) or _only_recipient(mail)
        if address is None:
            continue
        aliases = [*group.aliases, *(mention.aliases if mention else ())]
        if mention is not None and not same(mention.address, address):
            aliases.append(mention.address)
        recipients.append(
            judged(mail, address, tuple(dict.fromkeys(aliases)), group, mention.words if mention else "")
        )
    return ReportKind.BOUNCE, tuple(recipients), None


def _mention_of(group: StatusGroup, named: list[Mention], *, alone: bool) -> Mention | None:
    names = {plain(one) for one in (group.address, *group.aliases) if one}
    for mention in named:
        if names & {plain(one) for one in (mention.address, *mention.aliases)}:
            return mention
    return named[0] if alone and len(named) == 1 else None


def _only_recipient(mail: Incoming) -> str | None:
    listed = mail.listed
    return (
        listed[0] if listed else (mail.original_recipients[0] if len(mail.original_recipients) == 1 else None)
    )


def _from_prose(mail: Incoming) -> tuple[RecipientReport, ...]:
    """Return the recipients a report for people names; nobody where a mail is none."""
    if not may_be_report(mail):
        return ()
    listed = mail.listed
    named = mentions(mail.text, original=(*mail.original_recipients, *listed), own=mail.own_addresses)
    if not named and mail.is_named_system and not mail.others_named:
        # Some name the recipient in the subject alone.
        text = f"{mail.subject[:500]}\n{mail.text}"
        named = mentions(text, original=mail.original_recipients, own=mail.own_addresses)
    if listed:
        by_name = {plain(one.address): one for one in named}
        named = [
            by_name.get(plain(one)) or Mention(address=one, aliases=(), words="", score=0) for one in listed
        ]
    if not names_enough(mail, named):
        return ()
    if not named:
        named = [Mention(address=one, aliases=(), words="", score=0) for one in _fallback(mail)]
    names = frozenset(plain(one.address) for one in named)
    replies = [frozenset(reply.text for reply in refusals(one.words)) for one in named]
    said = frozenset().union(*replies)
    return tuple(
        judged(
            mail,
            one.address,
            one.aliases,
            None,
            one.words,
            others=names - {plain(one.address)},
            theirs=said - own,
        )
        for one, own in zip(named, replies, strict=True)
    )


def _fallback(mail: Incoming) -> list[str]:
    """Return the recipient where the report labels none: the copy's, or the only address a mail system names."""
    own = {plain(one) for one in mail.own_addresses}
    found = [one for one in mail.original_recipients if plain(one) not in own]
    is_reports = mail.is_named_system and (mail.has_report_subject or mail.has_no_path)
    if not found and (mail.is_daemon or is_reports or blames_one(mail)):
        found = mail.others_named
    return found if len(found) == 1 else []


def _original(mail: Incoming) -> Original:
    named = _id_in(mail.copy.get("message-id"))
    if named is None:
        for name in ("x-original-message-id", "in-reply-to"):
            named = (
                named
                or _id_in(mail.fields.get(name))
                or next(
                    (
                        found
                        for part in mail.parts
                        if part.is_status and (found := _id_in(read_fields(part.text).get(name)))
                    ),
                    None,
                )
            )
    if named is None:
        ids = _MESSAGE_ID.findall(mail.fields.get("references"))
        named = ids[-1] if ids else None
    headers: dict[str, str] = {}
    for name, value in mail.copy.items:
        headers.setdefault(name, value)
    return Original(message_id=named, return_path=address_in(mail.copy.get("return-path")), headers=headers)


def _id_in(value: str) -> str | None:
    found = _MESSAGE_ID.search(value)
    return found[0] if found else None
