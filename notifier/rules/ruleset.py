"""Hold all rules, checked and compiled, and find those for an event type without looking at the others.

Immutable; read once when a process starts. What the rules decide stands in ``engine``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.events import Event, Json, Recipient
from notifier.recipients.paths import Missing, look_up_in_event
from notifier.recipients.resolve import addresses, expected, listed, references
from notifier.recipients.sources import Source
from notifier.rules.alerting.compile import AlertSetting
from notifier.rules.alerting.identity import alert_key
from notifier.rules.alerting.plan import WHOLE_RULE, AlertRule
from notifier.rules.alerting.rotations import on_call
from notifier.rules.catch_up import CatchUp
from notifier.rules.conditions import Condition
from notifier.rules.reminders import Reminder
from notifier.rules.reminders import subject_of as reminded_subject
from notifier.rules.telling import NOBODY, Telling, matches


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyRule:
    """Tell people about an event."""

    name: str
    patterns: tuple[str, ...]
    telling: Telling
    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckTimer:
    """After how long on a stage which event is made."""

    after: timedelta
    event_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRule:
    """Put a subject on a stage of its journey, and tell people so."""

    journey: str
    stage: str
    rank: int
    position: int
    """Its place in the file: decides between alternatives of one rank that happened at the same moment."""
    patterns: tuple[str, ...]
    subject_path: str
    telling: Telling
    is_terminal: bool = False
    stuck: StuckTimer | None = None
    is_enabled: bool = True

    @property
    def name(self) -> str:
        """Return the name the trace uses: journey and stage."""
        return f"{self.journey}:{self.stage}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderRule:
    """Set, move and call off the reminders of a date."""

    reminder: Reminder
    condition: Condition | None = None
    settling: Condition | None = None
    """What must hold for an event to settle it."""

    @property
    def name(self) -> str:
        """Return the name the trace uses."""
        return self.reminder.name

    @property
    def patterns(self) -> tuple[str, ...]:
        """Return the types it looks at."""
        return (*self.reminder.patterns, *self.reminder.settled_by)

    @property
    def is_enabled(self) -> bool:
        """Tell whether it is switched on."""
        return self.reminder.is_enabled

    @property
    def telling(self) -> Telling:
        """Return that it tells nobody itself: the rules for the event it makes do."""
        return NOBODY

    @property
    def key(self) -> str:
        """Return the name it keeps its place under; no alert rule's, for it has a colon."""
        return f"reminder:{self.reminder.name}"


Rule = NotifyRule | StageRule | AlertRule | ReminderRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Make an event by the clock."""

    name: str
    cron: str
    zone: str
    event_type: str
    subject: str
    tenant: str
    data: Mapping[str, Json]
    catch_up: CatchUp = CatchUp.NEWEST
    is_enabled: bool = True


class RuleSet:
    """All rules. ``rules_hash`` changes when, and only when, what a rule says changes."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        types: Collection[str],
        schedules: Sequence[Schedule] = (),
        setting: AlertSetting | None = None,
        rules_hash: str = "",
    ) -> None:
        self.rules_hash = rules_hash
        self.setting = setting or AlertSetting()
        self.schedules = tuple(schedules)
        self._rules = tuple(rules)
        self._by_type = {name: self._matching(name) for name in types}
        self.reminders = {rule.name: rule.reminder for rule in rules if isinstance(rule, ReminderRule)}
        self._alerts = {rule.name: rule for rule in rules if isinstance(rule, AlertRule)}
        self._stages = {(rule.journey, rule.stage): rule for rule in rules if isinstance(rule, StageRule)}

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def rules_for(self, event_type: str) -> tuple[Rule, ...]:
        """Return the rules for a type in the order of the files, the disabled ones too."""
        found = self._by_type.get(event_type)
        # A type that came into the catalogue after this process started: match, at the price of a walk.
        return self._matching(event_type) if found is None else found

    def stage(self, journey: str, stage: str) -> StageRule | None:
        """Return a stage by name, unless it was taken out of the rules since."""
        return self._stages.get((journey, stage))

    def lists_at(
        self, now: datetime, lists: Mapping[str, tuple[Recipient, ...]]
    ) -> Mapping[str, tuple[Recipient, ...]]:
        """Return the lists with those whose members depend on the time, as they are at a moment."""
        rotations = self.setting.rotations
        return (
            {**lists, **{name: on_call(one, now) for name, one in rotations.items()}} if rotations else lists
        )

    def alert(self, name: str) -> AlertRule | None:
        """Return an alert rule by name, unless it was taken out of the rules since."""
        return self._alerts.get(name)

    def alert_keys(self, event: Event) -> tuple[tuple[str, str], ...]:
        """Return (rule, key) of every alert this event may speak of: what to lock and load."""
        return tuple(
            key for rule in self.rules_for(event.type) if rule.is_enabled for key in _alert_keys(rule, event)
        )

    def journey_keys(self, event: Event) -> tuple[tuple[str, str], ...]:
        """Return (rule, subject) of every journey this event may advance: what to lock and load."""
        keys: dict[tuple[str, str], None] = {}
        for rule in self.rules_for(event.type):
            if isinstance(rule, StageRule) and rule.is_enabled:
                subject = subject_of(rule, event)
                if isinstance(subject, str):
                    keys[rule.journey, subject] = None
        return tuple(keys)

    def contact_references(
        self, event: Event, lists: Mapping[str, tuple[Recipient, ...]] | None = None
    ) -> tuple[str, ...]:
        """Return the references of all contacts the rules may ask for: what to load."""
        found: dict[str, None] = {}
        for rule in self.rules_for(event.type):
            if rule.is_enabled and not isinstance(rule, AlertRule):  # its group asks when it speaks
                found.update(dict.fromkeys(references(rule.telling.sources, event)))
                found.update(dict.fromkeys(_members(rule.telling.sources, lists or {})))
        return tuple(found)

    def addresses(
        self, event: Event, lists: Mapping[str, tuple[Recipient, ...]] | None = None
    ) -> tuple[str, ...]:
        """Return the addresses the rules may tell: contacts are looked for under them, too."""
        found: dict[str, None] = {}
        for rule in self.rules_for(event.type):
            if rule.is_enabled and not isinstance(rule, AlertRule):
                people = [*expected(rule.telling.sources, event), *listed(rule.telling.sources, lists or {})]
                found.update(dict.fromkeys(key for one in people for key in addresses(one)))
        return tuple(found)

    def _matching(self, event_type: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self._rules if matches(rule.patterns, event_type))


def subject_of(rule: StageRule, event: Event) -> str | Missing:
    """Return what travels on the journey."""
    value = look_up_in_event(event, rule.subject_path)
    if isinstance(value, Missing):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return Missing(reason=f"{rule.subject_path} is neither a text nor a whole number")
    return str(value)


def _alert_keys(rule: Rule, event: Event) -> Iterator[tuple[str, str]]:
    """Yield what an event moves by a rule: an alert, what all its alerts know, a date people are reminded of."""
    if isinstance(rule, AlertRule):
        yield rule.name, alert_key(rule, event)
        if rule.is_warmed_by_all:
            yield rule.name, WHOLE_RULE
    elif isinstance(rule, ReminderRule):
        subject = reminded_subject(rule.reminder, event)
        if not isinstance(subject, Missing):
            yield rule.key, subject


def _members(sources: Sequence[Source], lists: Mapping[str, tuple[Recipient, ...]]) -> Iterator[str]:
    yield from (one.contact for one in listed(sources, lists) if one.contact)
