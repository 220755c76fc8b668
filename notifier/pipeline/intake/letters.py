"""Bury what cannot be ingested in the dead letters, each with what is wrong with it.

An entry is never lost: where its names are at fault it is kept without them. Decides nothing about who is told.
"""

import hashlib
from dataclasses import replace

import orjson
import psycopg

from notifier.crypto import Keyring
from notifier.errors import EventRefused, NotifierError
from notifier.events import Event, Urgency
from notifier.logs import get_logger
from notifier.pipeline.incoming import PROCESSING_ERRORS, Incoming, Refusal
from notifier.store.database import Database, DatabaseUnavailable
from notifier.store.dead_letters import DeadLetter, bury

log = get_logger("ingest")


class Letters:
    """Writes dead letters of entries."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database, self._keyring = database, keyring

    def refuse(self, refusal: Refusal) -> None:
        """Bury what its producer has to mend."""
        error = refusal.error
        self._keep(
            sealed_letter(
                self._keyring,
                refusal.arrival.payload,
                kind="refused",
                tenant=refusal.tenant,
                source=refusal.source,
                external_id=refusal.external_id or f"unnamed:{_hash_of(refusal.arrival.payload)}",
                type=refusal.type,
                field=error.field,
                error=error.reason,
                lane=refusal.arrival.lane,
            )
        )
        log.warning("ingest.refused", field=error.field, code=error.code, type=refusal.type)

    def bury(self, one: Incoming, error: Exception) -> None:
        """Bury an event that we fail on."""
        event = one.event
        self._keep(
            sealed_letter(
                self._keyring,
                _payload(event),
                kind="poison",
                tenant=event.tenant,
                source=event.source,
                external_id=event.id,
                type=event.type,
                field=None,
                error=describe(error),
                lane=one.lane,
            )
        )
        log.error("ingest.buried", type=event.type, error=describe(error))

    def _keep(self, letter: DeadLetter) -> None:
        """Bury the letter, or a stub of it where its names are at fault."""
        try:
            with self._database.connection() as connection:
                bury(connection, letter)
        except DatabaseUnavailable:
            raise
        except PROCESSING_ERRORS as error:
            name = f"unnamed:{_hash_of(repr((letter.tenant, letter.source, letter.external_id)).encode())}"
            problem = f"{letter.error[:500]}; as a dead letter: {describe(error)}".replace("\x00", "")
            stub = replace(
                letter, tenant="", source="", external_id=name, type=None, field=None, error=problem
            )
            self._keep_stub(stub)

    def _keep_stub(self, stub: DeadLetter) -> None:
        try:
            with self._database.connection() as connection:
                bury(connection, stub)
        except psycopg.Error as error:
            # Not the entry's fault, then; and with nowhere to put it, it must stay where it is.
            raise DatabaseUnavailable(f"no dead letter can be written: {describe(error)}") from error


def sealed_letter(
    keyring: Keyring,
    payload: bytes,
    *,
    kind: str,
    tenant: str,
    source: str,
    external_id: str,
    type: str | None,  # noqa: A002
    field: str | None,
    error: str,
    lane: Urgency,
) -> DeadLetter:
    """Return the letter of an entry, sealed under a key of its own."""
    key = keyring.new_data_key()
    return DeadLetter(
        kind=kind,
        tenant=tenant,
        source=source,
        external_id=external_id,
        type=type,
        field=field,
        error=error,
        lane=lane.value,
        data_key=key.wrapped,
        sealed=key.seal(payload, b"dead-letter"),
    )


def _payload(event: Event) -> bytes:
    try:
        return orjson.dumps(event.to_json())
    except (TypeError, ValueError):  # what cannot be written is the poison
        return orjson.dumps(replace(event, data={}).to_json())


def describe(error: Exception) -> str:
    """Say what failed in our own processing, without the values it failed on.

    PostgreSQL's texts may quote values: only the class and the constraint are kept.
    """
    if isinstance(error, psycopg.Error):
        names = (error.sqlstate, error.diag.constraint_name, error.diag.column_name)
        return " ".join([type(error).__name__, *(name for name in names if name)])
    if isinstance(error, NotifierError) and not isinstance(error, EventRefused):
        return str(error)
    return type(error).__name__


def _hash_of(payload: bytes) -> str:
    """Return a short name for an entry that has none."""
    return hashlib.sha256(payload).hexdigest()[:16]
