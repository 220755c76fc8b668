"""Read ``config/rules/*.yaml`` and compile it into a rule set; nothing wrong gets through.

Collects all errors before it gives up, each with file, line and mend. Decides nothing about events.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from notifier.documents import ConfigErrors, Document
from notifier.rules.alerting.compile import AlertCompiler
from notifier.rules.alerting.model import AlertEntry
from notifier.rules.checks import Checks, Place
from notifier.rules.conditions import ROOTS
from notifier.rules.files import RuleFiles
from notifier.rules.model import KINDS, Entry, JourneyEntry, NotifyEntry, ScheduleEntry, StageEntry
from notifier.rules.read_telling import Chosen, read_telling
from notifier.rules.reminder_model import ReminderEntry
from notifier.rules.ruleset import NotifyRule, ReminderRule, Rule, RuleSet, Schedule, StageRule, StuckTimer
from notifier.rules.schedules import NeverFiresError, next_fire

_PROBE = datetime(2024, 1, 1, tzinfo=UTC)
_TELLING_KINDS = frozenset({"notify", "journey", "alert", "reminder"})


def read_rules(
    folder: Path,
    *,
    types: Collection[str] | None,
    templates: Callable[[str], bool] | None = None,
    lists: Collection[str] = (),
) -> RuleSet:
    """Read and check every rule below ``folder``; ``templates`` tells whether a template exists.

    Without ``types``, for a catalogue that is broken, types are not checked.

    Raises:
        ConfigErrors: everything that is wrong, with file, line and mend.
    """
    return compile_rules(RuleFiles.read(folder), types=types, templates=templates, lists=lists)


def compile_rules(
    files: RuleFiles,
    *,
    types: Collection[str] | None,
    templates: Callable[[str], bool] | None = None,
    lists: Collection[str] = (),
) -> RuleSet:
    """Check and compile the rules of files that were read already.

    Raises:
        ConfigErrors: everything that is wrong.
    """
    checks = Checks(types=types, templates=templates, lists=lists)
    reader = _Reader(checks=checks, alerts=AlertCompiler(checks=checks))
    documents, errors = files.documents()
    checks.wrong(*errors)
    checks.lists = {*lists, *_rotations(documents)}
    for document in documents:
        reader.read(document)
    setting = reader.alerts.finish()
    if checks.errors:
        raise ConfigErrors(tuple(checks.errors.values()))
    return RuleSet(
        reader.rules,
        types=types or (),
        schedules=reader.schedules,
        setting=setting,
        rules_hash=_hash(reader.entries.values()),
    )


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads file after file."""

    checks: Checks
    alerts: AlertCompiler
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    places: dict[tuple[str, str], str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)

    def read(self, document: Document) -> None:
        """Take in the rules of one file."""
        place = Place(document=document)
        if not isinstance(document.value, Mapping):
            self.checks.wrong(place.error("must be a mapping", "start the file with `rules:`"))
            return
        for key in document.value:
            if key != "rules":
                self.checks.wrong(place.at(str(key)).error("unknown key", "only `rules:` stands at the top"))
        rules = document.value.get("rules") or []
        if not isinstance(rules, list):
            self.checks.wrong(place.at("rules").error("must be a list", "start each rule with `- notify:`"))
            return
        for index in range(len(rules)):
            self._rule(place.at("rules", index))

    def _rule(self, place: Place) -> None:
        value = place.document.at(place.path)
        kinds = [kind for kind in KINDS if isinstance(value, Mapping) and kind in value]
        if len(kinds) != 1:
            known = ", ".join(f"`{kind}: name`" for kind in KINDS)
            self.checks.wrong(place.error("not a rule", f"start it with exactly one of {known}"))
            return
        try:
            entry = place.document.read(KINDS[kinds[0]], place.path)
        except ConfigErrors as wrong:
            self.checks.wrong(*wrong.errors)
            return
        name = value[kinds[0]]
        # A schedule and the rule that tells about its event may well have one name.
        key = ("rule" if kinds[0] in _TELLING_KINDS else kinds[0], name)
        if key in self.entries:
            self.checks.wrong(
                place.at(kinds[0]).error(
                    f"the rule {name!r} stands twice, first in {self.places[key]}", "give one another name"
                )
            )
        self.entries[key] = entry
        self.places.setdefault(key, place.at(kinds[0]).where)
        self._compile(place, entry)

    def _compile(self, place: Place, entry: Entry) -> None:
        match entry:
            case NotifyEntry():
                self.rules.append(self._notify(place, entry))
            case JourneyEntry():
                self.rules += self._journey(place, entry)
            case AlertEntry():
                self.rules.append(self.alerts.alert(place, entry))
            case ScheduleEntry():
                self.schedules.append(self._schedule(place, entry))
            case ReminderEntry():
                self.rules.append(self._reminder(place, entry))
            case _:
                self.alerts.take(place, entry)

    def _notify(self, place: Place, entry: NotifyEntry) -> NotifyRule:
        if not entry.recipients:
            self.checks.wrong(place.error("'recipients' is required", "say who is told"))
        self.checks.patterns(place.at("on"), entry.on)
        telling = read_telling(
            self.checks,
            Chosen.of(entry, place),
            roots=ROOTS - {"journey"},
            patterns=entry.on,
            at=place.at("on"),
        )
        return NotifyRule(name=entry.notify, patterns=entry.on, telling=telling, is_enabled=entry.enabled)

    def _journey(self, place: Place, entry: JourneyEntry) -> list[StageRule]:
        stages: list[StageRule] = []
        defaults = Chosen.of(entry.defaults, place.at("defaults"))
        for index, (stage, rank) in enumerate(zip(entry.stages, entry.ranks, strict=True)):
            here = place.at("stages", index)
            self.checks.patterns(here.at("on"), stage.on)
            stages.append(
                StageRule(
                    journey=entry.journey,
                    stage=stage.stage,
                    rank=rank,
                    position=index,
                    patterns=stage.on,
                    subject_path=entry.subject,
                    telling=read_telling(
                        self.checks,
                        Chosen.of(stage, here, defaults),
                        roots=ROOTS,
                        patterns=stage.on,
                        at=here.at("on"),
                    ),
                    is_terminal=stage.terminal,
                    stuck=self._stuck(here.at("stuck"), stage),
                    is_enabled=entry.enabled,
                )
            )
        self._order(place, stages)
        return stages

    def _order(self, place: Place, stages: list[StageRule]) -> None:
        highest = max((one.rank for one in stages if not one.is_terminal), default=-1)
        names: set[str] = set()
        for index, one in enumerate(stages):
            here = place.at("stages", index)
            if one.stage in names:
                self.checks.wrong(here.at("stage").error(f"the stage {one.stage!r} stands twice", "keep one"))
            # A journey that could go on after its end would end differently in another order of events.
            if one.is_terminal and one.rank <= highest:
                self.checks.wrong(
                    here.at("terminal").error(
                        f"the journey ends here, but a stage of rank {highest} is not before it",
                        "put terminal stages last, or drop `terminal`",
                    )
                )
            names.add(one.stage)

    def _stuck(self, place: Place, stage: StageEntry) -> StuckTimer | None:
        if stage.stuck is None:
            return None
        self.checks.event_type(place.at("event"), stage.stuck.event)
        if stage.terminal:
            self.checks.wrong(place.error("a journey that has ended cannot be stuck", "remove it"))
        return StuckTimer(after=stage.stuck.after, event_type=stage.stuck.event)

    def _reminder(self, place: Place, entry: ReminderEntry) -> ReminderRule:
        self.checks.patterns(place.at("on"), entry.on)
        self.checks.patterns(place.at("until"), entry.until or ())
        self.checks.event_type(place.at("event"), entry.event)
        roots = ROOTS - {"journey"}
        return ReminderRule(
            reminder=entry.compiled(),
            condition=self.checks.condition(place.at("when"), entry.when, roots),
            settling=self.checks.condition(place.at("until_when"), entry.until_when, roots),
        )

    def _schedule(self, place: Place, entry: ScheduleEntry) -> Schedule:
        self.checks.event_type(place.at("event"), entry.event)
        self._clock(place, entry)
        try:
            json.dumps(entry.data)
        except TypeError:
            self.checks.wrong(place.at("data").error("holds a value that is not JSON", "quote dates"))
        return Schedule(
            name=entry.schedule,
            cron=entry.cron,
            zone=entry.zone,
            event_type=entry.event,
            subject=entry.subject,
            tenant=entry.tenant,
            data=entry.data,
            catch_up=entry.catch_up,
            is_enabled=entry.enabled,
        )

    def _clock(self, place: Place, entry: ScheduleEntry) -> None:
        try:
            ZoneInfo(entry.zone)
        except (OSError, ValueError, LookupError):
            error = place.at("zone").error(f"unknown time zone {entry.zone!r}", "such as Europe/Berlin")
            self.checks.wrong(error)
            return
        try:
            next_fire(entry.cron, entry.zone, _PROBE)
        except NeverFiresError as wrong:
            mend = 'minute, hour, day of month, month, day of week, such as "0 8 * * 1-5"'
            self.checks.wrong(place.at("cron").error(str(wrong), mend))


def _rotations(documents: Iterable[Document]) -> Iterator[str]:
    """Yield the names of all rotations: rules that name one may stand before it."""
    for document in documents:
        rules = document.value.get("rules") if isinstance(document.value, Mapping) else None
        for rule in rules if isinstance(rules, list) else ():
            if isinstance(rule, Mapping) and isinstance(rule.get("rotation"), str):
                yield rule["rotation"]


def _hash(entries: Collection[Entry]) -> str:
    """Return a short hash of what the rules say: no comments, no layout, no order of files or keys."""
    texts = sorted(
        json.dumps(entry.model_dump(mode="json", by_alias=True), sort_keys=True) for entry in entries
    )
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
