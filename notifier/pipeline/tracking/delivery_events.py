"""Make events of what became of mails, for rules: ``email.bounced`` and its like.

Only where a rule asks for the type; one for each fact of a message, however often it is reported. They name ids,
never an address: an event is forgotten with those who were told of it, and nobody need be told of these.
"""

from collections.abc import Sequence
from datetime import datetime

from notifier.catalog import Catalog
from notifier.errors import EventRefused
from notifier.events import Event, Json, Urgency
from notifier.logs import get_logger
from notifier.messages import ChannelName
from notifier.pipeline.incoming import Incoming
from notifier.pipeline.planning.decide import Decider
from notifier.receipts import ReceiptKind
from notifier.rules.ruleset import RuleSet
from notifier.store.database import Connection
from notifier.store.receipts import MessageReport

log = get_logger("track")

SOURCE = "notifier"
PREFIX = "email."
_SAID = {
    ReceiptKind.DELIVERED: "delivered",
    ReceiptKind.DEFERRED: "deferred",
    ReceiptKind.BOUNCED: "bounced",
    ReceiptKind.COMPLAINED: "complained",
    ReceiptKind.OPENED: "opened",
    ReceiptKind.CLICKED: "clicked",
    ReceiptKind.REPLIED: "replied",
    ReceiptKind.UNSUBSCRIBED: "unsubscribed",
}
_REPEATED = frozenset({ReceiptKind.OPENED, ReceiptKind.CLICKED, ReceiptKind.REPLIED})
"""Each of these is one more of them; of the others a message has one, and of bounces one of each class."""


class DeliveryEvents:
    """Emits what became of mails."""

    def __init__(self, *, decider: Decider, rules: RuleSet, catalog: Catalog) -> None:
        self._decider, self._rules, self._catalog = decider, rules, catalog

    def emit(
        self, connection: Connection, reports: Sequence[MessageReport], now: datetime
    ) -> set[tuple[str, str]]:
        """Decide an event for each fact a rule asks for; return the (channel, lane) pairs with new work."""
        batch = [made for one in reports if (made := self._incoming(one, now)) is not None]
        return self._decider.run(connection, batch, now).flows if batch else set()

    def _incoming(self, report: MessageReport, now: datetime) -> Incoming | None:
        told, message = report.receipt, report.message
        name = _SAID.get(told.kind)
        # Mail that tells of such an event makes none: it could bounce, and so on for ever.
        if name is None or message.channel != ChannelName.EMAIL or message.type.startswith(PREFIX):
            return None
        type_ = PREFIX + name
        if not any(rule.is_enabled for rule in self._rules.rules_for(type_)) or type_ not in self._catalog:
            return None
        event = Event(
            id=_id(report, name),
            source=SOURCE,
            type=type_,
            subject=message.subject,
            time=told.at,
            tenant=message.tenant,
            data=_data(report),
        )
        try:
            entry = self._catalog.check(event.type, event.data)
        except EventRefused as error:  # the type's schema is another one here
            log.error("track.refused", type=type_, field=error.field, reason=error.reason)
            return None
        return Incoming(event=event, entry=entry, lane=Urgency(entry.urgency), at=now)


def _id(report: MessageReport, name: str) -> str:
    """Return the event's id: a bounce for good is another fact than the one before that might have passed."""
    told, message = report.receipt, report.message
    if told.kind in _REPEATED:
        return f"{message.id}:{name}:{report.key}"
    return f"{message.id}:{name}" + (f":{told.bounce.value}" if told.bounce else "")


def _data(report: MessageReport) -> dict[str, Json]:
    told, message = report.receipt, report.message
    found: dict[str, Json] = {
        "type": message.type,
        "category": message.category,
        "channel": message.channel,
        "relay": message.relay,
        "message": str(message.id),
        "notification": str(message.notification_id),
        "class": told.bounce.value if told.bounce else None,
        "reason": told.reason,
        "status": told.status,
        "by": told.detail.get("verdict"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str) and value}
