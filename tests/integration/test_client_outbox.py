"""The outbox in the producer's own database: a row appears with the producer's commit, or never."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg.rows import dict_row
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from notifier.client import Client, EventSpec, Urgency, event, outbox, wire
from notifier.client.sealing import open_private
from notifier.errors import ConfigError, IntakeUnavailable
from notifier.events import Event

pytestmark = pytest.mark.servers


class Outbox:
    """The table as another session sees it: committed rows only."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection

    def events(self) -> list[Event]:
        """Return the events in the order of their rows."""
        found = self._connection.execute("SELECT event FROM notifier_outbox ORDER BY id").fetchall()
        return [Event.from_json(value) for (value,) in found]

    def ids(self) -> list[str]:
        """Return the events' ids in the order of their rows."""
        return [stored.id for stored in self.events()]

    def lanes(self) -> list[str]:
        """Return the lanes in the order of the rows."""
        return [
            lane
            for (lane,) in self._connection.execute("SELECT lane FROM notifier_outbox ORDER BY id").fetchall()
        ]


@pytest.fixture
def shop_url(database_url: str) -> str:
    """The producer's own database, with the outbox installed."""
    outbox.install(database_url)
    return database_url


@pytest.fixture
def seen(shop_url: str) -> Iterator[Outbox]:
    """The outbox, seen from outside."""
    with psycopg.connect(shop_url, autocommit=True) as connection:
        yield Outbox(connection)


@pytest.fixture
def client(shop_url: str) -> Iterator[Client]:
    """A producer on the outbox."""
    with Client(shop_url, source="shop") as producer:
        yield producer


@pytest.fixture
def engine(shop_url: str) -> Iterator[Engine]:
    """The producer's SQLAlchemy."""
    own = create_engine(shop_url.replace("postgresql:", "postgresql+psycopg:"))
    yield own
    own.dispose()


def placed(event_id: str) -> EventSpec:
    """Return an event with this id."""
    return event("order.placed", subject="O-1", data={"n": 1}, id=event_id)


def test_installing_twice_is_harmless(shop_url: str, seen: Outbox, client: Client) -> None:
    """The second run changes nothing."""
    client.enqueue(**placed("e-1"))

    outbox.install(shop_url)

    assert seen.ids() == ["e-1"]


def test_without_a_session_the_row_is_committed_at_once(client: Client, seen: Outbox) -> None:
    """In a short transaction of its own, with everything the event has."""
    receipt = client.enqueue("order.placed", subject="O-1", data={"näme": "Ü"}, to="a@b.org", urgency="bulk")

    (stored,) = seen.events()
    assert receipt.event == stored.key
    assert receipt.lane is Urgency.BULK
    assert (stored.data, stored.to[0].email) == ({"näme": "Ü"}, "a@b.org")
    assert seen.lanes() == ["bulk"]


def test_many_keep_their_order(client: Client, seen: Outbox) -> None:
    """Row order is the producer's order, over chunks too."""
    summary = client.enqueue_many((placed(f"e-{n}") for n in range(1_200)), durable=True)

    assert summary.accepted == 1_200
    assert seen.ids() == [f"e-{n}" for n in range(1_200)]


def test_a_sqlalchemy_sessions_commit_shows_the_event_and_a_rollback_leaves_nothing(
    client: Client, engine: Engine, seen: Outbox
) -> None:
    """The event shares the fate of the order."""
    with Session(engine) as session:
        client.enqueue(**placed("e-1"), on=session)
        client.enqueue_many([placed("e-2"), placed("e-3")], on=session)
        assert seen.ids() == []
        session.commit()
        client.enqueue(**placed("lost"), on=session)
        session.rollback()

    assert seen.ids() == ["e-1", "e-2", "e-3"]


def test_a_scoped_session_and_a_connection_will_do(client: Client, engine: Engine, seen: Outbox) -> None:
    """Whatever of SQLAlchemy carries the producer's transaction."""
    scoped = scoped_session(sessionmaker(engine))
    client.enqueue(**placed("scoped"), on=scoped)
    scoped.commit()
    scoped.remove()
    with engine.begin() as connection:
        client.enqueue(**placed("connection"), on=connection)
    with engine.connect() as connection:
        client.enqueue(**placed("lost"), on=connection)

    assert seen.ids() == ["scoped", "connection"]


def test_a_psycopg_connections_commit_shows_the_event_and_a_rollback_leaves_nothing(
    client: Client, shop_url: str, seen: Outbox
) -> None:
    """Whatever rows the producer's connection is set to make."""
    with psycopg.connect(shop_url, row_factory=dict_row) as connection:
        client.enqueue(**placed("e-1"), on=connection)
        client.enqueue_many([placed("e-2"), placed("e-3")], on=connection)
        assert seen.ids() == []
        connection.commit()
        client.enqueue(**placed("lost"), on=connection)
        connection.rollback()

    assert seen.ids() == ["e-1", "e-2", "e-3"]


def test_an_asynchronous_session_is_told_the_way(client: Client) -> None:
    """A clear error instead of a coroutine that nobody awaits."""
    # SQLAlchemy's own class needs greenlet to be imported; only its name and module are looked at.
    session = type("AsyncSession", (), {"__module__": "sqlalchemy.ext.asyncio.session"})()

    with pytest.raises(ConfigError, match="run_sync"):
        client.enqueue(**placed("e-1"), on=session)


def test_an_asynchronous_psycopg_connection_is_refused(client: Client, shop_url: str) -> None:
    """The error names what can be passed instead."""

    async def misuse() -> None:
        async with await psycopg.AsyncConnection.connect(shop_url) as connection:
            client.enqueue(**placed("e-1"), on=connection)

    with pytest.raises(ConfigError, match=r"AsyncConnection.*pass a SQLAlchemy Session"):
        asyncio.run(misuse())


def test_another_database_than_postgresql_is_refused(client: Client) -> None:
    """Before a statement is sent that it would not understand."""
    engine = create_engine("sqlite://")

    with Session(engine) as session, pytest.raises(ConfigError, match="speaks sqlite"):
        client.enqueue(**placed("e-1"), on=session)
    engine.dispose()


def test_a_missing_table_names_the_command(database_url: str) -> None:
    """On a connection of its own, and on the producer's."""
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with Client(database_url, source="shop") as producer, Session(engine) as session:
        with pytest.raises(ConfigError, match="notifier outbox install"):
            producer.enqueue(**placed("e-1"))
        with pytest.raises(ConfigError, match="notifier outbox install"):
            producer.enqueue(**placed("e-1"), on=session)
    engine.dispose()


def test_a_connection_the_server_ended_is_opened_again(client: Client, shop_url: str, seen: Outbox) -> None:
    """A restarted database costs a moment, not an event."""
    client.enqueue(**placed("e-1"))
    with psycopg.connect(shop_url, autocommit=True) as admin:
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'notifier-client'"
        ).fetchall()

    client.enqueue(**placed("e-2"))

    assert ended == [(True,)]
    assert seen.ids() == ["e-1", "e-2"]


def test_a_database_that_stays_away_is_unavailable(shop_url: str) -> None:
    """Bounded in time, without the password."""
    url = shop_url.rpartition("@")[0] + "@127.0.0.1:1/shop"

    with Client(url, source="shop", retry_for=0.2) as producer, pytest.raises(IntakeUnavailable) as error:
        producer.enqueue(**placed("e-1"))
    with pytest.raises(IntakeUnavailable, match=r"127\.0\.0\.1:1/shop"):
        outbox.install(url)

    assert url.partition("@")[0].rpartition(":")[2] not in str(error.value)


def test_results_come_over_redis_where_its_url_is_given(shop_url: str, redis_url: str) -> None:
    """Without it the error names the parameter."""
    with Client(shop_url, source="shop") as producer:
        receipt = producer.enqueue(**placed("e-1"))
        with pytest.raises(ConfigError, match="results_url"):
            receipt.result(1)

    with (
        Client(shop_url, source="shop", results_url=redis_url) as producer,
        redis.Redis.from_url(redis_url) as server,
    ):
        receipt = producer.enqueue(**placed("e-1"))
        with pytest.raises(TimeoutError):
            receipt.result(0.05)
        popped: Any = server.lpop(wire.ASKED_KEY)
        assert wire.Ask.loads(popped).id == "e-1"


def test_a_sealed_event_shows_nothing_private_in_the_producers_database(shop_url: str, seen: Outbox) -> None:
    """Data, recipients and files are one sealed text that only the server's key opens (S6)."""
    private = X25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()

    with Client(shop_url, source="shop", seal_to=public) as producer:
        producer.enqueue("order.placed", subject="O-1", data={"name": "Ada Lovelace"}, to="ada@example.org")

    (stored,) = seen.events()
    shown = json.dumps(stored.to_json())
    assert not any(private_text in shown for private_text in ("Ada Lovelace", "@example.org"))
    assert open_private(str(stored.sealed), private.private_bytes_raw(), stored.key) == {
        "data": {"name": "Ada Lovelace"}, "to": [{"email": "ada@example.org"}],
    }  # fmt: skip


def test_the_shipped_table_is_what_the_server_drains(shop_url: str) -> None:
    """Columns, in order."""
    engine = create_engine(shop_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        columns = connection.execute(
            text(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_name = :name ORDER BY ordinal_position"
            ),
            {"name": wire.OUTBOX_TABLE},
        ).all()
    engine.dispose()

    assert [tuple(column) for column in columns] == [
        ("id", "bigint"), ("lane", "text"), ("event", "jsonb"), ("created_at", "timestamp with time zone"),
    ]  # fmt: skip
