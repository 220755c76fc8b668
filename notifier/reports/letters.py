"""Open dead letters for people: what came in, with its type's secrets blanked, and why it went no further."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import orjson

from notifier.catalog import Catalog
from notifier.crypto import Keyring
from notifier.events import Json
from notifier.reports.naming import NotFound
from notifier.reports.sealed import Withheld, unseal, without_secrets
from notifier.store.database import Connection
from notifier.store.dead_letters import DeadLetterRow, find_letter

_TEXT_LIMIT = 2000
_CONTENT = re.compile(rb"[^\x20-\x7e\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSummary:
    """A dead letter without its content."""

    id: UUID
    kind: str
    tenant: str
    source: str
    external_id: str
    type: str | None
    field: str | None
    error: str
    lane: str
    seen: int
    """How often it came in."""
    first_at: datetime
    last_at: datetime
    retried_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter with its content; ``[erased]`` and the like where it cannot be shown."""

    summary: LetterSummary
    event: Json


def letter_of(connection: Connection, letter: UUID) -> DeadLetterRow:
    """Return a dead letter.

    Raises:
        NotFound: there is none of that id.
    """
    row = find_letter(connection, letter)
    if row is None:
        raise NotFound(f"there is no dead letter {letter}; `notifier dead list` lists them")
    return row


def summary(row: DeadLetterRow) -> LetterSummary:
    """Return what a list shows; ``[erased]`` for the error of a letter whose content was erased with a person."""
    found = LetterSummary(**{name: getattr(row, name) for name in LetterSummary.__slots__})
    return found if row.data_key is not None else replace(found, error=Withheld.ERASED.value)


def open_letter(row: DeadLetterRow, keyring: Keyring, catalog: Catalog) -> Letter:
    """Return the letter with the event as it came, as far as it can be read."""
    payload = unseal(keyring, row.data_key, row.sealed, b"dead-letter")
    event: Json = payload if isinstance(payload, Withheld) else _read(payload, row.type, catalog)
    return Letter(summary=summary(row), event=event)


def _read(payload: bytes, event_type: str | None, catalog: Catalog) -> Json:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return _CONTENT.sub(b"?", payload[:_TEXT_LIMIT]).decode()
    if not isinstance(value, dict) or "data" not in value:
        return value
    # A type nobody knows has no declared secrets; the producer's mistake is in the open fields then.
    shown = without_secrets(catalog, event_type or "", value["data"])
    return {**value, "data": shown, "attachments": f"{len(value.get('attachments') or [])} not shown"}
