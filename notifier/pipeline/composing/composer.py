"""Write a message for its channel, in three steps: what it says; in the provider's form; what is kept of it.

Sends nothing and stores nothing; a message that cannot be written is a failure like any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from notifier.catalog import Catalog
from notifier.channels.base import Channel, Prepared
from notifier.crypto import Keyring
from notifier.errors import (
    ConfigError,
    Fault,
    PermanentFailure,
    Phase,
    Reply,
    TemplateError,
)
from notifier.events import Json
from notifier.messages import ChannelName, MessageClass, Rendered
from notifier.pipeline.alerting.ack_links import AckLinks, AckWays, Reader
from notifier.pipeline.composing.engagement import Tracker, TrackPlan
from notifier.pipeline.composing.envelopes import Envelopes
from notifier.pipeline.composing.gate import Gatekeeper
from notifier.pipeline.composing.jobs import Job, JobOpener
from notifier.pipeline.composing.keeping import kept, secrets_of
from notifier.pipeline.composing.lookups import ChunkLookups
from notifier.pipeline.composing.person_links import Addressee, PersonLinks, PersonWays
from notifier.pipeline.composing.template_context import template_context
from notifier.recipients.may_we import GateVerdict
from notifier.recipients.preferences import can_opt_out
from notifier.recipients.resolve import address_on
from notifier.recipients.safe_mode import SafeMode, destination, marked
from notifier.rendering.templates import Templates
from notifier.setting_tables import Brand, Limits, Mail
from notifier.setting_tables import Suppression as SuppressionSettings
from notifier.store.jobs import JobRow
from notifier.store.messages import pack
from notifier.store.person_links import PersonLink
from notifier.store.tracked import TrackedMessage
from notifier.store.work import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a message says, and to whom."""

    content: Rendered
    template_version: str
    locale: str
    live: Mapping[str, Json]
    to: str
    is_redirected: bool
    """Safe mode sends it elsewhere."""
    ways: AckWays | None
    own: PersonWays | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A message in its provider's form."""

    draft: Draft
    prepared: Prepared
    tracked: TrackedMessage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A message ready for its channel, and its body as it is kept."""

    job: Job
    prepared: Prepared
    template_version: str
    body: bytes
    link: PersonLink | None = None
    """What stands in the mail for its reader to say what they want; to be kept before it leaves."""
    tracked: TrackedMessage | None = None
    """Likewise, what a hit on its links needs to know."""


class Composer:
    """Writes messages; opens their jobs and asks the gate for those who do."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        templates: Templates,
        keyring: Keyring,
        mail: Mail,
        brand: Brand,
        limits: Limits,
        locale: str,
        zone: str,
        links: AckLinks | None = None,
        person_links: PersonLinks | None = None,
        tracker: Tracker | None = None,
        safe_mode: SafeMode | None = None,
        suppression: SuppressionSettings | None = None,
    ) -> None:
        self._templates, self._limits = templates, limits
        self._opener = JobOpener(catalog, keyring)
        self._gate = Gatekeeper(safe_mode, suppression or SuppressionSettings())
        self._envelopes = Envelopes(keyring, mail, limits)
        self._brand: Mapping[str, Json] = brand.model_dump()
        self._locale, self._zone = locale, zone
        self._links, self._person_links, self._safe_mode = links, person_links, safe_mode
        self._tracker = tracker

    def open(self, row: JobRow, claim: Claim) -> Job:
        """Unseal what the message needs.

        Raises:
            Unopenable: a key was destroyed, or bytes were changed.
            Unready: a key or the event type is not in this process.
        """
        return self._opener.open(row, claim)

    def gate(self, job: Job, now: datetime, *, has_tls: bool) -> GateVerdict:
        """Ask whether the message may go out now."""
        return self._gate.ask(job, now, has_tls=has_tls)

    def is_itself(self, job: Job) -> bool:
        """Tell whether the mail goes to its own recipient, not where safe mode sends it."""
        return self._gate.is_itself(job)

    def headline(self, job: Job) -> str:
        """Return one line that says what the message is about: a mail's subject, or its type's title.

        The title where the subject needs live data, or could hold a secret.
        """
        if job.entry.lookup or job.entry.secret:
            return job.entry.title
        locale = job.recipient.locale or self._locale
        try:
            context = self._context(job, {}, locale, None, None)
            return self._templates.render(job.row.template, ChannelName.EMAIL, locale, context).subject
        except (TemplateError, ConfigError):  # it is told in short; by itself it would have failed
            return job.entry.title

    def render(self, job: Job, lookups: ChunkLookups) -> Draft:
        """Render the message, with live data and its reader's own links.

        Raises:
            PermanentFailure: the template fails.
            TemporaryFailure: live data is not to be had right now.
        """
        live = lookups.live(job.entry, job.event)
        locale = job.recipient.locale or self._locale
        ways, own = self._ways(job, locale), self._own_ways(job, locale)
        plan = self._track_plan(job) if own is not None else None
        if own is not None and plan is not None:
            own = replace(own, tracking=plan)
        try:
            content = self._templates.render(
                job.row.template, job.channel, locale, self._context(job, live, locale, ways, own)
            )
            version = self._templates.version(job.row.template)
        except (TemplateError, ConfigError) as error:
            raise PermanentFailure(
                str(error),
                fault=Fault.CONTENT,
                reply=Reply(phase=Phase.LOCAL, text=str(error)),
                reason=f"template: {error}",
            ) from error
        if ways is not None:
            content = replace(content, text=ways.said(content.text, locale))
        to = destination(self._safe_mode, job.channel, address_on(job.recipient, job.channel))
        if is_redirected := to != address_on(job.recipient, job.channel):
            content = marked(content, job.channel)
        return Draft(
            content=content, template_version=version, locale=locale, live=live, to=to,
            is_redirected=is_redirected, ways=ways, own=own,
        )  # fmt: skip

    def write(self, job: Job, draft: Draft, adapter: Channel) -> Written:
        """Address the message and write it in the provider's form.

        Raises:
            PermanentFailure: the provider could never take it.
            TemporaryFailure: an attachment is not to be had right now.
        """
        sent, tracked = self._tracked(job, draft.content, draft.ways, draft.own)
        prepared = adapter.prepare(self._envelopes.outgoing(job, sent, draft.locale, draft.to, draft.own))
        if len(prepared.wire) > self._limits.message_bytes:
            most = self._limits.message_bytes
            problem = f"the message has {len(prepared.wire)} bytes, limits.message_bytes is {most}"
            raise PermanentFailure(
                problem,
                fault=Fault.CONTENT,
                reply=Reply(phase=Phase.LOCAL, text=problem),
                reason="too-large",
            )
        return Written(draft=draft, prepared=prepared, tracked=tracked)

    def keep(self, job: Job, written: Written) -> Composed:
        """Seal what is kept of what the message says."""
        draft = written.draft
        own = draft.own
        # Whoever may read what was said may not take charge in another's name.
        links = [draft.ways.url] if draft.ways is not None else []
        links += own.addresses() if own is not None else []
        said = kept(
            job, draft.content, draft.live, draft.template_version, links, is_redirected=draft.is_redirected
        )
        return Composed(
            job=job,
            prepared=written.prepared,
            template_version=draft.template_version,
            body=job.person_key.seal(pack(orjson.dumps(said)), b"body"),
            link=own.link if own is not None else None,
            tracked=written.tracked,
        )

    def _track_plan(self, job: Job) -> TrackPlan | None:
        if self._tracker is None or not self.is_itself(job):
            return None
        return self._tracker.plan(job.row.tenant, job.row.person_id, job.entry.message_class)

    def _tracked(
        self, job: Job, content: Rendered, ways: AckWays | None, own: PersonWays | None
    ) -> tuple[Rendered, TrackedMessage | None]:
        """Return the mail with what tells that it is opened, as far as its reader agreed to it."""
        if self._tracker is None or own is None or own.tracking is None:
            return content, None
        # Who agreed can withdraw from the very mail; one whose template shows no such link tells nothing.
        if own.preferences not in (content.html or ""):
            return content, None
        found = self._tracker.apply(
            own.tracking,
            content,
            secrets=[*secrets_of(job), *([ways.url] if ways is not None else [])],
            tenant=job.row.tenant,
            person=job.row.person_id,
            message=job.row.message_id,
            made_at=job.row.message_created_at,
        )
        return found if found is not None else (content, None)

    def _own_ways(self, job: Job, locale: str) -> PersonWays | None:
        """Return how the reader may say what they want; of what they cannot refuse, about the rest only."""
        row, entry = job.row, job.entry
        if self._person_links is None or job.channel is not ChannelName.EMAIL:
            return None
        if entry.message_class is MessageClass.TRANSACTIONAL:
            return None
        to = Addressee(
            tenant=row.tenant,
            person=row.person_id,
            address_index=row.address_index,
            category=row.category,
            message=row.message_id,
            locale=locale,
            can_refuse=can_opt_out(entry.message_class, job.urgency, entry.preference),
        )
        return self._person_links.of(to, row.message_created_at)

    def _ways(self, job: Job, locale: str) -> AckWays | None:
        if self._links is None or job.event.alert is None:
            return None
        reader = Reader(
            message=job.row.message_id,
            person=job.row.person_id,
            channel=job.channel,
            address=address_on(job.recipient, job.channel),
            locale=locale,
        )
        return self._links.of(job.event, reader, job.row.message_created_at)

    def _context(
        self,
        job: Job,
        live: Mapping[str, Json],
        locale: str,
        ways: AckWays | None,
        own: PersonWays | None,
    ) -> dict[str, Json]:
        return template_context(
            job, live=live, locale=locale, zone=self._zone, brand=self._brand, ways=ways, own=own
        )
