"""Keep the links by which people say what they want, and what they asked for by them; tokens only as hashes.

The web process reaches these rows through three functions of the database, and no other way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection, Database

BY_MAIL = "mail"
"""How something was asked: by a mail to the address a message named. Pages and one click are the web's."""
_ASKS_KEPT = timedelta(days=1)
_KEPT = timedelta(days=30)
"""So long after its end a link still says that it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLink:
    """A link as it is made."""

    digest: bytes
    tenant: str
    person_id: UUID
    address_index: bytes
    category: str
    locale: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LinkAsk:
    """What somebody asked for, and by whose link; fields in the query's order."""

    id: UUID
    kind: str
    how: str
    tag: str | None
    form: bytes | None
    digest: bytes
    tenant: str
    person_id: UUID
    address_index: bytes
    category: str
    person_key: bytes | None
    """None once the person was erased."""


@dataclass(frozen=True, slots=True)
class PersonLinkView:
    """What whoever holds a link may see; fields in the query's order."""

    category: str
    locale: str
    is_expired: bool
    is_erased: bool
    is_asked: bool
    """Asked, and not carried out yet."""
    is_refused: bool
    """The category is not told to them any more."""
    outcome: str | None
    """Of what was asked for last."""


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """What came of something asked; fields in the query's order."""

    is_done: bool
    outcome: str | None
    answer: bytes | None


# A link lives as long as its newest mail. Most mails find it as it is: nothing is written then.
_SAVE = BulkInsert(
    "person_link",
    digest="bytea",
    tenant="text",
    person_id="uuid",
    address_index="bytea",
    category="text",
    locale="text",
    expires_at="timestamptz",
    then="""ON CONFLICT (digest) DO UPDATE SET expires_at = excluded.expires_at, locale = excluded.locale
            WHERE person_link.expires_at < excluded.expires_at - interval '1 day'
               OR person_link.locale <> excluded.locale""",
)


def save_links(connection: Connection, links: Iterable[PersonLink]) -> None:
    """Keep links, before the mails they stand in leave."""
    # Each row once, and in one order: several workers save links of the same people.
    rows = {link.digest: link for link in links}
    _SAVE.run(
        connection,
        [[getattr(rows[key], name) for name in PersonLink.__slots__] for key in sorted(rows)],
    )


def take_ask(connection: Connection) -> LinkAsk | None:
    """Lock and return what was asked for first, leaving alone what others hold.

    And all else that is asked by the same link: of a refusal and its undoing the later one must come last.
    """
    row = connection.execute(
        """SELECT ask.id, ask.kind, ask.how, ask.tag, ask.form, link.digest, link.tenant, link.person_id,
                  link.address_index, link.category, person.data_key
           FROM link_ask ask JOIN person_link link USING (digest) JOIN person ON person.id = link.person_id
           WHERE ask.done_at IS NULL ORDER BY ask.asked_at LIMIT 1
           FOR SHARE OF person FOR UPDATE OF ask, link SKIP LOCKED""",
        prepare=True,
    ).fetchone()
    return LinkAsk(*row) if row else None


def finish_ask(connection: Connection, ask: LinkAsk, outcome: str, answer: bytes | None = None) -> None:
    """Note what came of it, once, forget the form, and what was shown on this link's page before."""
    connection.execute(
        """DELETE FROM link_ask WHERE digest = %s AND kind IN ('show', 'save')
           AND done_at < now() - interval '1 minute'""",
        [ask.digest],
    )
    connection.execute(
        """UPDATE link_ask SET done_at = now(), outcome = %s, answer = %s, form = NULL
           WHERE id = %s AND done_at IS NULL""",
        [outcome, answer, ask.id],
    )


def prune(connection: Connection) -> None:
    """Forget links that are long over, and what was asked and answered a day ago."""
    # What a page says of its link afterwards is read from what is so; only "all" needs the ask.
    connection.execute("DELETE FROM link_ask WHERE done_at < now() - %s", [_ASKS_KEPT])
    connection.execute("DELETE FROM person_link WHERE expires_at < now() - %s", [_KEPT])


class PersonLinkDesk:
    """What the web process may do with these links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self, digest: bytes) -> PersonLinkView | None:
        """Return what a link is for; changes nothing."""
        row = self._database.one("SELECT * FROM notifier_link_look(%s)", [digest])
        return PersonLinkView(*row) if row else None

    def ask(
        self, digest: bytes, kind: str, *, how: str, tag: str | None = None, form: bytes | None = None
    ) -> UUID | None:
        """Ask that something be done; None where the link has expired, or too much waits already."""
        row = self._database.one(
            "SELECT notifier_link_ask(%s, %s, %s, %s, %s)", [digest, kind, how, tag, form]
        )
        return row[0] if row else None

    def answer(self, digest: bytes, ask: UUID) -> LinkAnswer:
        """Return what came of it."""
        row = self._database.one("SELECT * FROM notifier_link_answer(%s, %s)", [digest, ask])
        return LinkAnswer(*row) if row else LinkAnswer(is_done=True, outcome="failed", answer=None)
