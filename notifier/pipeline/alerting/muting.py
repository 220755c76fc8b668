"""Load what mutes a tenant's alerts at this moment.

Decides about no alert: that is ``rules.alerting.mutes``.
"""

from datetime import datetime

from notifier.crypto import Keyring
from notifier.pipeline.alerting.alert_states import open_alert
from notifier.rules.alerting.inhibition import Firing, Inhibitors
from notifier.rules.alerting.mutes import Mutes
from notifier.rules.ruleset import RuleSet
from notifier.store import silences
from notifier.store.alerts import live_sources
from notifier.store.database import Connection


def mutes_of(
    connection: Connection, tenant: str, *, rules: RuleSet, keyring: Keyring, now: datetime
) -> Mutes:
    """Return what mutes a tenant's alerts: windows, maintenance, silences, and alerts that fire now."""
    setting = rules.setting
    inhibitors = Inhibitors(setting.inhibits)
    if setting.inhibits:
        for kept in live_sources(connection, [tenant]):
            rule = rules.alert(kept.rule)
            if rule is None or not rule.is_enabled:  # nobody hears of it any more, nor of its end
                continue
            state = open_alert(keyring, kept)
            if state.is_firing and state.started_at is not None:
                inhibitors.add(Firing(labels=state.labels, starts_at=state.started_at))
    return Mutes(
        windows=setting.windows,
        maintenance=setting.maintenance,
        silences=silences.open_silences(connection, tenant, now),
        inhibitors=inhibitors,
    )
