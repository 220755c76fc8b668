"""Hand events to notifier from Python: light to install, light to import.

``Client(url, source=...)`` is the whole of it; the rest are the values it takes and gives back.
"""

from notifier.client.client import Client
from notifier.client.receipts import EnqueueSummary, NotificationResult, Receipt, Result
from notifier.client.writing import EventSpec, Limits, event
from notifier.events import Attachment, Recipient, Urgency

__all__ = [
    "Attachment",
    "Client",
    "EnqueueSummary",
    "EventSpec",
    "Limits",
    "NotificationResult",
    "Receipt",
    "Recipient",
    "Result",
    "Urgency",
    "event",
]
