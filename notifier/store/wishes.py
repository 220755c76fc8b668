"""Find what people set for themselves, by who they are or by their entry in the address book."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from notifier.crypto import Keyring
from notifier.events import Json
from notifier.store.contacts import open_wishes
from notifier.store.database import Connection

# The newest entry of a person counts. Two halves, each by its index.
_FIND = """
SELECT contact.tenant, contact.reference, contact.person_id, contact.zone, contact.opt_outs, contact.wishes,
       person.data_key, contact.updated_at
FROM contact JOIN person ON person.id = contact.person_id AND person.data_key IS NOT NULL
WHERE contact.wishes IS NOT NULL AND contact.person_id = ANY (%b::uuid[])
UNION
SELECT contact.tenant, contact.reference, contact.person_id, contact.zone, contact.opt_outs, contact.wishes,
       person.data_key, contact.updated_at
FROM unnest(%b::text[], %b::text[]) AS wanted (tenant, reference)
JOIN contact USING (tenant, reference)
JOIN person ON person.id = contact.person_id AND person.data_key IS NOT NULL
WHERE contact.wishes IS NOT NULL
ORDER BY updated_at, reference
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What somebody set, in its JSON form."""

    zone: str | None
    opt_outs: frozenset[str]
    wishes: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class KeptWishes:
    """What was found, by person and by (tenant, reference)."""

    by_person: dict[UUID, Kept]
    by_reference: dict[tuple[str, str], Kept]


def find_wishes(
    connection: Connection, keyring: Keyring, persons: Iterable[UUID], references: Iterable[tuple[str, str]]
) -> KeptWishes:
    """Return what the given people set."""
    wanted = sorted(set(references))
    rows = connection.execute(
        _FIND,
        [sorted(set(persons)), [tenant for tenant, _ in wanted], [reference for _, reference in wanted]],
        prepare=True,
    ).fetchall()
    found = KeptWishes({}, {})
    for tenant, reference, person, zone, opt_outs, sealed, data_key, _ in rows:
        wishes = open_wishes(keyring.open_data_key(data_key), sealed)
        kept = Kept(zone=zone, opt_outs=frozenset(opt_outs), wishes=wishes)
        found.by_person[person] = kept
        found.by_reference[tenant, reference] = kept
    return found
