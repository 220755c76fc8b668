"""Open a stored job: unseal what a message needs, for whoever asks, writes or settles it.

Sends nothing and stores nothing; a job that cannot be opened is a failure like any other.
"""

from dataclasses import dataclass
from datetime import datetime

import orjson

from notifier.catalog import Catalog, EventType
from notifier.crypto import DataKey, Keyring
from notifier.decisions import ChannelStep, Contact, JourneyState
from notifier.delivery.outcome import Standing
from notifier.errors import (
    CannotUnseal,
    EventRefused,
    Fault,
    KeyDestroyed,
    KeyMissing,
    NotifierError,
    PermanentFailure,
    Phase,
    Reply,
)
from notifier.events import Event, Recipient, Urgency, read_private
from notifier.messages import ChannelName
from notifier.pipeline.composing.plans import read_plan
from notifier.store.contacts import open_wishes
from notifier.store.jobs import JobRow
from notifier.store.work import Claim


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


class Unopenable(PermanentFailure):
    """The job's data is gone or damaged: it can never be sent."""


class Unready(NotifierError):
    """This process lacks what the job needs, a newer key or event type: another one, or a later one, has it."""


class JobOpener:
    """Opens jobs."""

    def __init__(self, catalog: Catalog, keyring: Keyring) -> None:
        self._catalog, self._keyring = catalog, keyring

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


def _unopenable(error: Exception) -> Unopenable:
    reason = "erased" if isinstance(error, KeyDestroyed) else "unreadable"
    return Unopenable(str(error), fault=Fault.CONTENT, reply=Reply(phase=Phase.LOCAL), reason=reason)
