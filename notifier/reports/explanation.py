"""Say why: what the rules made of an event, who was told and where that stands, and what was not done.

Pure over what is stored; also for events that were refused or could not be processed.
"""

from dataclasses import dataclass

from notifier.events import Json
from notifier.reports.history import EventHistory
from notifier.reports.letters import LetterSummary
from notifier.reports.sealed import Withheld
from notifier.reports.timeline import moment, standing


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """One rule for the event's type: what became of it, why, and the facts it looked at."""

    rule: str
    verdict: str
    reason: str
    facts: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One recipient: where the notification stands and why."""

    notification_id: str
    rule: str
    reason: str
    """Why they get it."""
    recipient: Json
    channels: tuple[str, ...]
    """The plan; a fallback takes the next."""
    state: str
    standing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to "why"."""

    event_id: str | None
    """None where the event was never stored."""
    tenant: str
    source: str
    external_id: str
    type: str | None
    subject: str | None
    verdict: str
    """``notified``, ``silent``, ``refused`` or ``poison``."""
    rules_hash: str | None
    rules: tuple[RuleVerdict, ...]
    notifications: tuple[Told, ...]
    notes: tuple[str, ...]
    dead_letter: LetterSummary | None = None


def explain_event(
    event: EventHistory, letter: LetterSummary | None = None, outlook: tuple[str, ...] = ()
) -> Explanation:
    """Explain an event that was stored.

    ``letter`` is what became of an earlier delivery of it; ``outlook`` where the alerts stand it speaks of.
    """
    rules = (
        () if isinstance(event.decision, Withheld) else tuple(RuleVerdict(**one) for one in event.decision)
    )
    return Explanation(
        event_id=str(event.id), tenant=event.tenant, source=event.source, external_id=event.external_id,
        type=event.type, subject=event.subject, verdict="notified" if event.notified else "silent",
        rules_hash=event.rules_hash, rules=rules,
        notifications=tuple(
            Told(
                notification_id=str(one.id), rule=one.rule, reason=one.reason, recipient=one.recipient,
                channels=one.channels, state=one.state, standing=standing(one),
            )
            for one in event.notifications
        ),
        notes=(*_notes(event, rules, letter), *outlook), dead_letter=letter,
    )  # fmt: skip


def explain_letter(letter: LetterSummary) -> Explanation:
    """Explain an event that was not accepted."""
    where = f"{letter.field}: " if letter.field else ""
    whose = {
        "refused": "refused: correct it and send it again with the same id",
        "poison": "it passed every check and could not be processed: the fault is ours",
    }[letter.kind]
    notes = [
        f"{where}{letter.error}",
        whose,
        f"it came {_times(letter.seen)}, last {moment(letter.last_at)}; nothing of it was stored or sent",
    ]
    if letter.retried_at is not None:
        notes.append(f"given back to the intake {moment(letter.retried_at)}; nothing has come of it yet")
    else:
        notes.append(f"`notifier dead retry {letter.id}` gives it another chance")
    return Explanation(
        event_id=None, tenant=letter.tenant, source=letter.source, external_id=letter.external_id,
        type=letter.type, subject=None, verdict=letter.kind, rules_hash=None, rules=(), notifications=(),
        notes=tuple(notes), dead_letter=letter,
    )  # fmt: skip


def _notes(event: EventHistory, rules: tuple[RuleVerdict, ...], letter: LetterSummary | None) -> list[str]:
    key = f"{event.tenant} / {event.source} / {event.external_id}"
    notes = [f"stored once, however often it came: {key} is one event, and the same id again changes nothing"]
    if isinstance(event.decision, Withheld):
        notes.append(f"the reasons cannot be shown: {event.decision.value}")
    elif not rules:
        notes.append(f"no rule is for {event.type}: nobody is told")
    before = event.notified - len(event.notifications)
    if before > 0:
        notes.append(f"{before} of {event.notified} were told before, for the same cause: not told again")
    if letter is not None:
        notes.append(f"an earlier delivery of it was {letter.kind}: {letter.error}")
    return notes


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
