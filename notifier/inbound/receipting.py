"""Turn a mail that came back into receipts: what became known of our message.

Pure. Which of our messages it is about is found by the caller, by the return path's token or the Message-ID.
"""

from hashlib import blake2b
from uuid import UUID

from notifier.inbound.reasons import bounce_class
from notifier.inbound.report import MailReport, RecipientReport, ReportKind
from notifier.receipts import Receipt, ReceiptKind

SOURCE = "mail"
"""``Receipt.source`` of what comes by mail."""
_TEXT = 2000
# Of RFC 5965's types these are a recipient's own verdict; auth-failure is a server's report about our DNS (RFC 6591).
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other"})
_OPT_OUTS = frozenset({"opt-out", "opt-out-list"})


def receipts_of(report: MailReport, *, message: UUID | None = None) -> tuple[Receipt, ...]:
    """Return what a report says of our message, one receipt for each recipient; none for ordinary mail.

    Args:
        report: The mail, read.
        message: Our message's id, where the return path it came to says it. The receipts carry the original
            Message-ID as well.
    """
    found = []
    for recipient in report.recipients:
        kind = _kind(report, recipient)
        if kind is not None:
            found.append(_receipt(report, recipient, kind, message))
    return tuple(found)


def _kind(report: MailReport, recipient: RecipientReport) -> ReceiptKind | None:
    if report.kind is ReportKind.BOUNCE:
        return ReceiptKind.DEFERRED if recipient.action == "delayed" else ReceiptKind.BOUNCED
    if report.kind is ReportKind.COMPLAINT:
        if report.feedback_type in _OPT_OUTS:
            return ReceiptKind.UNSUBSCRIBED
        return ReceiptKind.COMPLAINED if report.feedback_type in _COMPLAINTS else None
    if report.kind is ReportKind.AUTO_REPLY:
        return ReceiptKind.AUTO_REPLIED
    # Relayed and expanded (RFC 3464 §2.3.3) only promise that nobody will hear more.
    return ReceiptKind.DELIVERED if recipient.action in {"delivered", "delivery"} else None


def _receipt(
    report: MailReport, recipient: RecipientReport, kind: ReceiptKind, message: UUID | None
) -> Receipt:
    is_bounce = kind is ReceiptKind.BOUNCED
    return Receipt(
        kind=kind,
        at=report.received_at,
        source=SOURCE,
        key=_key(report, recipient, kind),
        message=message,
        message_id=report.original.message_id,
        recipient=recipient.address,
        bounce=bounce_class(recipient.reason, hard=recipient.hard) if is_bounce else None,
        reason=recipient.reason if kind in {ReceiptKind.BOUNCED, ReceiptKind.DEFERRED} else None,
        status=recipient.status,
        code=recipient.code,
        text=recipient.diagnostic[:_TEXT],
        detail={"feedback_type": report.feedback_type} if report.feedback_type else {},
    )


def _key(report: MailReport, recipient: RecipientReport, kind: ReceiptKind) -> str:
    """Return the same for the same fact: the report's Message-ID, else what it says and of which message."""
    told = (
        report.message_id
        or f"{report.original.message_id}|{report.received_at.isoformat()}|{recipient.diagnostic}"
    )
    return blake2b(f"{told}|{recipient.address.lower()}|{kind}".encode(), digest_size=16).hexdigest()
