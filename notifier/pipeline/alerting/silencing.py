"""Silence alerts, change a silence and end it, and let the groups it concerns look again.

Knows no matchers and no times of its own: ``notifier.rules.alerting.silences`` says what may be.
"""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.errors import NotifierError
from notifier.ids import uuid7
from notifier.pipeline.alerting.alert_states import open_alert
from notifier.pipeline.alerting.alerts import Alerts
from notifier.rules.alerting.matchers import Matcher
from notifier.rules.alerting.silences import Silence, SilenceState, expired, may_update, problems_of
from notifier.store.alert_members import groups_muted_by, groups_of
from notifier.store.alerts import firing_alerts
from notifier.store.database import Connection, Database
from notifier.store.silences import lock_silence, save_silence
from notifier.store.tenants import known_tenants


class NoSuchSilence(NotifierError):
    """No silence has this id."""


class SilenceRefused(NotifierError):
    """The silence cannot be made or changed like that; the message says why and what to do."""


class Silencer:
    """Makes, changes and ends silences, each change with who made it."""

    def __init__(self, database: Database, alerts: Alerts, keyring: Keyring, clock: Clock) -> None:
        self._database, self._alerts, self._keyring, self._clock = database, alerts, keyring, clock

    def add(
        self,
        tenant: str,
        matcher_sets: tuple[tuple[Matcher, ...], ...],
        *,
        starts_at: datetime | None = None,
        ends_at: datetime,
        by: str,
        comment: str,
    ) -> Silence:
        """Make a silence; without a start it begins now.

        Raises:
            SilenceRefused: it lacks something, or would end before it begins.
        """
        now = self._clock.now()
        silence = Silence(
            id=str(uuid7()), matcher_sets=matcher_sets, starts_at=starts_at or now, ends_at=ends_at,
            created_by=by, comment=comment, updated_at=now,
        )  # fmt: skip
        if problems := problems_of(silence, now):
            raise SilenceRefused("; ".join(problems))
        return self._database.retrying(
            lambda connection: self._save(connection, tenant, silence, by=by, what="made", now=now)
        )

    def edit(
        self, tenant: str, silence: UUID, *, ends_at: datetime | None, comment: str | None, by: str
    ) -> Silence:
        """Change when a silence ends, or why it is there.

        Raises:
            NoSuchSilence: there is none.
            SilenceRefused: it is over: make a new one.
        """

        def change(connection: Connection) -> Silence:
            now = self._clock.now()
            old = _locked(connection, tenant, silence)
            new = replace(old, ends_at=ends_at or old.ends_at, comment=comment or old.comment)
            if old.state(now) is SilenceState.EXPIRED:
                raise SilenceRefused("it is over: what it muted stays as it was; make a new one")
            if problems := problems_of(new, now):
                raise SilenceRefused("; ".join(problems))
            if not may_update(old, new, now):
                raise SilenceRefused("it began already: end this one, and make a new one")
            return self._save(connection, tenant, new, by=by, what=_difference(old, new), now=now)

        return self._database.retrying(change)

    def expire(self, tenant: str, silence: UUID, *, by: str) -> tuple[Silence, bool]:
        """End a silence now; return it, and whether it was not over before.

        Raises:
            NoSuchSilence: there is none.
        """

        def end(connection: Connection) -> tuple[Silence, bool]:
            now = self._clock.now()
            old = _locked(connection, tenant, silence)
            new = expired(old, now)
            if new == old:
                return old, False
            return self._save(connection, tenant, new, by=by, what="ended by hand", now=now), True

        return self._database.retrying(end)

    def _save(
        self, connection: Connection, tenant: str, silence: Silence, *, by: str, what: str, now: datetime
    ) -> Silence:
        if tenant not in known_tenants(connection):
            raise SilenceRefused(f"there is no tenant {tenant!r}; `notifier tenant list` lists them")
        save_silence(connection, tenant, silence, by=by, what=what)
        self._alerts.touch(connection, self._concerned(connection, tenant, silence), now)
        return silence

    def _concerned(self, connection: Connection, tenant: str, silence: Silence) -> set[UUID]:
        """Return the groups it mutes or muted something in."""
        groups = groups_muted_by(connection, tenant, [f"silence:{silence.id}"])
        # Also when it ends: a sweep that saw it a moment ago has not committed yet what it mutes.
        muted = [
            row.id
            for row in firing_alerts(connection, tenant)
            if silence.matches(open_alert(self._keyring, row).labels)
        ]
        return groups | {group for group, _ in groups_of(connection, muted)}


def _locked(connection: Connection, tenant: str, silence: UUID) -> Silence:
    found = lock_silence(connection, tenant, silence)
    if found is None:
        raise NoSuchSilence(f"tenant {tenant!r} has no silence {silence}; `notifier silence list` lists them")
    return found


def _difference(old: Silence, new: Silence) -> str:
    changes = []
    if new.ends_at != old.ends_at:
        changes.append(f"ends {new.ends_at:%Y-%m-%d %H:%M:%SZ}, not {old.ends_at:%Y-%m-%d %H:%M:%SZ}")
    if new.comment != old.comment:
        changes.append("another comment")
    return "; ".join(changes) or "nothing changed"
