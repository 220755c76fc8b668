"""Let alert groups speak: take those that are due, ask the rules what they say, and write the messages.

What a group says and what it then remembers stand in one transaction; its messages are unique per group,
recipient and number, so two sweeps, or one that dies between, never tell anything twice.
"""

import functools
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from notifier.catalog import Catalog
from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.events import Recipient, Urgency
from notifier.logs import get_logger
from notifier.pipeline.alerting.alerts import group_of
from notifier.pipeline.alerting.muting import mutes_of
from notifier.pipeline.incoming import PROCESSING_ERRORS, Incoming, entry_time
from notifier.pipeline.planning.decide import Decider
from notifier.pipeline.planning.group_looks import (
    PUT_OFF,
    Round,
    Saying,
    at_home,
    end_what_waits,
    having_told,
    is_unmuted,
    next_due,
    present_of,
    remember,
    who_heard,
)
from notifier.rules.alerting.cadence import GroupMessage, Why, look, touch
from notifier.rules.alerting.escalating import chain_after, step_telling
from notifier.rules.alerting.escalation import Tell, advance, hasten
from notifier.rules.alerting.mutes import Mutes
from notifier.rules.alerting.speaking import Speaker, decide, event_of
from notifier.rules.ruleset import RuleSet
from notifier.rules.telling import Telling
from notifier.store import alert_groups, alert_members
from notifier.store.alert_groups import GroupRow
from notifier.store.alert_members import MemberRow
from notifier.store.database import Connection, Database, DatabaseSlow, DatabaseUnavailable

log = get_logger("sweep")

_BATCH = 25
_STINT_SECONDS = 0.5
_PATIENCE = timedelta(seconds=10)
"""A first message waits so long at most for what came in and is not ingested."""
_ABANDONED_AFTER = timedelta(minutes=10)
"""A rule that nobody has known for so long was taken out, or has another name."""
_FORGOTTEN_AFTER = timedelta(hours=1)


class Groups:
    """Speaks for alert groups."""

    def __init__(
        self,
        *,
        database: Database,
        decider: Decider,
        catalog: Catalog,
        rules: RuleSet,
        keyring: Keyring,
        clock: Clock,
    ) -> None:
        self._database, self._decider, self._catalog = database, decider, catalog
        self._rules, self._keyring, self._clock = rules, keyring, clock
        self._types = frozenset(entry.type for entry in catalog)

    def speak(self, oldest: bytes | None = None) -> set[tuple[str, str]]:
        """Let those speak that are due, for a stint at most; return (channel, lane) pairs with new work.

        ``oldest``: the id of the oldest intake entry that is not ingested yet. A group's first message waits a
        little for those: the alert that mutes it, or its own end, may be among them.
        """
        flows: set[tuple[str, str]] = set()
        limit, end = _BATCH, time.monotonic() + _STINT_SECONDS
        mutes: dict[str, Mutes] = {}
        while True:
            taken: list[GroupRow] = []
            try:
                flows |= self._database.retrying(
                    functools.partial(self._round, limit=limit, taken=taken, oldest=oldest, mutes=mutes)
                )
                is_over, limit = len(taken) < limit, _BATCH
            except PROCESSING_ERRORS as error:
                limit, is_over = self._put_aside(taken, error), False
            if is_over or time.monotonic() > end:
                return flows

    def _put_aside(self, taken: Sequence[GroupRow], error: Exception) -> int:
        """Find the group that fails, and leave it for a while; return how many to take next."""
        is_away = isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseSlow)
        if is_away or not taken:  # no group is to blame
            raise error
        if len(taken) > 1:
            return 1
        row = taken[0]
        with self._database.transaction() as connection:
            alert_groups.plan_groups(connection, [(row.id, row.tick_at, self._clock.now() + PUT_OFF)])
        log.error("sweep.group_stumbled", rule=row.rule, group=str(row.id), error=type(error).__name__)
        return _BATCH

    def _round(
        self,
        connection: Connection,
        *,
        limit: int,
        taken: list[GroupRow],
        oldest: bytes | None,
        mutes: dict[str, Mutes],
    ) -> set[tuple[str, str]]:
        """Let some speak; ``mutes`` is what a stint knows, by tenant: it lasts half a second."""
        now = self._clock.now()
        first_until = now if oldest is None else max(entry_time(oldest, now), now - _PATIENCE)
        taken[:] = alert_groups.take_due_groups(connection, now, limit, first_until=first_until)
        if not taken:
            return set()
        members: dict[UUID, list[MemberRow]] = {row.id: [] for row in taken}
        for member in alert_members.members_of(connection, list(members)):
            members[member.group_id].append(member)
        for tenant in {row.tenant for row in taken} - mutes.keys():
            mutes[tenant] = mutes_of(connection, tenant, rules=self._rules, keyring=self._keyring, now=now)
        done = Round(connection=connection)
        for row in taken:
            self._one(row, members[row.id], mutes[row.tenant], now, done)
        flows = self._decider.write(connection, done.events, done.decisions).flows if done.events else set()
        for one in done.events:
            end_what_waits(connection, one)
        alert_members.save_members(connection, done.members)
        alert_members.drop_members(connection, done.dropped)
        alert_groups.save_groups(connection, done.rows)
        alert_groups.close_groups(connection, done.closed)
        log.info("sweep.spoke", groups=len(taken), messages=len(done.events), closed=len(done.closed))
        return flows

    def _one(
        self, row: GroupRow, rows: Sequence[MemberRow], mutes: Mutes, now: datetime, done: Round
    ) -> None:
        rule = self._rules.alert(row.rule)
        node = rule.node(tuple(row.route)) if rule is not None else None
        if rule is None or node is None:
            self._abandon(row, now, done)
            return
        plan = node.plan
        private = self._open(row)
        present = [present_of(self._keyring, one, plan, mutes, now) for one in rows]
        present = [
            at_home(one, self._keyring, row, node=node, rule=rule, home=private.get("home"))
            for one in present
        ]
        unknown = {one.state.newest.type for one in present if one.state.newest is not None} - self._types
        if unknown:
            # A process with a newer catalogue knows them: what this one cannot say must not count as said.
            log.error("sweep.type_unknown", rule=row.rule, types=sorted(unknown))
            done.rows.append(replace(row, due_at=now + PUT_OFF))
            return
        group = group_of(row)
        if is_unmuted(present):
            group = touch(group, plan.cadence, now)
        seen = look(group, [one.member for one in present], plan.cadence, now)
        group = seen.group
        row = replace(
            row,
            first_at=group.first_at,
            tick_at=group.tick_at,
            told_at=group.told_at,
            number=group.number,
            reminders=group.reminders,
            due_at=next_due(seen, present, now),
        )
        saying = Saying(row=row, rule=rule, plan=plan, private=private, present=present)
        if seen.message is not None:
            saying = self._say(saying, seen.message, plan.telling, now, done)
        saying = self._escalate(saying, seen.message, now, done)
        if seen.is_over:
            done.closed.append(row.id)
            return
        done.rows.append(saying.row)
        remember(seen, present, done)

    def _abandon(self, row: GroupRow, now: datetime, done: Round) -> None:
        """Wait for a process that knows the rule, or the branch; after a while let the group and its alerts go."""
        private = self._open(row)
        since = private.get("unknown_since")
        gone_for = now - datetime.fromisoformat(since) if since is not None else None
        if gone_for is not None and gone_for > _FORGOTTEN_AFTER:  # it was known again since
            gone_for = since = None
        if gone_for is not None and gone_for >= _ABANDONED_AFTER:
            log.warning("sweep.group_abandoned", rule=row.rule, group=str(row.id))
            alert_members.end_members(done.connection, row.id)
            done.closed.append(row.id)
            return
        log.warning("sweep.group_without_rule", rule=row.rule, group=str(row.id))
        if since is None:
            private, key = {**private, "unknown_since": now.isoformat()}, self._keyring.new_data_key()
            sealed = key.seal(orjson.dumps(private), b"alert-group")
            row = replace(row, data_key=key.wrapped, sealed=sealed)
        done.rows.append(replace(row, due_at=now + PUT_OFF))

    def _say(
        self, saying: "Saying", message: GroupMessage, telling: Telling, now: datetime, done: Round
    ) -> "Saying":
        """Add a message to the round; return what the group knows then: who was told."""
        row, private = saying.row, saying.private
        states = {one.member.id: one.state for one in saying.present}
        speaker = Speaker(
            id=str(row.id),
            tenant=row.tenant,
            rule=saying.rule,
            plan=saying.plan,
            labels=private["labels"],
            number=row.number,
            told=who_heard(private, message.resolved),
            people=tuple(Recipient(**one) for one in private.get("people", ())),
        )
        event = event_of(speaker, message, states, now, next_at=row.due_at)
        entry = self._catalog[event.type]
        incoming = Incoming(event=event, entry=entry, lane=telling.urgency or Urgency(entry.urgency), at=now)
        facts = self._decider.facts_of(done.connection, event, telling, now, speaker.people or ())
        decision = decide(
            speaker,
            message,
            event,
            entry=entry,
            facts=facts,
            now=now,
            rules_hash=self._rules.rules_hash,
            telling=telling,
        )
        done.events.append(incoming)
        done.decisions.append(decision)
        if not message.firing:
            return saying
        people = [action.recipient.to_json() for action in decision.notifications]
        here = {one.member.id for one in saying.present}
        return self._knowing(saying, **having_told(private, message.firing, people, here))

    def _escalate(
        self, saying: "Saying", message: GroupMessage | None, now: datetime, done: Round
    ) -> "Saying":
        """Begin, go on with, hold or stop the group's escalation."""
        policy = self._rules.setting.escalations.get(saying.plan.escalate or "")
        before = saying.chain
        after = chain_after(before, policy, message, [one.state for one in saying.present], now)
        if after is None:
            return saying
        tells: tuple[Tell, ...] = ()
        shown = tuple(one.member.id for one in saying.present if one.is_open)
        if shown:
            after, tells = advance(after, now)
        for tell in tells:
            step = GroupMessage(why=Why.ESCALATION, firing=shown, resolved=(), news=shown)
            saying = replace(saying, row=replace(saying.row, number=saying.row.number + 1))
            saying = self._say(saying, step, step_telling(tell, saying.plan.telling), now, done)
            after = after if done.decisions[-1].notifications else hasten(after, now)
        if after != before:
            saying = self._knowing(saying, chain=after.to_json())
        # Nobody is told while all is muted or in somebody's hands; an acknowledgement that ends is waited for.
        if after.due_at is not None and (shown or after.due_at > now):
            due = min(after.due_at, saying.row.due_at or after.due_at)
            saying = replace(saying, row=replace(saying.row, due_at=due))
        return saying

    def _open(self, row: GroupRow) -> dict[str, Any]:
        value: dict[str, Any] = orjson.loads(
            self._keyring.open_data_key(row.data_key).unseal(row.sealed, b"alert-group")
        )
        return value

    def _knowing(self, saying: "Saying", **known: Any) -> "Saying":
        """Return a group that knows more, sealed under a new key."""
        private, key = {**saying.private, **known}, self._keyring.new_data_key()
        row = replace(
            saying.row, data_key=key.wrapped, sealed=key.seal(orjson.dumps(private), b"alert-group")
        )
        return replace(saying, row=row, private=private)
