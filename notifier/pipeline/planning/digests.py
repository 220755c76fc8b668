"""Make one digest of what was held back for a person, as the event that tells it.

Writes nothing: what becomes of the messages it gathers is decided by ``releases``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.catalog import Catalog
from notifier.events import Event, Urgency
from notifier.pipeline.composing.jobs import Job
from notifier.pipeline.incoming import Incoming
from notifier.recipients.gathering import SHOWN, Entry, digest_data
from notifier.store.held import Bin, HeldRow

DIGEST = "notifier.digest"
DIGEST_TEMPLATE = "notifier/digest"
SOURCE = "notifier"


@dataclass(frozen=True, slots=True)
class HeldItem:
    """A message that is held, opened; its deadline counts from now."""

    row: HeldRow
    job: Job


def digest_of(
    catalog: Catalog,
    bin_: Bin,
    items: Sequence[HeldItem],
    now: datetime,
    *,
    headline: Callable[[Job], str],
) -> Incoming:
    """Return the digest of a bin, as an event; ``headline`` says in a line what a message is about."""
    shown = {one.row.message_id for one in sorted(items, key=_at, reverse=True)[:SHOWN]}
    categories = {one.job.row.category for one in items}
    entry = catalog[DIGEST]
    if len(categories) == 1:
        # It stands for them: in the log, at a suppression, and for the time of the next one.
        entry = entry.model_copy(update={"category": categories.pop()})
    event = Event(
        id=f"digest:{bin_.person_id}:{items[0].row.message_id}",
        source=SOURCE,
        type=DIGEST,
        subject=entry.category,
        time=now,
        data=digest_data(
            [_entry(one, headline(one.job) if one.row.message_id in shown else "") for one in items]
        ),
        tenant=bin_.tenant,
        to=(items[-1].job.recipient,),
    )
    lane = min((one.job.urgency for one in items), key=list(Urgency).index)
    return Incoming(event=event, entry=entry, lane=lane, at=now)


def _entry(item: HeldItem, headline: str) -> Entry:
    job = item.job
    return Entry(
        at=item.row.arrived_at,
        title=job.entry.title,
        subject=job.event.subject,
        headline=headline,
        severity=(job.event.alert or {}).get("severity"),
    )


def _at(item: HeldItem) -> tuple[datetime, str]:
    return item.row.arrived_at, item.job.event.subject
