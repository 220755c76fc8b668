"""Say what a template sees: the event, its data, who reads it, and the reader's own links.

Reads nothing but what the job holds; the documented names are those of docs/how-to/templates.md.
"""

from collections.abc import Mapping

from notifier.events import Json
from notifier.pipeline.alerting.ack_links import AckWays
from notifier.pipeline.composing.jobs import Job
from notifier.pipeline.composing.person_links import PersonWays


def template_context(
    job: Job,
    *,
    live: Mapping[str, Json],
    locale: str,
    zone: str,
    brand: Mapping[str, Json],
    ways: AckWays | None,
    own: PersonWays | None,
) -> dict[str, Json]:
    """Return the variables of a message's templates; ``zone`` is for recipients that have none of their own."""
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
            "zone": job.recipient.zone or zone,
        },
        "live": live,
        "journey": {"stage": journey.stage, "history": list(journey.history)} if journey else None,
        "brand": brand,
        "why": job.row.reason,
        "links": own.to_json() if own is not None else {},
        "message": {"id": str(job.row.message_id), "reason": job.row.reason},
        **(
            {"alert": {**event.alert, "links": ways.to_json() if ways is not None else {}}}
            if event.alert is not None
            else {}
        ),
    }
