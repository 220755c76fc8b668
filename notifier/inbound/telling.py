"""Tell a mail system's report for people from what only resembles one: people's mail, notices, reports of success.

Asked of mail without machine-readable fields. Names nobody and decides no reason.
"""

import re

from notifier.inbound.addresses import is_mail_system, plain
from notifier.inbound.incoming import Incoming
from notifier.inbound.prose import Mention
from notifier.inbound.reasons import rules
from notifier.inbound.signs import has_sign, pattern

_REPLIED = re.compile(
    r"^\s{0,4}(?:re|aw|sv|antw|vs|odp|r[eé]f?|回复|答复|回信)\s{0,3}(?:\[\d+\])?\s{0,3}[:\uff1a]",
    re.IGNORECASE,
)
_PASSED = re.compile(
    r"^\W*(?:successful|delivered:|relayed:|expanded:)|delivery status notification \((?:success|relay|expanded)"
    r"|(?<!un)success\w* (?:mail )?deliver|deliver\w* (?:was |report:? )?(?<!un)success",
    re.IGNORECASE,
)
"""Subjects of reports of success (RFC 3461 §4.1)."""
_LINE = r"(?m)^[ \t>|*]{0,8}"
_VALUE = r"[ \t*]{0,4}[:\x{ff1a}][^\n]{3,300}$"
_ASKS = re.compile(r"[?\uff1f\u061f]\s|[?\uff1f\u061f]$")
_START = r"^\W{0,4}"
_CLEAR = 4
"""What a mention needs in a mail that no mail system sent, and that brings no copy of ours."""

_OWN_LINE = 5
"""What a mention needs where only a sender's name and the subject speak for a report."""


def is_reply(mail: Incoming) -> bool:
    """Say whether somebody answers, as far as the subject tells."""
    return _REPLIED.match(mail.subject) is not None


def asks_about_report(mail: Incoming) -> bool:
    """Say whether somebody put a question of their own above a mail system's report; handed on bare, it is one."""
    if mail.is_from_system:
        return False
    for found in pattern("quoted_sender", before=_LINE, behind=_VALUE).finditer(mail.full_text):
        sender = found[0].replace("\uff1a", ":").partition(":")[2]
        if is_mail_system(sender) and not any(one.lower() in sender.lower() for one in mail.own_addresses):
            above = mail.full_text[: found.start()]
            return _ASKS.search(above) is not None or has_sign("person", above)
    return False


def may_be_report(mail: Incoming) -> bool:
    """Say whether a mail may be a report that something came back, by its sender, subject and words."""
    if is_reply(mail) and not mail.is_named_system:
        return False
    if asks_about_report(mail) or not _is_about_mail(mail):
        return False
    if mail.is_notice or _tells_success(mail) or (mail.is_of_list and not mail.is_lists_own):
        return False
    says_so = has_sign("opening", mail.text)
    if mail.is_named_system:
        # Of a daemon the shape is enough, in whatever language it speaks.
        return says_so or mail.has_report_subject or mail.is_daemon or blames_one(mail)
    if mail.is_from_system:
        return mail.begins_like_report or (says_so and (mail.has_report_subject or bool(mail.copy.items)))
    return says_so and mail.begins_like_report and not mail.is_of_thread and _is_about_our_mail(mail)


def _is_about_mail(mail: Incoming) -> bool:
    """Whether it is mail that did not arrive: of a mail system no parcel, and of a mere null path no build."""
    if mail.copy.items or mail.listed or mail.names_code or not mail.is_from_system:
        return True
    if has_sign("mail_word", f"{mail.subject[:500]}\n{mail.text}"):
        return True
    return mail.is_named_system and not has_sign("acknowledges", mail.text)


def names_enough(mail: Incoming, named: list[Mention]) -> bool:
    """Say whether a report names its recipients clearly enough for what else speaks for it."""
    if mail.copy.items or mail.listed:
        return True
    best = max((one.score for one in named), default=0)
    if not mail.is_from_system:
        return best >= _CLEAR
    if mail.names_code:
        return True
    if _is_about_reader(mail, named):
        return False
    if any(one.is_announced for one in named) or mail.is_daemon:
        return True
    return _is_told(mail, best) or blames_one(mail)


def _is_told(mail: Incoming, best: int) -> bool:
    """Whether a mail system's subject, words and best mention add up; a null return path speaks for it, too."""
    is_clear = best >= _OWN_LINE or has_sign("your_mail", mail.text)
    says_so = _says_in_subject(mail)
    if says_so and is_clear:
        return True
    if not mail.is_named_system or best < _CLEAR:
        return False
    if mail.has_no_path:
        return says_so or is_clear
    return says_so and _lost_its_path(mail) and rules().explains(mail.text)


def _says_in_subject(mail: Incoming) -> bool:
    """Whether the subject is a report's; a mail system's may say it in the words of a report's first line."""
    subject = mail.subject[:500]
    return mail.has_report_subject or (
        mail.is_named_system and (has_sign("opening", subject) or has_sign("delay", subject))
    )


def blames_one(mail: Incoming) -> bool:
    """Say whether a mail system that wants no answer says what is wrong with the only address it names."""
    if not mail.is_named_system or mail.is_of_thread or has_sign("teaches", mail.text):
        return False
    wants_none = mail.has_no_path or (_lost_its_path(mail) and _says_in_subject(mail))
    if not wants_none or len(mail.others_named) != 1 or _is_at_own_domain(mail, mail.others_named[0]):
        return False
    return _is_late(mail, mail.others_named[0]) or rules().blames_recipient(mail.text)


def _lost_its_path(mail: Incoming) -> bool:
    """Whether a store dropped the return path, so that it may have been none; a person has one."""
    return not (mail.fields.all("return-path") or has_sign("person", mail.text))


def _is_late(mail: Incoming, address: str) -> bool:
    """Whether the line that names an address says what became of a message, and the mail that it is late."""
    line = next((line for line in mail.text.split("\n") if address in line), "")
    says_so = has_sign("opening", line) or has_sign("delay", line)
    return says_so and has_sign("delay", f"{mail.subject[:300]}\n{mail.text}")


def _is_at_own_domain(mail: Incoming, address: str) -> bool:
    """Whether an address may be a desk of its reader's own house, at its domain, one above or one below."""
    domain = _domain(address)
    return any(domain.endswith(_domain(one)) or _domain(one).endswith(domain) for one in mail.sent_to)


def _domain(address: str) -> str:
    """Return the domain with a dot before it, so that its ends are domains."""
    return "." + address.rpartition("@")[2].lower()


def _tells_success(mail: Incoming) -> bool:
    subject = mail.subject[:500]
    if _PASSED.search(subject) or pattern("passed_subject", before=_START).search(subject):
        return True
    is_failure = mail.names_code or has_sign("failed_text", mail.text)
    return not is_failure and has_sign("passed_text", mail.text)


def _is_about_our_mail(mail: Incoming) -> bool:
    """Whether what came back is a mail of ours, not a parcel, and no person or desk tells of it."""
    if has_sign("acknowledges", mail.text):
        return False
    if mail.copy.items:
        return True
    speaks_of_it = mail.names_code or (mail.speaks_of_mail and has_sign("your_mail", mail.text))
    is_question = mail.subject.rstrip().endswith("?") and ":" not in mail.subject
    return (
        speaks_of_it
        and not is_question
        and not (has_sign("person", mail.text) or has_sign("teaches", mail.text))
    )


def _is_about_reader(mail: Incoming, named: list[Mention]) -> bool:
    """Whether a text speaks of nobody but its reader: a warning of a full mailbox, or bait for a password."""
    if not mail.is_daemon and has_sign("own_mailbox", mail.text):
        return True
    own = {plain(one) for one in mail.own_addresses}
    return bool(named) and all(plain(one.address) in own for one in named)
