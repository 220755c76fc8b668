"""The event: something happened, told by a producer; whom it names and what goes with it.

Imports only the standard library: every producer has this.
"""

from notifier.events.attachment import Attachment
from notifier.events.checks import Json
from notifier.events.event import DEFAULT_TENANT, LANES, Event, Urgency, read_private
from notifier.events.recipient import Recipient, read_recipients

__all__ = [
    "DEFAULT_TENANT",
    "LANES",
    "Attachment",
    "Event",
    "Json",
    "Recipient",
    "Urgency",
    "read_private",
    "read_recipients",
]
