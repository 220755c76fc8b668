"""Put the parts together: the sweep, what comes back, new rules in place of old ones, and the end of it all.

Everything is opened on first use, so that a process that needs no relay never loads one.
"""

import copy
from functools import cached_property

from notifier.bootstrap.deciding import Deciding
from notifier.pipeline.alerting.ack_links import AckRequests
from notifier.pipeline.alerting.inbound_sms import InboundSms
from notifier.pipeline.intake.timers import Timers
from notifier.pipeline.people.link_requests import LinkRequests
from notifier.pipeline.relays.failover import Failover
from notifier.pipeline.sweep import Sweep
from notifier.pipeline.tracking.aftermath import Aftermath
from notifier.pipeline.tracking.delivery_events import DeliveryEvents
from notifier.pipeline.tracking.measuring import Measurer
from notifier.pipeline.tracking.track import Track
from notifier.rules.ruleset import RuleSet

_RULED = frozenset(
    {
        "decider", "alerts", "acknowledger", "ack_requests", "inbound_sms", "silencer", "groups", "lapses",
        "ingest", "outboxes", "releases", "sweep", "track",
    }
)  # fmt: skip
"""The parts that hold the rules, or a part that does."""


class Services(Deciding):
    """What the stages and commands work with, each part made when it is first asked for."""

    @cached_property
    def ack_requests(self) -> AckRequests:
        """What carries out what people asked for by link."""
        return AckRequests(self.database, self.acknowledger, self.keyring, self.clock)

    @cached_property
    def inbound_sms(self) -> InboundSms | None:
        """What reads SMS that come in; none where there is no gateway."""
        if self.sms_keys is None:
            return None
        return InboundSms(
            self.database, self.ack_requests, self.keyring, self.sms_keys, locale=self.settings.locale,
            safe_mode=self.safe_mode,
        )  # fmt: skip

    @cached_property
    def link_requests(self) -> LinkRequests:
        """What carries out what people asked for by them."""
        return LinkRequests(self.database, self.keyring, self.catalog, self.clock, self.settings.tracking)

    @cached_property
    def track(self) -> Track:
        """The track stage."""
        return Track(
            database=self.database,
            keyring=self.keyring,
            aftermath=Aftermath(
                keyring=self.keyring,
                lost=self.lost_messages,
                events=DeliveryEvents(decider=self.decider, rules=self.rules, catalog=self.catalog),
                suppression=self.settings.suppression,
            ),
            wake_ups=self.wake_ups,
            counters=self.counters,
            clock=self.clock,
        )

    @cached_property
    def sweep(self) -> Sweep:
        """The sweep stage."""
        timers = Timers(
            database=self.database,
            decider=self.decider,
            catalog=self.catalog,
            rules=self.rules,
            keyring=self.keyring,
            clock=self.clock,
        )
        measurer = Measurer(
            database=self.database,
            decider=self.decider,
            catalog=self.catalog,
            rules=self.rules,
            clock=self.clock,
        )
        return Sweep(
            database=self.database,
            intake=self.intake,
            wake_ups=self.wake_ups,
            ingest=self.ingest,
            settler=self.deliver.settler,
            timers=timers,
            lapses=self.lapses,
            groups=self.groups,
            releases=self.releases,
            measurer=measurer,
            ack_requests=self.ack_requests,
            inbound_sms=self.inbound_sms,
            failover=Failover(self.database, self.flows, self.settings.failover_after),
            track=self.track,
            link_requests=self.link_requests,
            grace=self.settings.tuning.lease_margin,
            counters=self.counters,
        )

    def adopt_rules(self, rules: RuleSet) -> None:
        """Work by other rules from now on; what is under way ends by those it began with.

        Whoever takes a part from here takes one that holds these rules through and through: the new parts are
        wired together aside, from the same connections, and put into place at once.
        """
        fresh = copy.copy(self)
        for name in _RULED:
            vars(fresh).pop(name, None)
        vars(fresh)["rules"] = rules
        made = {name: getattr(fresh, name) for name in _RULED if name in vars(self)}
        vars(self).update(made, rules=rules)

    def close(self) -> None:
        """Close what was opened."""
        opened = vars(self)
        if "rulebook" in opened:
            self.rulebook.end()
        if "flows" in opened:
            self.flows.close()
        for database in self._databases:
            database.dispose()
        if "redis" in opened:
            self.redis.close()
