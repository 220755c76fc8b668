"""Wire what writes messages and hands them over: relays, providers, links, the deliver stage.

Opens no connection to a relay by itself.
"""

import sys
from collections.abc import Mapping
from functools import cached_property

from notifier.bootstrap.configuration import Configuration
from notifier.broker.buckets import Buckets
from notifier.channels.base import Channel
from notifier.channels.configured import sms_provider, smtp_relay
from notifier.channels.console import ConsoleChannel
from notifier.channels.portal import PortalChannel
from notifier.channels.provider import Surroundings
from notifier.channels.registry import build
from notifier.channels.sms import SmsChannel
from notifier.channels.smtp import SmtpChannel
from notifier.delivery.destinations import Destinations
from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.pipeline.alerting.ack_links import AckLinks
from notifier.pipeline.composing.composer import Composer
from notifier.pipeline.composing.engagement import Tracker
from notifier.pipeline.composing.person_links import PersonLinks
from notifier.pipeline.people.inbox import PortalInbox
from notifier.pipeline.planning.pacing import Pacing
from notifier.pipeline.relays.flows import Flows
from notifier.pipeline.relays.routing import Routing
from notifier.pipeline.relays.throttling import Throttling
from notifier.pipeline.sending.deliver import Deliver
from notifier.pipeline.sending.record import Recorder
from notifier.pipeline.sending.tools import Tools
from notifier.pipeline.tracking.lost_messages import LostMessages
from notifier.recipients.budgets import read_budgets
from notifier.store import relays
from notifier.store.partitions import Partitions
from notifier.store.relays import RelayState


class Sending(Configuration):
    """What writes messages and hands them over."""

    @cached_property
    def inbox(self) -> PortalInbox:
        """The portal's inbox."""
        return PortalInbox(self.database, self.keyring, self.persons)

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
    def pacing(self) -> Pacing:
        """What people set for themselves, and how much they get."""
        return Pacing(self.keyring, read_budgets(self.settings.budgets), self.settings.zone)

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
        return PersonLinks(
            self.keyring,
            public_url=settings.public_url,
            lifetime=settings.link_lifetime,
            mail_domain=settings.unsubscribe_domain,
        )

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
