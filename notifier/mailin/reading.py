"""Read one mail for the door it came to; runs in a reader, where hostile bytes can do no harm.

Pure; what it returns is believed no further than a mail is.
"""

from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import Final

from notifier.events import Json
from notifier.inbound.machines import machine_sign
from notifier.inbound.reading import read_report
from notifier.inbound.receipting import SOURCE, receipts_of
from notifier.inbound.report import MailReport, ReportKind
from notifier.receipts import Receipt, ReceiptKind

EMPTY_PATH: Final = b"Return-Path: <>\r\n"
"""How a mail begins that wants no answer: a bounce, or another machine's word (RFC 5321 §4.5.5)."""


def read(mail: bytes, received_at: datetime) -> Json:
    """Return what a mail says: receipts, the return paths it names, and whether we understand it.

    And what shows that no person sent it, for the address where a mail unsubscribes.
    """
    report = read_report(mail, received_at=received_at)
    machine = machine_sign(mail)
    says_nothing = report.kind is ReportKind.OTHER and not report.recipients and not report.is_read_receipt
    has_path = not mail.startswith(EMPTY_PATH)
    is_answer = says_nothing and has_path and machine in {None, "no sender"}
    receipts = [_answer(received_at)] if is_answer else list(receipts_of(report))
    return {
        "receipts": [one.to_json() for one in _named(receipts, report, mail)],
        "return_paths": [path for path in (report.original.return_path, *report.sent_to) if path],
        "is_understood": has_path or not says_nothing,
        "machine": machine,
    }


def _answer(received_at: datetime) -> Receipt:
    """Return a person's answer; of what it says nothing is kept."""
    return Receipt(kind=ReceiptKind.REPLIED, at=received_at, source=SOURCE, key="answer")


def _named(receipts: list[Receipt], report: MailReport, mail: bytes) -> list[Receipt]:
    """Return them with keys that are the same when the mail comes again, also where it has no name of its own."""
    name = mail if report.message_id is None else report.message_id.encode("utf-8", "replace")
    digest = blake2b(name, digest_size=16).hexdigest()
    return [replace(one, key=f"{digest}:{one.kind}:{place}") for place, one in enumerate(receipts)]
