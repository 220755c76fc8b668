"""One mail that came in, with what its readers ask of it: sender, subject, prose, the copy of our message.

Says who seems to have sent it; does not say what it is.
"""

from functools import cached_property

from notifier.inbound.addresses import (
    addresses_in,
    is_daemon,
    is_list_manager,
    is_mail_system,
    is_role,
    plain,
    without_tag,
)
from notifier.inbound.labels import addresses_of_nobody_else
from notifier.inbound.prose import split_at_copy
from notifier.inbound.reasons import ordinary
from notifier.inbound.report import RecipientReport
from notifier.inbound.signs import has_sign, pattern
from notifier.inbound.smtp_words import Reply, codes_in, refusals
from notifier.inbound.structure import Fields, read_fields, read_mail

_TEXT = 40_000
"""Characters of prose that are read."""
_LINES = 40
"""Lines in which a report must have said what it is."""
_SENTENCE = 6
"""Lines over which a sentence may go that has the subject of what came back in its middle."""
_NO_PATH = frozenset({"<>", "", "<mailer-daemon>", "<#@[]>"})
"""Return paths of reports: the null one (RFC 5321 §4.5.5), what a store made of it, qmail's double bounce."""
_COPIES = frozenset(
    {
        "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/partial",
        "text/rfc822",
    }
)  # fmt: skip
_BEGINNING = (
    r"^\W*(?:\[[^\]#\d]{0,40}\]\W*)?(?:(?:ihre|votre|su|sua|seu|uw|deine?|twoja)\W+)?"
    r"(?:(?:your|the|e-?mail|message|mail|auto\w*|notice|fwd?|of|avviso|aviso|avis|notifica\w*|hinweis|d[ei])\W+){0,4}"
)
_BEFORE_COLON = r"^[^:\x{ff1a}]{0,80}"
"""Behind a colon stands the subject of what came back."""
_RECEIPT = r"^\W{0,4}"
_LIST_FIELDS = (
    "list-id",
    "list-unsubscribe",
    "list-post",
    "mailing-list",
    "x-mailing-list",
    "x-list-administrivia",
)
_X_FAILED = ("x-failed-recipients", "x-failed-recipient")
_RECIPIENTS = 100
"""Recipients of one report, as of the machine-readable ones."""


def has_notice(subject: str) -> bool:
    """Say whether a subject is one of notices, before the colon that parts it from what it may quote."""
    return pattern("notice_subject", before=_BEFORE_COLON).search(subject[:500]) is not None


def is_moderated(subject: str) -> bool:
    """Say whether a subject tells that a mail waits for a moderator."""
    return pattern("moderated_subject", before=_BEFORE_COLON).search(subject[:500]) is not None


def _sentence(lines: list[str], number: int) -> str:
    """Return a line, with those before it where it goes on with what they began ("Your message ... was not")."""
    start = number - _SENTENCE if lines[number].lstrip()[:1].islower() else number
    return "\n".join(lines[max(0, start) : number + 1])


class Refusal:
    """A refusal of the SMTP dialogue a report quotes; what it is compared by is read once, however many compare."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    @cached_property
    def words(self) -> str:
        """Its text as the rules ask it."""
        return ordinary(self.reply.text)

    @cached_property
    def named(self) -> frozenset[str]:
        """The addresses it names, as :func:`~notifier.inbound.addresses.plain` writes them."""
        return frozenset(plain(one) for one in addresses_in(self.reply.text))


class Incoming:
    """A mail, with what several readers ask of it."""

    def __init__(self, data: bytes) -> None:
        self.root = read_mail(data)
        self.fields = self.root.fields
        self.parts = [part for part in self.root.walk() if not part.children]
        self.subject = self.fields.words("subject")
        self.sender = self.fields.words("from") or self.fields.words("sender")
        text = self._prose()
        self.full_text = text
        self.text, copied = split_at_copy(text)
        self.copy = self._attached_copy() or copied
        self.judged: dict[tuple[str, tuple[Refusal, ...]], RecipientReport] = {}
        """What the words of recipients came to: of a long list, all share the same."""

    def _prose(self) -> str:
        plain_texts = [
            part.text
            for part in self.parts
            if part.type == "text/plain" or "/" not in part.type or part.type.startswith("multipart/")
        ]
        if not any(text.strip() for text in plain_texts):
            plain_texts = [part.text for part in self.parts if part.type == "text/html"]
        return "\n".join(plain_texts)[:_TEXT]

    def _attached_copy(self) -> Fields | None:
        for part in self.parts:
            if part.type in _COPIES:
                head = part.body.lstrip(b"\n")
                found = read_fields(head.partition(b"\n\n")[0])
                if found.items:
                    return found
        return None

    @cached_property
    def has_report_subject(self) -> bool:
        """Whether the subject is one of reports."""
        return has_sign("subject", self.subject[:500])

    @cached_property
    def begins_like_report(self) -> bool:
        """Whether the subject begins with words of reports, rather than speaks of one."""
        return pattern("subject", before=_BEGINNING).search(self.subject[:500]) is not None

    @cached_property
    def refusals(self) -> list[Refusal]:
        """The refusals of the SMTP dialogues the report quotes."""
        return [Refusal(reply) for reply in refusals(self.text)]

    @cached_property
    def told(self) -> str:
        """All that a report says: its text, and its subject but for the one of what came back."""
        ours = self.copy.words("subject").strip()
        return f"{self.text}\n{self.subject.replace(ours, '') if ours else self.subject}"

    @cached_property
    def listed(self) -> list[str]:
        """The failed recipients a header field lists (Exim, Gmail)."""
        found = [one for name in _X_FAILED for one in addresses_in(self.fields.get(name))]
        return found[:_RECIPIENTS]

    @cached_property
    def is_named_system(self) -> bool:
        """Whether the sender calls itself a mail system, or sends what only they send."""
        is_report = self.root.type == "multipart/report" and self.report_type in {"", "delivery-status"}
        return is_report or self.rejects_by_receipt or is_mail_system(self.sender) or bool(self.listed)

    @cached_property
    def report_type(self) -> str:
        """What kind of report the mail declares itself to be (RFC 6522); read receipts are one (RFC 8098)."""
        return self.root.parameters.get("report-type", "").lower()

    @cached_property
    def is_daemon(self) -> bool:
        """Whether the sender's name is one that only stands on reports."""
        return is_daemon(self.sender)

    @cached_property
    def is_of_list(self) -> bool:
        """Whether it came by a mailing list or is a newsletter (RFC 2369, RFC 2919)."""
        return any(self.fields.get(name) for name in _LIST_FIELDS) or (
            self.fields.get("precedence").strip().lower() == "list"
        )

    @cached_property
    def is_lists_own(self) -> bool:
        """Whether a mail system, or the program that runs a list, speaks for itself rather than for a member."""
        return self.is_named_system or is_list_manager(self.sender)

    @cached_property
    def is_notice(self) -> bool:
        """Whether the subject is one of notices that list mails or warn of a full mailbox of one's own."""
        is_shown = bool(self.copy.items or self.listed or (self.is_named_system and self.begins_like_report))
        return is_moderated(self.subject) or (not is_shown and has_notice(self.subject))

    @cached_property
    def has_disposition(self) -> bool:
        """Whether it tells machines what became of a mail in the mailbox (RFC 8098)."""
        return self.report_type == "disposition-notification" or any(
            part.type == "message/disposition-notification" for part in self.parts
        )

    @cached_property
    def rejects_by_receipt(self) -> bool:
        """Whether a receipt says that the mail was refused, as Sieve's ``reject`` may (RFC 5429)."""
        return self.has_disposition and has_sign("rejected_receipt", self.text)

    @cached_property
    def is_read_receipt(self) -> bool:
        """Whether it tells that a mail was displayed or deleted (RFC 8098), for machines or only for people."""
        return (
            not self.rejects_by_receipt
            and (
                self.has_disposition
                # Sendmail calls its reports of success "Return receipt", too.
                or (
                    not self.is_named_system
                    and pattern("receipt_subject", before=_RECEIPT).search(self.subject[:500]) is not None
                )
            )
        )

    @cached_property
    def names_code(self) -> bool:
        """Whether the prose holds a refusing reply code or an enhanced one."""
        return any(codes_in(self.text))

    @cached_property
    def speaks_of_mail(self) -> bool:
        """Whether what came back is mail: said in the subject, or in a line that says that it did."""
        if has_sign("mail_word", self.subject[:500]):
            return True
        lines = self.text.split("\n", _LINES)[:_LINES]
        return any(
            has_sign("opening", line) and has_sign("mail_word", _sentence(lines, number))
            for number, line in enumerate(lines)
        )

    @cached_property
    def is_of_thread(self) -> bool:
        """Whether it answers another mail, as people's do."""
        return bool(self.fields.get("in-reply-to") or self.fields.get("references"))

    @cached_property
    def is_from_system(self) -> bool:
        """Whether a mail system sent it, by its name or its empty return path."""
        return self.is_named_system or self.has_no_path

    @cached_property
    def has_no_path(self) -> bool:
        """Whether nobody was to be told if it came back itself, as of reports (RFC 5321 §4.5.5)."""
        path = self.fields.get("return-path").strip().lower()
        return bool(self.fields.all("return-path")) and (path in _NO_PATH or is_mail_system(path))

    @cached_property
    def original_recipients(self) -> tuple[str, ...]:
        """Whom the returned message was for, as its copy says."""
        found = [
            one
            for name in ("x-original-to", "delivered-to", "to", "cc", "envelope-to", "x-envelope-to")
            for one in addresses_in(self.copy.get(name))
        ]
        return tuple(dict.fromkeys(found))

    @cached_property
    def others_named(self) -> list[str]:
        """The addresses its text names that are neither its reader's nor a mail system's."""
        own = {plain(one) for one in self.own_addresses}
        return [
            one for one in addresses_of_nobody_else(self.text) if plain(one) not in own and not is_role(one)
        ]

    @cached_property
    def sent_to(self) -> tuple[str, ...]:
        """Whom it was sent to: one of them is the return path that tells our message."""
        return tuple(
            dict.fromkeys(
                found
                for name in ("delivered-to", "x-original-to", "envelope-to", "to")
                for value in self.fields.all(name)
                for found in addresses_in(value)
            )
        )

    @cached_property
    def own_addresses(self) -> tuple[str, ...]:
        """Whom the report was sent to: the sender of what came back."""
        there = [
            one
            for name in ("from", "return-path", "sender", "reply-to")
            for one in addresses_in(self.copy.get(name))
        ]
        found = [*self.sent_to, *there, *addresses_in(self.sender)]
        return tuple(dict.fromkeys([*found, *(without_tag(one) for one in found)]))
