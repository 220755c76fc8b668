"""Keep what people allowed, with the proof of it; what is withdrawn stays on record, closed.

Proofs come and go sealed under the person's key; erasing a person deletes them.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """One consent; fields in the query's order."""

    purpose: str
    given_at: datetime
    withdrawn_at: datetime | None
    proof: bytes
    withdrawal: bytes | None


def give(
    connection: Connection, tenant: str, person: UUID, purpose: str, *, proof: bytes, at: datetime
) -> bool:
    """Put a consent on record; False where it stands already, with its first proof."""
    row = connection.execute(
        """INSERT INTO consent (tenant, person_id, purpose, given_at, proof) VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT (tenant, person_id, purpose) WHERE withdrawn_at IS NULL DO NOTHING RETURNING id""",
        [tenant, person, purpose, at, proof],
    ).fetchone()
    return row is not None


def withdraw(
    connection: Connection, tenant: str, person: UUID, purpose: str, *, proof: bytes, at: datetime
) -> bool:
    """Close a consent; False where none stands."""
    return bool(
        connection.execute(
            """UPDATE consent SET withdrawn_at = greatest(%s, given_at), withdrawal = %s
               WHERE tenant = %s AND person_id = %s AND purpose = %s AND withdrawn_at IS NULL""",
            [at, proof, tenant, person, purpose],
        ).rowcount
    )


def current(connection: Connection, tenant: str, person: UUID) -> frozenset[str]:
    """Return the purposes a person allows now."""
    rows = connection.execute(
        "SELECT purpose FROM consent WHERE tenant = %s AND person_id = %s AND withdrawn_at IS NULL",
        [tenant, person],
        prepare=True,
    ).fetchall()
    return frozenset(row[0] for row in rows)


def history(connection: Connection, tenant: str, person: UUID) -> list[ConsentRow]:
    """Return all a person ever allowed, oldest first."""
    rows = connection.execute(
        """SELECT purpose, given_at, withdrawn_at, proof, withdrawal FROM consent
           WHERE tenant = %s AND person_id = %s ORDER BY id""",
        [tenant, person],
    ).fetchall()
    return [ConsentRow(*row) for row in rows]
