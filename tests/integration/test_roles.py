"""Three database roles: the migrator owns, the worker writes, the web sees one tenant (O10, B2, law 10)."""

import psycopg
import pytest

from notifier.crypto import MasterKeys
from notifier.errors import CannotUnseal
from notifier.store.database import Database
from notifier.store.keyrings import init_keyring, load_keyring, rotate
from notifier.store.migrate import current, migrate, newest
from notifier.store.roles import MIGRATOR
from notifier.store.tenants import add_tenant
from tests.services import Flow, as_role


def test_the_web_role_sees_the_tenant_that_is_set_and_nothing_otherwise(flow: Flow, web_url: str) -> None:
    """Row-level security is forced: unset means no rows, another tenant's rows do not exist."""
    with flow.services.database.connection() as connection:
        add_tenant(connection, "acme", "Acme")
    flow.ingest(flow.sample("order.shipped"), {**flow.sample("order.shipped"), "tenant": "acme"})

    with psycopg.connect(web_url) as web:
        unset = web.execute("SELECT count(*) FROM message").fetchone()
        web.execute("SELECT set_config('notifier.tenant', 'acme', true)")
        seen = web.execute("SELECT DISTINCT tenant FROM message").fetchall()
        tables = ("event", "decision", "notification", "message", "work", "person")
        counts = [web.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables]

    assert unset == (0,)
    assert seen == [("acme",)]
    assert counts == [(1,)] * len(tables)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM message",
        "UPDATE message SET status = 'sent'",
        "INSERT INTO tenant (id, name) VALUES ('x', 'x')",
        "UPDATE inbox SET sealed = ''",
        "SELECT * FROM event_key",
        "SELECT notifier_make_partitions(1)",
        "SELECT * FROM ack_link",
        "UPDATE ack_link SET asked_at = now()",
        "SELECT * FROM reply_code",
        "SELECT * FROM sms_in",
        "INSERT INTO sms_in (remote_id) VALUES ('x')",
        "UPDATE alert SET status = 'acknowledged'",
        "SELECT * FROM person_link",
        "SELECT * FROM link_ask",
        "SELECT * FROM consent",
        "SELECT * FROM preference_change",
        "SELECT * FROM tracked",
        "SELECT * FROM report",
        "INSERT INTO report (source, key, sealed) VALUES ('x', 'x', 'x')",
        "SELECT * FROM report_key",
        "INSERT INTO sealing_key (public) VALUES ('x')",
        "INSERT INTO suppression (tenant, address_index, reason) VALUES ('x', 'x', 'x')",
        "DELETE FROM soft_bounce",
    ],
)
def test_the_web_role_cannot_change_the_log(web_url: str, statement: str) -> None:
    """It may mark an inbox entry as read, and hand over what people ask for; that is all."""
    with psycopg.connect(web_url) as web, pytest.raises(psycopg.errors.InsufficientPrivilege):
        web.execute(statement)


def test_the_web_role_hands_over_what_people_ask_for(flow: Flow, web_url: str) -> None:
    """By functions that do one thing each, for whoever knows a token, and show nothing else."""
    with psycopg.connect(web_url) as web:
        unknown = web.execute("SELECT * FROM notifier_ack_look('x')").fetchall()
        web.execute("SELECT notifier_ack_ask('x')")
        first = web.execute("SELECT notifier_sms_in('SM1', 'sealed')").fetchone()
        again = web.execute("SELECT notifier_sms_in('SM1', 'other')").fetchone()
        reply = web.execute("SELECT * FROM notifier_sms_reply(%s)", first).fetchall()

    assert unknown == []
    assert first == again
    assert reply == [(False, None)]
    assert flow.query("SELECT remote_id, sealed FROM sms_in") == [("SM1", b"sealed")]


def test_what_acts_with_the_owners_right_is_not_for_everybody(database_url: str) -> None:
    """PostgreSQL lets everybody call a new function, unless told otherwise."""
    with psycopg.connect(database_url) as admin:
        names = admin.execute(
            """SELECT proname FROM pg_proc
               WHERE prosecdef AND proname ~ '^notifier_(ack|link|report|sealing|sms|track)' ORDER BY 1"""
        ).fetchall()
        open_to_all = admin.execute(
            """SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
               WHERE prosecdef AND proname ~ '^notifier_(ack|link|report|sealing|sms|track)' AND grantee = 0"""
        ).fetchall()

    assert [name for (name,) in names] == [
        "notifier_ack_ask", "notifier_ack_look", "notifier_link_answer", "notifier_link_ask", "notifier_link_look",
        "notifier_report_in", "notifier_reports", "notifier_sealing_key", "notifier_sms_in", "notifier_sms_reply",
        "notifier_track_look", "notifier_track_trap",
    ]  # fmt: skip
    assert open_to_all == []


@pytest.mark.parametrize(
    "statement", ["DROP TABLE message", "ALTER TABLE work DISABLE ROW LEVEL SECURITY", "CREATE TABLE mine ()"]
)
def test_the_worker_role_cannot_change_the_schema(worker_url: str, statement: str) -> None:
    """What it needs is rows."""
    with psycopg.connect(worker_url) as worker, pytest.raises(psycopg.errors.InsufficientPrivilege):
        worker.execute(statement)


def test_a_second_migration_changes_nothing(database_url: str) -> None:
    """Deployments may repeat it."""
    url = as_role(database_url, MIGRATOR)

    assert migrate(url) == newest()
    assert current(url) == newest()


def test_a_row_finds_its_months_partition_and_a_wrong_clock_the_default_one(flow: Flow) -> None:
    """Log tables are partitioned by id from the first migration."""
    flow.ingest(flow.sample("order.shipped"))

    (place,) = flow.query("SELECT DISTINCT tableoid::regclass::text FROM message")[0]

    assert place.startswith("message_2")
    assert flow.query("SELECT count(*) FROM message_default") == [(0,)]


def test_after_a_rotation_old_data_opens_and_the_old_master_key_can_go(flow: Flow, database_url: str) -> None:
    """Rotating rewraps the ring; data keys and data stay as they are (S6)."""
    from tests.conftest import MASTER_KEY

    flow.ingest(flow.sample("order.shipped"))
    new = MasterKeys.new_line("new")
    owner = Database(as_role(database_url, MIGRATOR), size=1)
    with owner.transaction() as connection:
        rotate(connection, MasterKeys.parse(f"{new}\n{MASTER_KEY}"))
    with owner.connection() as connection:
        keyring = load_keyring(connection, MasterKeys.parse(new))
        key, sealed = connection.execute("SELECT data_key, sealed FROM event").fetchone() or (b"", b"")
        with pytest.raises(CannotUnseal):
            load_keyring(connection, MasterKeys.parse(MASTER_KEY))
    with owner.transaction() as connection:
        again = init_keyring(connection, MasterKeys.parse(new))
    owner.dispose()

    assert b"customer" in keyring.open_data_key(key).unseal(sealed, b"event")
    assert keyring.new_data_key().wrapped[:4] != key[:4]
    assert again == 0
