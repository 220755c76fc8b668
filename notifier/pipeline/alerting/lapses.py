"""Let time pass for alerts: what was not heard of is over, what is missed fires, what flapped is steady.

Takes what is due with SKIP LOCKED, in stints; an alert that stumbles is put off, and the others go on.
"""

import time
from datetime import datetime, timedelta

from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.logs import get_logger
from notifier.pipeline.alerting.alert_states import open_alert
from notifier.pipeline.alerting.alerts import Alerts, Moved
from notifier.pipeline.incoming import PROCESSING_ERRORS
from notifier.rules.alerting.tracking import lapse
from notifier.rules.ruleset import RuleSet
from notifier.store.alerts import KeptAlert, put_off_alert, take_due_alerts
from notifier.store.database import Connection, Database

log = get_logger("sweep")

_BATCH = 200
_STINT_SECONDS = 0.5
_PUT_OFF = timedelta(minutes=1)


class Lapses:
    """Asks alerts whose moment has come what time made of them."""

    def __init__(
        self, *, database: Database, alerts: Alerts, rules: RuleSet, keyring: Keyring, clock: Clock
    ) -> None:
        self._database, self._alerts, self._rules = database, alerts, rules
        self._keyring, self._clock = keyring, clock

    def run(self) -> int:
        """Ask those that are due, for a stint at most; return how many there were."""
        count, end = 0, time.monotonic() + _STINT_SECONDS
        while True:
            taken = self._database.retrying(self._round)
            count += taken
            if taken < _BATCH or time.monotonic() > end:
                return count

    def _round(self, connection: Connection) -> int:
        now = self._clock.now()
        rows = take_due_alerts(connection, now, _BATCH)
        moved = [found for row in rows if (found := self._lapsed(connection, row, now)) is not None]
        if moved:
            self._alerts.move(connection, moved, now)
        return len(rows)

    def _lapsed(self, connection: Connection, row: KeptAlert, now: datetime) -> Moved | None:
        rule, key = self._rules.alert(row.rule), row.digest.hex()
        if rule is None:
            # The rule is gone, or is not in this process yet: another one, or a later look, knows it.
            put_off_alert(connection, row.id, now + _PUT_OFF)
            return None
        try:
            state = open_alert(self._keyring, row)
            action = lapse(rule, key, state, now)
        except PROCESSING_ERRORS as error:  # a key this process lacks among them: another one may have it
            put_off_alert(connection, row.id, now + _PUT_OFF)
            log.error("sweep.alert_stumbled", rule=row.rule, alert=str(row.id), error=type(error).__name__)
            return None
        return Moved(key=(row.tenant, row.rule, key), id=row.id, before=state, action=action)
