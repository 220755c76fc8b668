"""Make the services out of the settings: the only wiring.

Everything is opened on first use, so that a process that needs no relay never loads one.
"""

import copy
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cached_property

import redis
from pydantic import ValidationError

from notifier.broker.asks import Asks
from notifier.broker.buckets import Buckets
from notifier.broker.connection import connect
from notifier.broker.counters import Counters
from notifier.broker.intake import Intake
from notifier.broker.wakeups import WakeUp, WakeUps
from notifier.catalog import Catalog
from notifier.channels.base import Channel
from notifier.channels.configured import sms_provider, smtp_relay
from notifier.channels.console import ConsoleChannel
from notifier.channels.portal import PortalChannel
from notifier.channels.provider import ProviderSettings, Surroundings
from notifier.channels.registry import build, read_providers
from notifier.channels.signing import signer
from notifier.channels.sms import SmsChannel
from notifier.channels.smtp import SmtpChannel
from notifier.clock import Clock, SystemClock
from notifier.crypto import Keyring, MasterKeys, SmsKeys
from notifier.delivery.destinations import Destinations
from notifier.delivery.policy import DeliveryPolicy
from notifier.delivery.replies import ReplyRules
from notifier.delivery.reply_rules import own_rules
from notifier.events import Recipient, Urgency
from notifier.messages import ChannelName
from notifier.mime import Signer
from notifier.pipeline.ack_links import AckLinks, AckRequests
from notifier.pipeline.acknowledge import Acknowledger
from notifier.pipeline.aftermath import Aftermath
from notifier.pipeline.alerts import Alerts
from notifier.pipeline.answer import Answers
from notifier.pipeline.decide import Decider
from notifier.pipeline.deliver import Deliver
from notifier.pipeline.delivery_events import DeliveryEvents
from notifier.pipeline.failover import Failover
from notifier.pipeline.flows import Flows
from notifier.pipeline.groups import Groups
from notifier.pipeline.inbound_sms import InboundSms
from notifier.pipeline.inbox import PortalInbox
from notifier.pipeline.incoming import Reader
from notifier.pipeline.ingest import Ingest
from notifier.pipeline.jobs import Composer
from notifier.pipeline.lapses import Lapses
from notifier.pipeline.link_requests import LinkRequests
from notifier.pipeline.lookups import Lookups
from notifier.pipeline.lost_messages import LostMessages
from notifier.pipeline.measuring import Measurer
from notifier.pipeline.outbox import Outbox
from notifier.pipeline.pacing import Pacing
from notifier.pipeline.person_links import PersonLinks
from notifier.pipeline.record import Recorder
from notifier.pipeline.releases import Releases
from notifier.pipeline.routing import Routing
from notifier.pipeline.rulebook import Rulebook
from notifier.pipeline.silencing import Silencer
from notifier.pipeline.sweep import Sweep
from notifier.pipeline.throttling import Throttling
from notifier.pipeline.timers import Timers
from notifier.pipeline.tools import Tools
from notifier.pipeline.track import Track
from notifier.pipeline.tracking import Tracker
from notifier.recipients.budgets import read_budgets
from notifier.recipients.lists import read_list
from notifier.recipients.safe_mode import SafeMode
from notifier.rendering.templates import Templates
from notifier.rules.files import RuleFiles
from notifier.rules.load import compile_rules
from notifier.rules.ruleset import RuleSet
from notifier.setting_tables import LookupSource
from notifier.settings import Settings, explained, load_settings
from notifier.store import relays
from notifier.store.database import Database
from notifier.store.keyrings import open_keyring
from notifier.store.partitions import Partitions
from notifier.store.persons import Persons
from notifier.store.relays import RelayState

_RULED = frozenset(
    {
        "decider", "alerts", "acknowledger", "ack_requests", "inbound_sms", "silencer", "groups", "lapses",
        "ingest", "outboxes", "releases", "sweep", "track",
    }
)  # fmt: skip
"""The parts that hold the rules, or a part that does."""


def _silent(_wake_up: WakeUp) -> None:
    """Publish nothing: the sweep finds the work within a second."""


class Services:
    """What the stages and commands work with.

    Args:
        settings: Read from the usual places where left out.
        publish: Sends a wake-up; a process without Celery leaves it to the sweep.
        clock: The system's, except in tests.
        process: The process's name in logs and at the database.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        publish: Callable[[WakeUp], None] = _silent,
        clock: Clock | None = None,
        process: str = "notifier",
        threads: int = 8,
    ) -> None:
        self.settings = settings or load_settings()
        self.clock: Clock = clock or SystemClock()
        self.stopping = threading.Event()
        self.process = process
        self._publish, self._threads = publish, threads
        self._databases: list[Database] = []

    # Connections

    @cached_property
    def database(self) -> Database:
        """PostgreSQL as the worker role."""
        return self._database(self.settings.database_url.get_secret_value(), self._threads + 4)

    @cached_property
    def outbox_databases(self) -> list[Database]:
        """The producers' databases."""
        return [self._database(url.get_secret_value(), 2) for url in self.settings.outboxes]

    @cached_property
    def redis(self) -> redis.Redis:
        """Redis or Valkey."""
        return connect(self.settings.redis_url.get_secret_value())

    @cached_property
    def keyring(self) -> Keyring:
        """The keys, unwrapped by the master key."""
        return open_keyring(self.database, self.master_keys)

    @cached_property
    def master_keys(self) -> MasterKeys:
        """The master keys of the environment."""
        text = self.settings.master_key
        return MasterKeys.parse(text.get_secret_value() if text else "")

    # Configuration

    @cached_property
    def catalog(self) -> Catalog:
        """The event types."""
        return Catalog.load(self.settings.config_path / "events")

    @cached_property
    def templates(self) -> Templates:
        """The templates, their CSS inlined."""
        return Templates.load(self.settings.templates_path)

    @cached_property
    def lists(self) -> dict[str, tuple[Recipient, ...]]:
        """Lists and roles of the configuration."""
        return {name: read_list(name, entries) for name, entries in self.settings.lists.items()}

    @cached_property
    def rules(self) -> RuleSet:
        """The rules, checked against catalogue and lists."""
        return RuleSet.load(
            self.settings.config_path / "rules",
            types=[entry.type for entry in self.catalog],
            lists=list(self.lists),
            templates=None,
        )

    @cached_property
    def rulebook(self) -> Rulebook:
        """Which rules a process runs that lives long."""
        return Rulebook(
            folder=self.settings.config_path / "rules",
            compile_rules=self._compiled,
            database=self.database,
            keyring=self.keyring,
            clock=self.clock,
            process=self.process,
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

    @cached_property
    def policy(self) -> DeliveryPolicy:
        """Retry schedules and deadlines."""
        try:
            return DeliveryPolicy.model_validate(dict(self.settings.delivery))
        except ValidationError as error:
            file = self.settings.config_path / "notifier.yaml"
            raise explained(file, DeliveryPolicy, error, ("delivery",)) from None

    # Stages

    @cached_property
    def persons(self) -> Persons:
        """The persons' keys."""
        return Persons(self.database, self.keyring)

    @cached_property
    def inbox(self) -> PortalInbox:
        """The portal's inbox."""
        return PortalInbox(self.database, self.keyring, self.persons)

    @cached_property
    def reply_rules(self) -> ReplyRules:
        """What SMTP replies mean: the packaged rules, behind those of the configuration."""
        return ReplyRules(own_rules(self.settings.config_path))

    @cached_property
    def signer(self) -> Signer | None:
        """What signs mails with DKIM; none where no key is configured."""
        return signer(self.settings)

    @cached_property
    def providers(self) -> dict[str, ProviderSettings]:
        """The providers' settings by name: what is sent over them, and what verifies their callbacks."""
        return read_providers(self.settings)

    @cached_property
    def flows(self) -> Flows:
        """The relays and providers."""
        settings = self.settings
        senders = [*settings.relays, *(["sms"] if settings.sms is not None else []), *self.providers]
        channels = {name: self.sender(name) for name in senders}
        channels["portal"] = PortalChannel(self.inbox)
        channels["console"] = ConsoleChannel(sys.stdout)
        return Flows(channels, self._routing(channels))

    def _routing(self, channels: Mapping[str, Channel]) -> Routing:
        """Return what knows the way: by routes, else the relay of the settings, else whoever has the channel."""
        settings = self.settings
        first: dict[ChannelName, str] = {}
        for name, channel in channels.items():
            first.setdefault(channel.name, name)

        def usual(channel: ChannelName, urgency: Urgency) -> str:
            name = channel.value
            if channel is ChannelName.EMAIL:
                name = (
                    settings.urgent_relay or settings.relay if urgency is Urgency.URGENT else settings.relay
                )
            return name if name in channels else first.get(channel, name)

        def states() -> Mapping[str, RelayState]:
            with self.database.connection() as connection:
                return relays.states(connection, settings.failover_after)

        return Routing(
            routes=settings.routes,
            usual=usual,
            states=states,
            destinations=Destinations(settings.destinations),
            domain_key=lambda: self.keyring.index_key,
        )

    @cached_property
    def throttling(self) -> Throttling:
        """The limits of relays and providers, set and learned."""
        settings = self.settings
        limits = {name: relay.limits for name, relay in settings.relays.items()}
        limits |= {name: provider.limits for name, provider in self.providers.items()}
        if settings.sms is not None:
            limits["sms"] = settings.sms.limits
        return Throttling(limits, Buckets(self.redis))

    def sender(self, name: str) -> Channel:
        """Return the channel of a relay, of the gateway, or of a provider; needs no database.

        Raises:
            ConfigError: it could never work.
        """
        settings = self.settings
        if name in settings.relays:
            relay = smtp_relay(name, settings.relays[name], settings)
            return SmtpChannel(relay, signer=self.signer, rules=self.reply_rules)
        if name == "sms" and settings.sms is not None:
            return SmsChannel(sms_provider(settings.sms, settings.callbacks_url))
        around = Surroundings(clock=self.clock, callbacks=settings.callbacks_url, signer=self.signer)
        return build(name, self.providers[name], around)

    @cached_property
    def wake_ups(self) -> WakeUps:
        """Rings other stages."""
        return WakeUps(self.redis, self._publish)

    @cached_property
    def intake(self) -> Intake:
        """The intake streams, as this process reads them."""
        return Intake(self.redis, f"{self.process}@{socket.gethostname()}:{os.getpid()}")

    @cached_property
    def asks(self) -> Asks:
        """Requests for results."""
        return Asks(self.redis)

    @cached_property
    def answers(self) -> Answers:
        """Answers to them."""
        return Answers(self.database, self.keyring)

    @cached_property
    def counters(self) -> Counters:
        """What ``/metrics`` shows."""
        return Counters(self.redis)

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
    def pacing(self) -> Pacing:
        """What people set for themselves, and how much they get."""
        return Pacing(self.keyring, read_budgets(self.settings.budgets), self.settings.zone)

    @cached_property
    def alerts(self) -> Alerts:
        """Alerts and their groups."""
        return Alerts(self.rules, self.keyring)

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

    @cached_property
    def composer(self) -> Composer:
        """Writes messages."""
        settings = self.settings
        return Composer(
            catalog=self.catalog,
            templates=self.templates,
            keyring=self.keyring,
            mail=settings.mail,
            brand=settings.brand,
            limits=settings.limits,
            locale=settings.locale,
            zone=settings.zone,
            links=self.ack_links,
            person_links=self.person_links,
            tracker=self.tracker,
            safe_mode=self.safe_mode,
            suppression=settings.suppression,
        )

    @cached_property
    def safe_mode(self) -> SafeMode | None:
        """Who may be written to; None = everybody."""
        setting = self.settings.safe_mode
        if setting is None:
            return None
        places = {ChannelName.EMAIL: setting.redirect_email, ChannelName.SMS: setting.redirect_phone}
        return SafeMode(
            allow=frozenset(one.casefold() for one in setting.allow),
            redirect={channel: place for channel, place in places.items() if place is not None},
        )

    @cached_property
    def ack_links(self) -> AckLinks | None:
        """What makes links by which people take charge; none where nobody could reach them."""
        settings = self.settings
        if settings.public_url is None:
            return None
        return AckLinks(
            self.database,
            self.keyring,
            public_url=settings.public_url,
            lifetime=settings.ack_lifetime,
            sms_keys=self.sms_keys,
        )

    @cached_property
    def person_links(self) -> PersonLinks | None:
        """What makes links by which people say what they want; none where nobody could reach them."""
        settings = self.settings
        if settings.public_url is None:
            return None
        return PersonLinks(self.keyring, public_url=settings.public_url, lifetime=settings.link_lifetime)

    @cached_property
    def tracker(self) -> Tracker | None:
        """What lets mails tell that they were opened; none where nobody wants to know."""
        settings = self.settings
        if settings.public_url is None or not settings.tracking:
            return None
        return Tracker(
            self.database,
            self.keyring,
            settings.tracking,
            public_url=settings.public_url,
            lifetime=settings.link_lifetime,
        )

    @cached_property
    def link_requests(self) -> LinkRequests:
        """What carries out what people asked for by them."""
        return LinkRequests(self.database, self.keyring, self.catalog, self.clock, self.settings.tracking)

    @cached_property
    def sms_keys(self) -> SmsKeys | None:
        """The keys for SMS that come in; none where there is no gateway."""
        sms = self.settings.sms
        return SmsKeys.of(sms.auth_token.get_secret_value()) if sms is not None else None

    @cached_property
    def inbound_sms(self) -> InboundSms | None:
        """What reads SMS that come in; none where there is no gateway."""
        if self.sms_keys is None:
            return None
        return InboundSms(
            self.database, self.ack_requests, self.keyring, self.sms_keys, locale=self.settings.locale
        )

    @cached_property
    def ack_requests(self) -> AckRequests:
        """What carries out what people asked for by link."""
        return AckRequests(self.database, self.acknowledger, self.keyring, self.clock)

    @cached_property
    def lookups(self) -> Lookups:
        """Sources of live data; ``notifier`` is this database, for digests of our own."""
        own = LookupSource(url=self.settings.database_url)
        return Lookups({"notifier": own, **self.settings.lookups})

    @cached_property
    def recorder(self) -> Recorder:
        """Writes what became of tries."""
        return Recorder(
            database=self.database,
            keyring=self.keyring,
            flows=self.flows,
            pacing=self.pacing,
            clock=self.clock,
            suppression=self.settings.suppression,
        )

    @cached_property
    def lost_messages(self) -> LostMessages:
        """What sees to people whose message did not arrive."""
        return LostMessages(self.composer, self.recorder)

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
    def deliver(self) -> Deliver:
        """The deliver stage."""
        return Deliver(
            Tools(
                database=self.database,
                partitions=Partitions(self.database),
                wake_ups=self.wake_ups,
                counters=self.counters,
                composer=self.composer,
                recorder=self.recorder,
                flows=self.flows,
                throttling=self.throttling,
                lookups=self.lookups,
                policy=self.policy,
                clock=self.clock,
                tuning=self.settings.tuning,
                stopping=self.stopping,
            )
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

    def _compiled(self, files: RuleFiles) -> RuleSet:
        """Check rules against all that they name, as it is in this process."""
        return compile_rules(
            files,
            types=[entry.type for entry in self.catalog],
            lists=list(self.lists),
            templates=set(self.templates.names()).__contains__,
        )

    def _database(self, url: str, size: int) -> Database:
        database = Database(url, size=size, timeout=self.settings.tuning.database_timeout, name=self.process)
        self._databases.append(database)
        return database
