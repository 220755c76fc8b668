"""Read what came in, and refuse what can never be processed, naming the field.

Writes nothing; the ingest stage stores what this returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import psycopg

from notifier.catalog import Catalog, EventType
from notifier.client.sealing import open_private
from notifier.client.wire import MAX_EVENT_BYTES_WITH_FILES
from notifier.crypto import Keyring
from notifier.errors import CannotUnseal, EventRefused, KeyMissing, NotifierError
from notifier.events import DEFAULT_TENANT, Event, Json, Urgency, read_private
from notifier.ids import uuid7
from notifier.setting_tables import Limits
from notifier.store.database import DatabaseSlow, DatabaseUnavailable

PROCESSING_ERRORS = (
    psycopg.Error,
    NotifierError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
)
"""What one event can trip over in our own processing, without the others being at fault."""
WAITING_ERRORS = (DatabaseSlow, KeyMissing)
"""Of these, what says nothing against the event: it stays where it is until this process can do it."""
_PASSING_ERRORS = (DatabaseUnavailable, *WAITING_ERRORS)

_DEPTH = 64
"""Levels of nesting; orjson writes 254, and every reader after us has a limit of its own."""
_KEY_BYTES = 2000
"""Of tenant, source and id together: a row of PostgreSQL's index has 2,704 at most."""
_RECIPIENTS = 1000
_CLOCK_ERROR = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Bytes that came in on a lane, and when the intake took them."""

    payload: bytes
    lane: Urgency
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """An event that passed every check, with the id it will have here."""

    event: Event
    entry: EventType
    lane: Urgency
    at: datetime
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An arrival that was refused: who sent it, as far as it says, and why."""

    arrival: Arrival
    error: EventRefused
    tenant: str = DEFAULT_TENANT
    source: str = ""
    external_id: str = ""
    type: str | None = None


def is_passing(error: Exception) -> bool:
    """Tell whether an error says nothing against what was being processed, which is to be tried again as it is."""
    return isinstance(error, _PASSING_ERRORS)


class Reader:
    """Turns arrivals into events, or refusals."""

    def __init__(self, catalog: Catalog, keyring: Keyring, limits: Limits) -> None:
        self._catalog, self._keyring, self._limits = catalog, keyring, limits

    def read(self, arrival: Arrival, tenants: frozenset[str]) -> Incoming | Refusal:
        """Decode, open and check one arrival."""
        value: Json = None
        try:
            value = self._decode(arrival.payload)
            event = self._open(Event.from_json(value))
            check_tenant(event, tenants)
            _check_key(event)
            _check_recipients(event)
            _check_depth(event.data)
            self._check_size(event)
            entry = self._catalog.check(event.type, event.data)
        except EventRefused as error:
            return Refusal(arrival=arrival, error=error, **_labels(value))
        except PROCESSING_ERRORS as error:
            refused = EventRefused(
                f"cannot be processed: {type(error).__name__}", field="event", code="unprocessable"
            )
            return Refusal(arrival=arrival, error=refused, **_labels(value))
        return Incoming(event=event, entry=entry, lane=arrival.lane, at=arrival.at)

    def _decode(self, payload: bytes) -> Json:
        # Base64 and sealing make an event with files up to 16/9 as long.
        if len(payload) > 2 * MAX_EVENT_BYTES_WITH_FILES:
            raise EventRefused(f"has {len(payload)} bytes", field="event", code="too_large")
        try:
            return orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise EventRefused(f"is not JSON: {error.msg} at byte {error.pos}", field="event") from None

    def _open(self, event: Event) -> Event:
        if event.sealed is None:
            return event
        try:
            private = open_private(event.sealed, self._keyring.intake_key, event.key)
        except CannotUnseal as error:
            raise EventRefused(str(error), field="sealed", code="sealed") from None
        return replace(event, sealed=None, **read_private(private))

    def _check_size(self, event: Event) -> None:
        size = len(orjson.dumps(event.data))
        if size > self._limits.event_bytes:
            raise EventRefused(
                f"has {size} bytes, the limit is {self._limits.event_bytes}", field="data", code="too_large"
            )
        files = sum(len(attachment.content or b"") for attachment in event.attachments)
        if files > self._limits.attachment_bytes:
            raise EventRefused(
                f"have {files} bytes, the limit is {self._limits.attachment_bytes}",
                field="attachments",
                code="too_large",
            )


def check_tenant(event: Event, tenants: frozenset[str]) -> None:
    """Refuse an event of a tenant nobody added: what came of it could never be sent.

    Raises:
        EventRefused: naming the field.
    """
    if event.tenant not in tenants:
        raise EventRefused(
            "unknown tenant; `notifier tenant add` makes one", field="tenant", code="unknown_tenant"
        )


def _check_key(event: Event) -> None:
    size = sum(len(part.encode()) for part in event.key)
    if size > _KEY_BYTES:
        raise EventRefused(
            f"has {size} bytes with tenant and source, the limit is {_KEY_BYTES} bytes",
            field="id",
            code="too_large",
        )


def _check_recipients(event: Event) -> None:
    if len(event.to) > _RECIPIENTS:
        raise EventRefused(
            f"has {len(event.to)} entries, the limit is {_RECIPIENTS}", field="to", code="too_large"
        )


def _check_depth(data: Mapping[str, Json]) -> None:
    level: list[Json] = list(data.values())
    for _ in range(_DEPTH):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise EventRefused(f"is nested deeper than {_DEPTH} levels", field="data", code="too_deep")


def entry_time(entry_id: bytes, now: datetime) -> datetime:
    """Return when Redis took a stream entry: the milliseconds its id begins with.

    A producer can give an id of its own, and Redis then counts on from there: an id that is no time, or
    lies in the future, counts as now. Refusing it would refuse every later entry of the lane.
    """
    try:
        at = datetime.fromtimestamp(int(entry_id.partition(b"-")[0]) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return now
    return now if at > now + _CLOCK_ERROR else at


def _labels(value: Json) -> dict[str, str]:
    """Return what a refused event says of itself, as far as it is text; the dead letters shorten it."""
    if not isinstance(value, dict):
        return {}
    names = {"tenant": "tenant", "source": "source", "id": "external_id", "type": "type"}
    labels = {
        field: text.replace("\x00", "")
        for name, field in names.items()
        if isinstance(text := value.get(name), str) and text
    }
    if "type" in labels:  # it goes into the log
        labels["type"] = labels["type"][:200]
    return labels
