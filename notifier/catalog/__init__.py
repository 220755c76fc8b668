"""Know every event type: its schema, class, urgency, sample and rules of conduct."""

from notifier.catalog.types import Catalog, EventType, Lookup

__all__ = ["Catalog", "EventType", "Lookup"]
