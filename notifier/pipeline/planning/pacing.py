"""Ask, before messages are made, what each person set and what room is left: told now, later or never.

Loads the facts, in order of keys, and notes who is told; what is held is written by who makes the messages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from notifier.catalog import EventType
from notifier.crypto import Keyring
from notifier.decisions import ChannelStep, Contact
from notifier.events import Recipient, Urgency
from notifier.logs import get_logger
from notifier.messages import ChannelName, Preference
from notifier.pipeline.composing.jobs import Job
from notifier.recipients.budgets import Budget, budget_for
from notifier.recipients.personal import (
    Kind,
    Personal,
    PersonFacts,
    digest_key,
    is_exempt,
    when_to_release,
    when_to_tell,
)
from notifier.recipients.wishes import NO_WISHES, Wishes
from notifier.recipients.wishes_form import WishesRefused, read_wishes
from notifier.store.database import Connection
from notifier.store.held import oldest_held
from notifier.store.told import ToldRow, insert_told, load_told, lock_told
from notifier.store.wishes import Kept, KeptWishes, find_wishes

log = get_logger("pacing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One person is to be told one thing, on one of these channels."""

    tenant: str
    person: UUID
    recipient: Recipient
    entry: EventType
    category: str
    urgency: Urgency
    steps: Sequence[ChannelStep]
    severity: str | None = None
    ignore_quiet: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """The verdict, and which of the steps it is about."""

    verdict: Personal
    position: int

    @property
    def is_now(self) -> bool:
        """Tell whether nothing holds it back."""
        return self.verdict.kind is Kind.NOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What one person set, and where."""

    wishes: Wishes = NO_WISHES
    contact: Contact | None = None
    zone: str | None = None


@dataclass(slots=True, kw_only=True)
class _Ledger:
    """What people were told and what waits for them, as the batch goes on."""

    sent: dict[tuple[UUID, str], list[datetime]] = field(default_factory=dict)
    """By person and channel."""
    last: dict[tuple[UUID, str, str], datetime] = field(default_factory=dict)
    """By person, channel and category."""
    waiting: dict[tuple[UUID, str], datetime] = field(default_factory=dict)
    """By person and digest key."""
    fresh: list[ToldRow] = field(default_factory=list)

    def tell(self, row: ToldRow) -> None:
        """Count a message that is made now."""
        self.count(row.person_id, row.channel, row.category, row.at)
        self.fresh.append(row)

    def count(self, person: UUID, channel: str, category: str, at: datetime) -> None:
        """Count a message."""
        self.sent.setdefault((person, channel), []).append(at)
        key = (person, channel, category)
        self.last[key] = max(at, self.last.get(key, at))

    def hold(self, person: UUID, key: str, at: datetime) -> None:
        """Count what waits from now on."""
        self.waiting[person, key] = min(at, self.waiting.get((person, key), at))


class Pacing:
    """Knows budgets and wishes; ``zone`` is that of people who have none."""

    def __init__(self, keyring: Keyring, budgets: Mapping[ChannelName, Budget], zone: str) -> None:
        self._keyring, self._budgets, self._zone = keyring, budgets, zone

    @property
    def memory(self) -> timedelta:
        """How far back the budgets look."""
        return max((budget.memory for budget in self._budgets.values()), default=timedelta(0))

    def judge(self, connection: Connection, asks: Sequence[Ask], now: datetime) -> list[Paced]:
        """Return a verdict for each, in their order, and count those who are told now.

        Where somebody set something or a budget holds, nobody else judges the same person before the commit.
        """
        if not asks:
            return []
        found = self._find(connection, asks)
        settings = [self._setting(found, one) for one in asks]
        is_held = [self._is_restrained(one, setting) for one, setting in zip(asks, settings, strict=True)]
        held = [(one.tenant, one.person) for one, is_ in zip(asks, is_held, strict=True) if is_]
        ledger = self._ledger(connection, held, now)
        paced = [
            self._pace(one, setting, ledger, now) if is_ or _needs_consent(one) else _FREE
            for one, setting, is_ in zip(asks, settings, is_held, strict=True)
        ]
        if ledger.fresh:
            insert_told(connection, ledger.fresh)
        return paced

    def release(self, connection: Connection, ask: Ask, now: datetime) -> Personal:
        """Return whether what waits may be told now: as far as quiet hours and room go."""
        setting = self._setting(self._find(connection, [ask]), ask)
        ledger = self._ledger(connection, [(ask.tenant, ask.person)], now)
        return when_to_release(self._facts(ask, setting, ask.steps[0].channel, ledger), now)

    def fall_back(self, connection: Connection, ask: Ask, now: datetime) -> Personal:
        """Return whether a message may move to another channel now, and count it if so."""
        setting = self._setting(self._find(connection, [ask]), ask)
        verdict = Personal(kind=Kind.NOW, reason="nothing holds it back")
        if self._is_restrained(ask, setting):
            ledger = self._ledger(connection, [(ask.tenant, ask.person)], now)
            facts = self._facts(ask, setting, ask.steps[0].channel, ledger)
            if not is_exempt(facts):
                verdict = when_to_release(facts, now)
        if verdict.kind is Kind.NOW:
            self._note(connection, ask, setting, now)
        return verdict

    def note(self, connection: Connection, ask: Ask, now: datetime) -> None:
        """Count a message that is let go."""
        self._note(connection, ask, self._setting(self._find(connection, [ask]), ask), now)

    def _note(self, connection: Connection, ask: Ask, setting: Setting, now: datetime) -> None:
        channel = ask.steps[0].channel
        if self._is_counted(setting, ask.category, channel):
            insert_told(connection, [_told(ask, channel, now)])

    def _pace(self, ask: Ask, setting: Setting, ledger: _Ledger, now: datetime) -> Paced:
        first: Personal | None = None
        for position, step in enumerate(ask.steps):
            verdict = when_to_tell(self._facts(ask, setting, step.channel, ledger), now)
            first = first or verdict
            if verdict.kind is Kind.NEVER and verdict.is_channel_only:
                continue
            if verdict.kind is Kind.NOW and self._is_counted(setting, ask.category, step.channel):
                ledger.tell(_told(ask, step.channel, now))
            elif verdict.digest is not None:
                ledger.hold(ask.person, verdict.digest, now)
            return Paced(verdict=verdict, position=position)
        if first is None:
            raise ValueError("a notification needs a channel")
        return Paced(verdict=first, position=0)

    def _facts(self, ask: Ask, setting: Setting, channel: ChannelName, ledger: _Ledger) -> PersonFacts:
        waiting = ledger.waiting.get((ask.person, digest_key(setting.wishes, ask.category, channel)))
        return PersonFacts(
            category=ask.category,
            channel=channel,
            message_class=ask.entry.message_class,
            urgency=ask.urgency,
            preference=ask.entry.preference,
            severity=ask.severity,
            ignore_quiet=ask.ignore_quiet,
            wishes=setting.wishes,
            contact=setting.contact,
            zone=setting.zone or ask.recipient.zone or self._zone,
            budget=budget_for(channel, self._budgets),
            sent=tuple(ledger.sent.get((ask.person, channel.value), ())),
            waiting=() if waiting is None else (waiting,),
            last_told_at=ledger.last.get((ask.person, channel.value, ask.category)),
        )

    def _is_restrained(self, ask: Ask, setting: Setting) -> bool:
        """Tell whether anything could hold it back: who set nothing and has no budget costs no look."""
        return setting.wishes is not NO_WISHES or bool(budget_for(ask.steps[0].channel, self._budgets).limits)

    def _is_counted(self, setting: Setting, category: str, channel: ChannelName) -> bool:
        has_budget = bool(budget_for(channel, self._budgets).limits)
        return has_budget or setting.wishes.digest_of(category) is not None

    def _ledger(self, connection: Connection, persons: Iterable[tuple[str, UUID]], now: datetime) -> _Ledger:
        ledger, wanted = _Ledger(), sorted(set(persons))
        if wanted:
            lock_told(connection, [person for _, person in wanted])
            for row in load_told(connection, wanted, now - self.memory):
                ledger.count(*row)
            ledger.waiting = oldest_held(connection, wanted)
        return ledger

    def _find(self, connection: Connection, asks: Sequence[Ask]) -> KeptWishes:
        references = [(one.tenant, one.recipient.contact) for one in asks if one.recipient.contact]
        return find_wishes(connection, self._keyring, [one.person for one in asks], references)

    def _setting(self, found: KeptWishes, ask: Ask) -> Setting:
        kept = found.by_person.get(ask.person)
        if kept is None and ask.recipient.contact:
            kept = found.by_reference.get((ask.tenant, ask.recipient.contact))
        return _NOTHING if kept is None else _read(kept, ask.person)


_NOTHING = Setting()


_FREE = Paced(verdict=Personal(kind=Kind.NOW, reason="nothing they set holds it back"), position=0)


def _needs_consent(ask: Ask) -> bool:
    return ask.entry.preference is Preference.OPT_IN


def ask_of(job: Job, position: int) -> Ask:
    """Return an ask about a stored message, from one of its channels on."""
    row = job.row
    return Ask(
        entry=job.entry,
        category=row.category,
        tenant=row.tenant,
        person=row.person_id,
        recipient=job.recipient,
        urgency=job.urgency,
        steps=job.steps[position:],
        severity=(job.event.alert or {}).get("severity"),
        ignore_quiet=row.ignore_quiet,
    )


def _read(kept: Kept, person: UUID) -> Setting:
    contact = Contact(opt_outs=kept.opt_outs)
    try:
        return Setting(wishes=read_wishes(dict(kept.wishes)), contact=contact, zone=kept.zone)
    except WishesRefused as error:
        # Written by another version: better told too much than not at all.
        log.warning("pacing.unreadable", person_id=str(person), fields=[name for name, _ in error.problems])
        return Setting(contact=contact, zone=kept.zone)


def _told(ask: Ask, channel: ChannelName, now: datetime) -> ToldRow:
    return ToldRow(
        tenant=ask.tenant, person_id=ask.person, channel=channel.value, category=ask.category, at=now
    )
