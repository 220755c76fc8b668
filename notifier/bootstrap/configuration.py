"""Read what an operator wrote: event types, templates, rules, lists, policies, providers.

Reads files once, on first use; sends nothing.
"""

from functools import cached_property

from pydantic import ValidationError

from notifier.bootstrap.connections import Connections
from notifier.catalog import Catalog
from notifier.channels.provider import ProviderSettings
from notifier.channels.registry import read_providers
from notifier.channels.signing import signer
from notifier.crypto import SmsKeys
from notifier.delivery.policy import DeliveryPolicy
from notifier.delivery.replies import ReplyRules
from notifier.delivery.reply_rules import own_rules
from notifier.events import Recipient
from notifier.messages import ChannelName
from notifier.mime import Signer
from notifier.pipeline.composing.lookups import Lookups
from notifier.pipeline.planning.rulebook import Rulebook
from notifier.recipients.lists import read_list
from notifier.recipients.safe_mode import SafeMode, spelling
from notifier.rendering.templates import Templates
from notifier.rules.files import RuleFiles
from notifier.rules.load import compile_rules, read_rules
from notifier.rules.ruleset import RuleSet
from notifier.setting_tables import LookupSource
from notifier.settings import explained


class Configuration(Connections):
    """What an operator wrote."""

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
        return read_rules(
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

    @cached_property
    def policy(self) -> DeliveryPolicy:
        """Retry schedules and deadlines."""
        try:
            return DeliveryPolicy.model_validate(dict(self.settings.delivery))
        except ValidationError as error:
            file = self.settings.config_path / "notifier.yaml"
            raise explained(file, DeliveryPolicy, error, ("delivery",)) from None

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
    def lookups(self) -> Lookups:
        """Sources of live data; ``notifier`` is this database, for digests of our own."""
        own = LookupSource(url=self.settings.database_url)
        return Lookups({"notifier": own, **self.settings.lookups})

    @cached_property
    def safe_mode(self) -> SafeMode | None:
        """Who may be written to; None = everybody."""
        setting = self.settings.safe_mode
        if setting is None:
            return None
        places = {ChannelName.EMAIL: setting.redirect_email, ChannelName.SMS: setting.redirect_phone}
        return SafeMode(
            allow=frozenset(map(spelling, setting.allow)),
            redirect={channel: place for channel, place in places.items() if place is not None},
        )

    @cached_property
    def sms_keys(self) -> SmsKeys | None:
        """The keys for SMS that come in; none where there is no gateway."""
        sms = self.settings.sms
        return SmsKeys.of(sms.auth_token.get_secret_value()) if sms is not None else None

    def _compiled(self, files: RuleFiles) -> RuleSet:
        """Check rules against all that they name, as it is in this process."""
        return compile_rules(
            files,
            types=[entry.type for entry in self.catalog],
            lists=list(self.lists),
            templates=set(self.templates.names()).__contains__,
        )
