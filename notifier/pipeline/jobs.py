"""Open a stored job: unseal it, ask whether it may go, and write the message for its channel.

Sends nothing and stores nothing; a job that cannot be opened or written is a failure like any other.
"""

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote, quote_plus
from uuid import UUID

import orjson

from notifier.catalog import Catalog, EventType
from notifier.channels.base import Channel, Prepared
from notifier.crypto import DataKey, Keyring
from notifier.decisions import ChannelStep, Contact, JourneyState, StageRef
from notifier.delivery.outcome import Standing
from notifier.errors import (
    CannotUnseal,
    ConfigError,
    EventRefused,
    Fault,
    KeyDestroyed,
    KeyMissing,
    NotifierError,
    PermanentFailure,
    Phase,
    Reply,
    TemplateError,
)
from notifier.events import Event, Json, Recipient, Urgency, read_private
from notifier.messages import ChannelName, MessageClass, Outgoing, Rendered
from notifier.mime import class_headers
from notifier.pipeline.ack_links import AckLinks, AckWays, Reader
from notifier.pipeline.attachments import fetch_files
from notifier.pipeline.lookups import ChunkLookups
from notifier.pipeline.person_links import Addressee, PersonLinks, PersonWays
from notifier.pipeline.plans import read_plan
from notifier.pipeline.tracking import Tracker, TrackPlan
from notifier.recipients import suppression as suppressed
from notifier.recipients.may_we import GateFacts, GateVerdict, may_we
from notifier.recipients.paths import look_up
from notifier.recipients.preferences import can_opt_out, lacks_consent
from notifier.recipients.resolve import address_on, is_addressed
from notifier.recipients.safe_mode import SafeMode, destination, marked
from notifier.rendering.templates import Templates
from notifier.setting_tables import Brand, Limits, Mail, Sender
from notifier.setting_tables import Suppression as SuppressionSettings
from notifier.store.contacts import open_wishes
from notifier.store.jobs import JobRow
from notifier.store.messages import pack
from notifier.store.person_links import PersonLink
from notifier.store.tracked import TrackedMessage
from notifier.store.work import Claim
from notifier.tokens import mint_message_id, mint_return_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One message to send, unsealed."""

    row: JobRow
    claim: Claim
    event: Event
    entry: EventType
    recipient: Recipient
    person_key: DataKey
    steps: tuple[ChannelStep, ...]
    contact: Contact
    """What the address book says of the person now, as far as it may forbid the message."""

    @property
    def channel(self) -> ChannelName:
        """The channel this message goes out on."""
        return ChannelName(self.row.channel)

    @property
    def urgency(self) -> Urgency:
        """The notification's urgency."""
        return Urgency(self.row.urgency)

    @property
    def journey(self) -> JourneyState | None:
        """Where the subject of the notification stands now."""
        row = self.row
        if row.journey_stage is None or row.journey_order is None:
            return None
        return JourneyState(
            stage=row.journey_stage,
            order=row.journey_order,
            is_terminal=bool(row.journey_terminal),
            history=tuple(row.journey_history or ()),
        )

    def standing(self, now: datetime, attempt: int) -> Standing:
        """Return what the delivery rules need to know."""
        return Standing(
            now=now,
            attempt=attempt,
            tries=self.row.tries + 1,
            steps=self.steps,
            position=self.row.position,
            channel_deadline=self.claim.expires_at,
            deadline=self.row.deadline,
            may_have_arrived=self.claim.may_have_arrived,
        )


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


class Unopenable(PermanentFailure):
    """The job's data is gone or damaged: it can never be sent."""


class Unready(NotifierError):
    """This process lacks what the job needs, a newer key or event type: another one, or a later one, has it."""


class Composer:
    """Opens jobs and writes messages."""

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
        self._suppression = suppression or SuppressionSettings()
        self._catalog, self._templates, self._keyring = catalog, templates, keyring
        self._mail, self._limits = mail, limits
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
        try:
            person_key = self._keyring.open_data_key(row.person_key)
            recipient = Recipient(**orjson.loads(person_key.unseal(row.notification_sealed, b"recipient")))
            event_key = self._keyring.open_data_key(row.event_key)
            stored = orjson.loads(event_key.unseal(row.event_sealed, b"event"))
            private = {**read_private(stored), "alert": stored.get("alert")}
            steps = read_plan(row.plan)
            contact = Contact(
                opt_outs=frozenset(row.opt_outs or ()), wishes=open_wishes(person_key, row.wishes)
            )
        except KeyMissing as error:
            raise Unready(str(error)) from error
        except (KeyDestroyed, CannotUnseal, EventRefused, ValueError, TypeError, LookupError) as error:
            raise _unopenable(error) from error
        if row.type not in self._catalog:
            raise Unready(f"the event type {row.type!r} is not in this process's catalogue")
        entry = self._catalog[row.type]
        event = Event(
            id=row.external_id,
            source=row.source,
            type=row.type,
            subject=row.subject,
            time=row.event_time,
            tenant=row.tenant,
            urgency=Urgency(row.urgency),
            **private,
        )
        return Job(
            row=row,
            claim=claim,
            event=event,
            entry=entry,
            recipient=recipient,
            person_key=person_key,
            steps=steps,
            contact=contact,
        )

    def gate(self, job: Job, now: datetime, *, has_tls: bool) -> GateVerdict:
        """Ask whether the message may go out now."""
        row = job.row
        return may_we(
            GateFacts(
                now=now,
                deadline=row.deadline,
                recipient=job.recipient,
                is_tenant_paused=row.is_tenant_paused,
                journey=job.journey,
                stage=StageRef(
                    rule=row.stage_rule, subject=row.subject, stage=row.stage, order=row.stage_order or 0
                )
                if row.stage_rule is not None and row.stage is not None
                else None,
                **_refusals(job),
                suppressed=self._suppressed(job),
                audience=job.entry.audience,
                recipient_is_addressed=is_addressed(job.event, job.recipient),
                is_held_by_safe_mode=not self._is_sendable(job),
                is_tls_required=job.entry.is_tls_required and job.channel is ChannelName.EMAIL,
                has_tls=has_tls,
            )
        )

    def _suppressed(self, job: Job) -> suppressed.Suppression | None:
        """Return the entry that keeps this message back, of those that stand for its address."""
        if not job.row.suppressions:
            return None
        asked = suppressed.Asked(
            channel=job.channel,
            message_class=job.entry.message_class,
            urgency=job.urgency,
            preference=job.entry.preference,
            complaints=self._suppression.of(job.row.tenant).complaint,
        )
        return suppressed.first_that_forbids(
            (
                suppressed.Suppression(
                    cause=suppressed.Cause(cause),
                    scope=scope,
                    reason=reason,
                    since=datetime.fromisoformat(since),
                )
                for cause, scope, reason, since in job.row.suppressions
            ),
            asked,
        )

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

    def compose(self, job: Job, adapter: Channel, lookups: ChunkLookups) -> Composed:
        """Render the message and write it in the provider's form.

        Raises:
            PermanentFailure: the template fails, or the provider could never take it.
            TemporaryFailure: live data or an attachment is not to be had right now.
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
        if to != address_on(job.recipient, job.channel):
            content = marked(content, job.channel)
        sent, tracked = self._tracked(job, content, ways, own)
        prepared = adapter.prepare(self._outgoing(job, sent, locale, to, own))
        if len(prepared.wire) > self._limits.message_bytes:
            most = self._limits.message_bytes
            problem = f"the message has {len(prepared.wire)} bytes, limits.message_bytes is {most}"
            raise PermanentFailure(
                problem,
                fault=Fault.CONTENT,
                reply=Reply(phase=Phase.LOCAL, text=problem),
                reason="too-large",
            )
        # Whoever may read what was said may not take charge in another's name.
        links = [ways.url] if ways is not None else []
        links += own.addresses() if own is not None else []
        body = pack(orjson.dumps(_kept(job, content, live, version, links)))
        return Composed(
            job=job,
            prepared=prepared,
            template_version=version,
            body=job.person_key.seal(body, b"body"),
            link=own.link if own is not None else None,
            tracked=tracked,
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
        secrets = [value for path in job.entry.secret for value in _secrets(job.event, path)]
        found = self._tracker.apply(
            own.tracking,
            content,
            secrets=[*secrets, *([ways.url] if ways is not None else [])],
            tenant=job.row.tenant,
            person=job.row.person_id,
            message=job.row.message_id,
            made_at=job.row.message_created_at,
        )
        return found if found is not None else (content, None)

    def is_itself(self, job: Job) -> bool:
        """Tell whether the mail goes to its own recipient, not where safe mode sends it."""
        to = address_on(job.recipient, job.channel)
        return destination(self._safe_mode, job.channel, to) == to

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
        event, journey = job.event, job.journey
        return {
            "event": {
                "id": event.id,
                "type": event.type,
                "subject": event.subject,
                "time": event.time.isoformat(),
            },
            "data": event.data,
            "recipient": {
                "name": job.recipient.name,
                "locale": locale,
                "zone": job.recipient.zone or self._zone,
            },
            "live": live,
            "journey": {"stage": journey.stage, "history": list(journey.history)} if journey else None,
            "brand": self._brand,
            "why": job.row.reason,
            "links": own.to_json() if own is not None else {},
            "message": {"id": str(job.row.message_id), "reason": job.row.reason},
            **(
                {"alert": {**event.alert, "links": ways.to_json() if ways is not None else {}}}
                if event.alert is not None
                else {}
            ),
        }

    def _is_sendable(self, job: Job) -> bool:
        mode = self._safe_mode
        return mode is None or mode.is_sendable(job.channel, address_on(job.recipient, job.channel))

    def _outgoing(
        self, job: Job, content: Rendered, locale: str, to: str, choice: PersonWays | None
    ) -> Outgoing:
        mail, row = self._mail, job.row
        is_email = job.channel is ChannelName.EMAIL
        own = mail.senders.get(job.entry.message_class) or Sender()
        sender = own.sender or mail.sender
        return Outgoing(
            id=row.message_id,
            channel=job.channel,
            tenant=row.tenant,
            to=to,
            to_name=job.recipient.name,
            sender=sender if is_email else "",
            sender_name=own.sender_name or mail.sender_name,
            reply_to=own.reply_to or mail.reply_to,
            content=content,
            message_id=mint_message_id(self._keyring.token_key, row.message_id, mail.domain),
            headers={
                **(self._class_headers(job, sender) if is_email else {}),
                **(choice.headers() if choice is not None else {}),
            },
            return_path=self._return_path(row.message_id) if is_email else "",
            notify=is_email and mail.envelope_sender is not None,
            files=fetch_files(job.event.attachments, self._limits) if is_email else (),
            is_tls_required=job.entry.is_tls_required,
            locale=locale,
            type=row.type,
        )

    def _return_path(self, message: UUID) -> str:
        mail = self._mail
        if mail.envelope_sender is None or not mail.verp:
            return ""
        return mint_return_path(self._keyring.return_path_key, message, mail.envelope_sender)

    def _class_headers(self, job: Job, sender: str) -> dict[str, str]:
        return class_headers(
            job.entry.message_class, type_name=job.row.type, tenant=job.row.tenant, sender=sender,
            sender_id=self._mail.feedback_id,
        )  # fmt: skip


def _unopenable(error: Exception) -> Unopenable:
    reason = "erased" if isinstance(error, KeyDestroyed) else "unreadable"
    return Unopenable(str(error), fault=Fault.CONTENT, reply=Reply(phase=Phase.LOCAL), reason=reason)


def _refusals(job: Job) -> dict[str, bool]:
    """Return what the person said of the category, as the address book has it now."""
    row, entry, refused = job.row, job.entry, job.contact.refused
    counts = bool(refused) and can_opt_out(entry.message_class, job.urgency, entry.preference)
    return {
        "opted_out": counts and row.category in refused,
        "opted_out_of_channel": counts and f"{row.category}:{row.channel}" in refused,
        "lacks_consent": lacks_consent(
            job.contact, row.category, job.channel,
            message_class=entry.message_class, preference=entry.preference,
        ),
    }  # fmt: skip


def _kept(
    job: Job, content: Rendered, live: Mapping[str, Json], version: str, links: list[str]
) -> dict[str, Json]:
    """Return what is kept of what was said; secrets such as a reset link are blanked."""
    secrets = [*links, *(value for path in job.entry.secret for value in _secrets(job.event, path))]
    safe = replace(
        content,
        subject=_blank(content.subject, secrets),
        text=_blank(content.text, secrets),
        html=_blank(content.html, secrets) if content.html is not None else None,
    )
    return {
        "subject": safe.subject,
        "text": safe.text,
        "html": safe.html,
        "live": dict(live),
        "template": version,
    }


def _secrets(event: Event, path: str) -> Iterator[str]:
    """Yield what stands at a secret path, in the event's data and in that of the alerts it tells of."""
    told = [one for part in ("firing", "resolved") for one in (event.alert or {}).get(part, ())]
    for data in (event.data, *(one["data"] for one in told)):
        value = look_up(data, path)
        if isinstance(value, str) and value:
            yield value


def _blank(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        # As it is, in markup, and in the address of a link.
        for form in {secret, html.escape(secret), quote(secret), quote(secret, safe=""), quote_plus(secret)}:
            text = text.replace(form, "[secret]")
    return text
