"""Weigh what a report says of one recipient: whose words, which codes, which command; then ask the rules.

Decides by ``reasons.yaml`` only.
"""

import re
from dataclasses import replace

from notifier.inbound.delivery_status import StatusGroup
from notifier.inbound.incoming import Incoming, Refusal
from notifier.inbound.reasons import Evidence, ordinary, rules
from notifier.inbound.report import Phase, RecipientReport
from notifier.inbound.signs import has_sign
from notifier.inbound.smtp_words import codes_in, is_generic, phase_in, refusals, reply_in

_SENDMAIL_REASON = re.compile(r"\(reason:\s?([^\n]{1,500})\)")


def judged(
    mail: Incoming,
    address: str,
    aliases: tuple[str, ...],
    group: StatusGroup | None,
    words: str,
    *,
    others: frozenset[str] = frozenset(),
    theirs: frozenset[str] = frozenset(),
) -> RecipientReport:
    """Weigh what was said about a recipient.

    Args:
        mail: The report.
        address: The recipient.
        aliases: Other names of theirs.
        group: What machines are told of them, if anything.
        words: What people are told of them.
        others: The other recipients, as :func:`~notifier.inbound.addresses.plain` writes them.
        theirs: Replies that stand among the words about others alone.
    """
    words = words or ("" if group is not None else mail.text)
    refused = tuple(
        one for one in mail.refusals if one.reply.text not in theirs and others.isdisjoint(one.named)
    )
    if group is not None:
        report = _report(mail, refused, group, words)
    elif (held := mail.judged.get((words, refused))) is not None:
        report = held
    else:
        report = mail.judged[words, refused] = _report(mail, refused, None, words)
    return replace(report, address=address, aliases=aliases)


def _report(
    mail: Incoming, refused: tuple[Refusal, ...], group: StatusGroup | None, words: str
) -> RecipientReport:
    """Weigh what was said, of whomever."""
    said, phase = _said(refused, group, words)
    code, status = codes_in(said)
    if group is not None and is_generic(status):
        told = codes_in(group.diagnostic)[1]
        status = next((one for one in (group.status, told) if not is_generic(one)), status or group.status)
    if code is None and status is None:
        code, status = codes_in(words)
    action = "delayed" if _is_delayed(mail, group, status, code) else "failed"
    evidence = Evidence(
        said=ordinary(said), around=ordinary(words), whole=mail.told, status=status, code=code,
        phase=phase or phase_in(words), action=action, is_local=group is not None and group.is_local,
    )  # fmt: skip
    reason = rules().reason(evidence)
    return RecipientReport(
        address="", status=status, code=code, reason=reason, action=action,
        hard=rules().is_hard(reason, status, code), diagnostic=said[:2000],
    )  # fmt: skip


def _is_delayed(mail: Incoming, group: StatusGroup | None, status: str | None, code: int | None) -> bool:
    """Whether the message is still under way: as the fields say, or in their absence the words for people."""
    if group is not None:
        return group.action == "delayed"
    if (status or str(code or "")).startswith("5"):
        return False
    text = f"{mail.subject[:300]}\n{mail.text}"
    return has_sign("delay", text) and not has_sign("given_up", text)


def _said(refused: tuple[Refusal, ...], group: StatusGroup | None, words: str) -> tuple[str, Phase | None]:
    """Return the refusing server's words about a recipient, and the command they answered."""
    told = (group.diagnostic or group.comment) if group is not None else ""
    if not told and (found := _SENDMAIL_REASON.search(words)):
        told = found[1]
    if told:
        start = ordinary(told)[:40]
        for one in refused:
            if start and one.words.startswith(start):
                return (one.reply.text if len(one.reply.text) > len(told) else told), one.reply.phase
        return reply_in(told) or told, phase_in(told)
    shared = [one.reply for one in refused] if len(refused) == 1 or not words else []
    if inside := list(refusals(words)) or shared:
        return inside[0].text, inside[0].phase
    return reply_in(words) or "", phase_in(words)
