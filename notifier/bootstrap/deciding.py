"""Wire what decides: the ingest stage, alerts and their groups, what was held back.

All of it holds the rules, or a part that does.
"""

from functools import cached_property

from notifier.bootstrap.sending import Sending
from notifier.pipeline.alerting.acknowledge import Acknowledger
from notifier.pipeline.alerting.alerts import Alerts
from notifier.pipeline.alerting.lapses import Lapses
from notifier.pipeline.alerting.silencing import Silencer
from notifier.pipeline.incoming import Reader
from notifier.pipeline.intake.ingest import Ingest
from notifier.pipeline.intake.outbox import Outbox
from notifier.pipeline.planning.decide import Decider
from notifier.pipeline.planning.groups import Groups
from notifier.pipeline.planning.releases import Releases


class Deciding(Sending):
    """What decides what is told to whom."""

    @cached_property
    def alerts(self) -> Alerts:
        """Alerts and their groups."""
        return Alerts(self.rules, self.keyring)

    @cached_property
    def decider(self) -> Decider:
        """Decides and stores events."""
        return Decider(
            rules=self.rules,
            lists=self.lists,
            keyring=self.keyring,
            persons=self.persons,
            policy=self.policy,
            flows=self.flows,
            alerts=self.alerts,
            pacing=self.pacing,
        )

    @cached_property
    def acknowledger(self) -> Acknowledger:
        """What takes charge of alerts."""
        return Acknowledger(self.database, self.alerts, self.rules, self.keyring, self.clock)

    @cached_property
    def silencer(self) -> Silencer:
        """What silences alerts."""
        return Silencer(self.database, self.alerts, self.keyring, self.clock)

    @cached_property
    def groups(self) -> Groups:
        """What speaks for alert groups."""
        return Groups(
            database=self.database,
            decider=self.decider,
            catalog=self.catalog,
            rules=self.rules,
            keyring=self.keyring,
            clock=self.clock,
        )

    @cached_property
    def releases(self) -> Releases:
        """What lets go what was held back."""
        return Releases(
            database=self.database,
            decider=self.decider,
            pacing=self.pacing,
            composer=self.composer,
            flows=self.flows,
            catalog=self.catalog,
            clock=self.clock,
        )

    @cached_property
    def lapses(self) -> Lapses:
        """What lets time pass for alerts."""
        return Lapses(
            database=self.database,
            alerts=self.alerts,
            rules=self.rules,
            keyring=self.keyring,
            clock=self.clock,
        )

    @cached_property
    def ingest(self) -> Ingest:
        """The ingest stage."""
        return Ingest(
            database=self.database,
            intake=self.intake,
            wake_ups=self.wake_ups,
            keyring=self.keyring,
            reader=Reader(self.catalog, self.keyring, self.settings.limits),
            decider=self.decider,
            clock=self.clock,
            tuning=self.settings.tuning,
        )

    @cached_property
    def outboxes(self) -> list[Outbox]:
        """The producers' outboxes."""
        return [Outbox(database, self.ingest) for database in self.outbox_databases]
