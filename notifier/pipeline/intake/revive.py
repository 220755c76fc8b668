"""Give dead letters back to the intake, as they came: corrected configuration may let them through.

An event that was stored meanwhile is not stored twice, so giving back too often harms nothing.
"""

from collections.abc import Iterator
from uuid import UUID

from notifier.broker.intake import Intake
from notifier.crypto import Keyring
from notifier.errors import CannotUnseal, KeyDestroyed, NotifierError
from notifier.events import Urgency
from notifier.logs import get_logger
from notifier.store.database import Database
from notifier.store.dead_letters import DeadLetterRow, find_letter, list_letters, mark_retried

log = get_logger("dead")

_PAGE = 100


class NotRevived(NotifierError):
    """The dead letter cannot be given back."""


class Reviver:
    """Gives dead letters back."""

    def __init__(self, database: Database, keyring: Keyring, intake: Intake) -> None:
        self._database, self._keyring, self._intake = database, keyring, intake

    def one(self, letter: UUID, *, by: str) -> DeadLetterRow:
        """Give one back.

        Raises:
            NotRevived: there is none of that id, or its content is gone.
            BrokerUnavailable: nothing was changed.
        """
        with self._database.connection() as connection:
            row = find_letter(connection, letter)
        if row is None:
            raise NotRevived(f"there is no dead letter {letter}; `notifier dead list` lists them")
        if row.retried_at is not None:
            raise NotRevived(f"the dead letter {letter} was given back before and has not come back")
        self._give_back(row, by)
        return row

    def all(self, *, kind: str | None = None, by: str) -> Iterator[DeadLetterRow]:
        """Give back all that wait, each once: one that fails again meanwhile waits for the next call."""
        before: UUID | None = None
        while True:
            with self._database.connection() as connection:
                page = list_letters(connection, limit=_PAGE, before=before)
            for row in page:
                if kind not in {None, row.kind}:
                    continue
                try:
                    self._give_back(row, by)
                except NotRevived as error:
                    log.warning("dead.kept", dead_letter=str(row.id), reason=str(error))
                else:
                    yield row
            if len(page) < _PAGE:
                return
            before = page[-1].id

    def _give_back(self, row: DeadLetterRow, by: str) -> None:
        try:
            payload = self._keyring.open_data_key(row.data_key).unseal(row.sealed, b"dead-letter")
        except (KeyDestroyed, CannotUnseal) as error:
            raise NotRevived(f"the content of the dead letter {row.id} is gone: {error}") from error
        # First the stream: a crash in between leaves a letter to retry, not one that is lost.
        self._intake.put(Urgency(row.lane), payload)
        with self._database.connection() as connection:
            mark_retried(connection, row.id)
        log.info("dead.retried", dead_letter=str(row.id), kind=row.kind, type=row.type, by=by)
