"""Keep the short codes by which people answer an SMS: per phone, one for each group, while its link lives.

Knows phones as keyed hashes only.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.database import Connection

# No letters or digits that are taken for each other, nor any that spell something.
CODES = tuple(f"{digit}{letter}" for digit in "2345679" for letter in "ACDEFHJKMNPRTWXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRequest:
    """What a code is to stand for."""

    phone_index: bytes
    tenant: str
    group_id: UUID
    link: bytes
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenCode:
    """A code that may be used; fields in the query's order."""

    code: str
    link: bytes
    tenant: str
    group_id: UUID
    subject: str
    rule: str
    locale: str
    firing: int
    """Alerts it stands for that nobody has in hand."""
    taken: int


def issue_code(connection: Connection, request: CodeRequest) -> str | None:
    """Return the code of a phone for a group, for as long as the newest link lives; None where all are in use."""
    # One phone at a time: two messages to it must not take the same code.
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(encode(%s, 'hex'), 7))", [request.phone_index]
    )
    connection.execute(
        "DELETE FROM reply_code WHERE phone_index = %s AND expires_at <= %s",
        [request.phone_index, request.made_at],
    )
    rows = connection.execute(
        "SELECT code, group_id FROM reply_code WHERE phone_index = %s ORDER BY made_at",
        [request.phone_index],
    ).fetchall()
    known = {row[1]: row[0] for row in rows}
    code = known.get(request.group_id) or _free([row[0] for row in rows])
    if code is None:
        return None
    connection.execute(
        """INSERT INTO reply_code (phone_index, code, tenant, group_id, link, made_at, expires_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (phone_index, code) DO UPDATE SET link = excluded.link, made_at = excluded.made_at,
             expires_at = greatest(reply_code.expires_at, excluded.expires_at)
           WHERE reply_code.made_at <= excluded.made_at""",
        [
            request.phone_index, code, request.tenant, request.group_id, request.link, request.made_at,
            request.expires_at,
        ],
    )  # fmt: skip
    return code


def open_codes(connection: Connection, phone_index: bytes) -> list[OpenCode]:
    """Return the codes of a phone that have not expired, the newest first."""
    rows = connection.execute(
        """SELECT reply_code.code, reply_code.link, reply_code.tenant, reply_code.group_id, link.subject,
                  link.rule, link.locale, seen.firing, seen.taken
           FROM reply_code JOIN ack_link link ON link.digest = reply_code.link
           CROSS JOIN LATERAL notifier_ack_look(link.digest) seen
           WHERE phone_index = %s AND reply_code.expires_at > now()
           ORDER BY made_at DESC, code""",
        [phone_index],
    ).fetchall()
    return [OpenCode(*row) for row in rows]


def _free(used: list[str]) -> str | None:
    """Return the code after the newest one: one that was just free may still be in somebody's mind."""
    start = CODES.index(used[-1]) + 1 if used else 0
    return next((code for code in (*CODES[start:], *CODES[:start]) if code not in used), None)
