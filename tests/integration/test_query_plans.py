"""What is asked for each message finds its rows by an index, however many contacts there are."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, cast
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from notifier.crypto import blind_index
from notifier.decisions import Contact
from notifier.store import alert_groups, alert_members, alerts, silences
from notifier.store.contacts import _FIND, find_contacts, save_contact
from notifier.store.database import Connection, Database
from notifier.store.jobs import _QUERY
from notifier.store.persons import erase
from notifier.store.soundings import _fresh
from tests.services import Flow

pytestmark = pytest.mark.servers

CONTACTS = 20_000
WANTED = 50
ALERTS, GROUPS, SILENCES = 40_000, 8_000, 5_000
"""Five members a group; one alert in a hundred mutes others, one silence in a hundred is not over."""


@pytest.fixture
def crowded(flow: Flow, database_url: str) -> Flow:
    """A notifier with many contacts and dead letters of whom nobody asks."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(
            """INSERT INTO person (id, tenant, address_index, data_key)
               SELECT gen_random_uuid(), 'default', sha256(n::text::bytea), 'key' FROM generate_series(1, %s) n""",
            [CONTACTS],
        )
        admin.execute(
            """INSERT INTO contact (tenant, reference, person_id, email_index, phone_index, sealed)
               SELECT tenant, id::text, id, address_index, sha256(address_index), '' FROM person"""
        )
        admin.execute(
            """INSERT INTO dead_letter (id, kind, tenant, source, external_id, error, lane, data_key, sealed)
               SELECT gen_random_uuid(), 'refused', 'default', 'shop', n::text, 'no', 'normal', 'key',
                      convert_to(repeat(n::text, 20), 'UTF8') FROM generate_series(1, %s) n""",
            [CONTACTS],
        )
        # As autovacuum does within a minute.
        admin.execute("VACUUM ANALYZE person, contact, dead_letter")
    return flow


def plan(flow: Flow, statement: LiteralString, values: Sequence[object], mode: LiteralString) -> str:
    """Return how the database would do it, once it has settled on a plan."""
    with flow.services.database.transaction() as connection:
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        rows = connection.execute("EXPLAIN (ANALYZE) " + statement, values).fetchall()
    return "\n".join(row[0] for row in rows)


def test_a_statement_is_never_compiled_however_dear_it_seems(flow: Flow, database_url: str) -> None:
    """Also on a server that would: ours are short, and compiling one takes longer than all of them."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} SET jit = on").format(sql.Identifier(admin.info.dbname)))
    with psycopg.connect(database_url) as other:
        assert other.execute("SHOW jit").fetchone() == ("on",)
    fresh = Database(flow.services.settings.database_url.get_secret_value(), size=1)
    try:
        assert fresh.one("SHOW jit") == ("off",)
    finally:
        fresh.dispose()
    with _fresh(database_url, timedelta(seconds=5)) as sounding:
        assert sounding.execute("SHOW jit").fetchone() == ("off",)


def some(flow: Flow, column: LiteralString) -> list[object]:
    """Return a column of a few contacts."""
    return [row[0] for row in flow.query(f"SELECT {column} FROM contact ORDER BY reference LIMIT {WANTED}")]


def test_a_chunk_of_messages_reads_only_its_own_contacts(crowded: Flow) -> None:
    """One look into the index a message, for what its person does not want."""
    crowded.ingest(*[crowded.sample("order.shipped") for _ in range(WANTED)])
    messages: list[UUID] = [row[0] for row in crowded.query("SELECT id FROM message")]

    text = plan(crowded, _QUERY, [messages], "force_generic_plan")

    assert "Index Scan using contact_person on contact" in text
    assert "Seq Scan on contact" not in text
    assert "Seq Scan on person" not in text


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_contacts_of_a_batch_are_found_by_three_indexes(crowded: Flow, mode: LiteralString) -> None:
    """By reference, by mail address and by phone number, and none else is read."""
    tenants = ["default"] * WANTED
    values = [
        tenants, some(crowded, "reference"), tenants, some(crowded, "email_index"),
        tenants, some(crowded, "phone_index"),
    ]  # fmt: skip

    text = plan(crowded, _FIND, values, mode)

    assert {index for index in ("contact_pkey", "contact_email", "contact_phone") if index in text} == {
        "contact_pkey", "contact_email", "contact_phone",
    }  # fmt: skip
    assert "Seq Scan" not in text


def test_what_is_erased_is_found_by_the_person(crowded: Flow) -> None:
    """Also without the tenant, and on a server that cannot skip an index's first column."""
    text = plan(
        crowded, "SELECT reference FROM contact WHERE person_id = %s", some(crowded, "person_id")[:1],
        "force_generic_plan",
    )  # fmt: skip

    assert "contact_person" in text


def test_dead_letters_are_counted_without_being_read(crowded: Flow) -> None:
    """Each look at /metrics counts them."""
    text = plan(
        crowded,
        """SELECT kind, count(*) FROM dead_letter WHERE retried_at IS NULL AND data_key IS NOT NULL
           GROUP BY kind""",
        [],
        "force_generic_plan",
    )

    assert "Index Only Scan using dead_letter_waiting" in text


def save(flow: Flow, contact: Contact, tenant: str = "default") -> None:
    """Put somebody into the address book."""
    services = flow.services
    key = (tenant, index_of(flow, contact.email or "", tenant))
    with services.database.transaction() as connection:
        person = services.persons.hold(connection, [key])[key]
        save_contact(connection, services.keyring, tenant, contact, person)


def index_of(flow: Flow, address: str, tenant: str = "default") -> bytes:
    """Return an address's blind index."""
    return blind_index(flow.services.keyring.index_key, tenant, address)


def test_a_contact_is_found_by_reference_mail_address_and_phone_number(flow: Flow) -> None:
    """Once, however often it is asked for; not one of another tenant, nor one who was erased."""
    people = {name: f"{name}@example.org" for name in ("ref", "mail", "phone", "twice", "gone", "other")}
    for name, email in people.items():
        save(flow, Contact(reference=name, email=email, phone=f"+49{name}", opt_outs=frozenset({name})))
    save(flow, Contact(reference="ref", email="ref@example.org"), tenant="acme")
    with flow.services.database.transaction() as connection:
        erase(connection, "default", index_of(flow, people["gone"]))

    with flow.services.database.connection() as connection:
        found = find_contacts(
            connection,
            flow.services.keyring,
            [("default", one) for one in ("ref", "twice", "gone", "nobody")],
            [
                ("default", index_of(flow, address))
                for address in (people["mail"], "+49phone", people["twice"], "+49twice", people["gone"])
            ],
        )

    assert sorted(found.by_reference) == [("default", one) for one in ("mail", "phone", "ref", "twice")]
    assert {one.reference: one.email for one in found.by_reference.values()} == {
        one: people[one] for one in ("mail", "phone", "ref", "twice")
    }
    assert found.by_address["default", index_of(flow, people["twice"])].opt_outs == {"twice"}
    assert len(found.by_address) == 8


def test_of_two_contacts_with_one_address_the_newest_counts(flow: Flow) -> None:
    """Whichever order they are stored in."""
    for reference in ("b", "a"):
        save(flow, Contact(reference=reference, email="shared@example.org"))

    with flow.services.database.connection() as connection:
        index = ("default", index_of(flow, "shared@example.org"))
        found = find_contacts(connection, flow.services.keyring, [], [index])

    assert found.by_address[index].reference == "a"


@pytest.fixture
def stormy(flow: Flow, database_url: str) -> Flow:
    """A notifier with many alerts, groups and silences, nearly all of which are not due."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(
            """INSERT INTO alert (id, tenant, rule, digest, status, severity, subject, is_source, started_at, due_at,
                                  data_key, sealed)
               SELECT gen_random_uuid(), 'default', 'rule', sha256(n::text::bytea),
                      CASE WHEN n %% 4 = 0 THEN 'resolved' ELSE 'firing' END, 1, n::text, n %% 100 = 1, now(),
                      now() + n * interval '1 second', 'key', decode(repeat('00', 300), 'hex')
               FROM generate_series(1, %s) n""",
            [ALERTS],
        )
        admin.execute(
            """INSERT INTO alert_group (id, tenant, rule, route, digest, opened_at, number, due_at, data_key, sealed)
               SELECT gen_random_uuid(), 'default', 'rule', '{}', sha256(n::text::bytea), now(), 1,
                      now() + n * interval '1 second', 'key', decode(repeat('00', 200), 'hex')
               FROM generate_series(1, %s) n""",
            [GROUPS],
        )
        admin.execute(
            """INSERT INTO alert_member (group_id, alert_id, tenant, told_firing, muted_by)
               SELECT g.id, a.id, 'default', true, CASE WHEN a.n %% 500 = 0 THEN 'inhibit:few' END
               FROM (SELECT id, row_number() OVER () AS n FROM alert) a
               JOIN (SELECT id, row_number() OVER () - 1 AS n FROM alert_group) g ON g.n = a.n %% %s""",
            [GROUPS],
        )
        admin.execute(
            """INSERT INTO silence (id, tenant, matchers, starts_at, ends_at, created_by, comment)
               SELECT gen_random_uuid(), 'default', '[["a=1"]]', now() - interval '2 days',
                      now() + CASE WHEN n %% 100 = 0 THEN interval '1 day' ELSE interval '-1 day' END, 'me', ''
               FROM generate_series(1, %s) n""",
            [SILENCES],
        )
        admin.execute("VACUUM ANALYZE alert, alert_group, alert_member, silence")
    return flow


class Listener:
    """Stands before a connection, and remembers the statements."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.heard: list[tuple[Any, Any]] = []

    def execute(self, statement: Any, values: Any = (), **named: Any) -> Any:
        """Pass on."""
        self.heard.append((statement, values))
        return self._connection.execute(statement, values, **named)


Ask = Callable[[Flow, Connection], object]


def ids(flow: Flow, table: LiteralString) -> list[UUID]:
    """Return a few ids of a table."""
    return [row[0] for row in flow.query(f"SELECT id FROM {table} ORDER BY id LIMIT {WANTED}")]


def keys(flow: Flow, table: LiteralString) -> list[tuple[str, str, bytes]]:
    """Return a few keys of a table."""
    rows = flow.query(f"SELECT tenant, rule, digest FROM {table} ORDER BY id LIMIT {WANTED}")
    return [(row[0], row[1], row[2]) for row in rows]


def soon() -> datetime:
    """Return a moment by which little is due."""
    return datetime.now(UTC) + timedelta(seconds=30)


HOT: dict[str, tuple[str, Ask]] = {
    "alerts that are due": ("alert_due", lambda _, c: alerts.take_due_alerts(c, soon(), 200)),
    "alerts of a batch": (
        "alert_tenant_rule_digest_key",
        lambda flow, c: alerts.lock_alerts(c, keys(flow, "alert")),
    ),
    "alerts that mute others": ("alert_open", lambda _, c: alerts.live_sources(c, ["default"])),
    "groups that are due": (
        "alert_group_due",
        lambda _, c: alert_groups.take_due_groups(c, soon(), 25, first_until=datetime.now(UTC)),
    ),
    "groups by key": (
        "alert_group_tenant_rule_digest_key",
        lambda flow, c: alert_groups.find_groups(c, keys(flow, "alert_group")),
    ),
    "groups to lock": (
        "alert_group_pkey",
        lambda flow, c: alert_groups.lock_groups(c, ids(flow, "alert_group")),
    ),
    "members of groups": (
        "alert_member_pkey",
        lambda flow, c: alert_members.members_of(c, ids(flow, "alert_group")),
    ),
    "groups of alerts": (
        "alert_member_alert",
        lambda flow, c: alert_members.groups_of(c, ids(flow, "alert")),
    ),
    "groups that are muted": (
        "alert_member_muted",
        lambda _, c: alert_members.groups_muted_by(c, "default", ["inhibit:few"]),
    ),
    "groups to plan": (
        "alert_group_pkey",
        lambda flow, c: alert_groups.plan_groups(
            c, [(one, soon(), soon()) for one in ids(flow, "alert_group")]
        ),
    ),
    "silences that are not over": (
        "silence_ends",
        lambda _, c: silences.open_silences(c, "default", datetime.now(UTC)),
    ),
}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_what_is_asked_of_alerts_for_each_batch_and_round_is_found_by_index(
    stormy: Flow, mode: LiteralString
) -> None:
    """However many there are: no table of alerts, groups, members or silences is read from end to end."""
    found: dict[str, str] = {}
    for name, (_, ask) in HOT.items():
        with stormy.services.database.transaction() as connection:
            listener = Listener(connection)
            ask(stormy, cast("Connection", listener))
        found[name] = "\n".join(plan(stormy, statement, values, mode) for statement, values in listener.heard)

    assert {name for name, (index, _) in HOT.items() if index not in found[name]} == set()
    assert {name for name, text in found.items() if "Seq Scan" in text} == set()


def test_memberships_are_found_by_index_before_anybody_counted_them(flow: Flow, database_url: str) -> None:
    """A storm fills an empty table within seconds; the statistics come a minute later."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE alert_member SET (autovacuum_enabled = false)")
        admin.execute(
            """INSERT INTO alert_group (id, tenant, rule, route, digest, opened_at, sealed)
               SELECT gen_random_uuid(), 'default', 'rule', '{}', sha256(n::text::bytea), now(), ''
               FROM generate_series(1, 200) n"""
        )
        admin.execute(
            """INSERT INTO alert_member (group_id, alert_id, tenant)
               SELECT id, gen_random_uuid(), 'default' FROM alert_group, generate_series(1, 100)"""
        )
    wanted = [row[0] for row in flow.query("SELECT alert_id FROM alert_member LIMIT 200")]
    with flow.services.database.transaction() as connection:
        listener = Listener(connection)
        pairs = alert_members.groups_of(cast("Connection", listener), wanted)

    [(statement, values)] = listener.heard
    assert {alert for _, alert in pairs} == set(wanted)
    assert "Seq Scan" not in plan(flow, statement, values, "force_custom_plan")
