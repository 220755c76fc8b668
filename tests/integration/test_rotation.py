"""A worker without the new master key buries nothing: what needs it waits for a worker that has it."""

import time
from dataclasses import dataclass

import psycopg
import pytest

from notifier.client.outbox import install
from notifier.client.wire import OUTBOX_TABLE
from notifier.crypto import MasterKeys
from notifier.errors import KeyMissing
from notifier.events import Urgency
from notifier.pipeline.intake import outbox, timers
from notifier.store.keyrings import rotate
from tests.conftest import MASTER_KEY
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

LATE, EARLY = "late@example.com", "early@example.com"


@dataclass
class Rotation:
    """Two workers after a rotation: one was started before and lacks the new master key."""

    old: Flow
    new: Flow
    shop_url: str

    def count(self, table: str, condition: str = "true") -> int:
        """Return how many rows meet a condition."""
        [(count,)] = self.new.query(f"SELECT count(*) FROM {table} WHERE {condition}")
        return int(count)


@pytest.fixture
def rotation(make_flow: MakeFlow, database_url: str) -> Rotation:
    """The ring is rotated while the old worker runs."""
    install(database_url)
    old = make_flow(outboxes=[database_url], tuning={"claim_idle": "1ms"})
    old.ingest(told(old, EARLY))
    keys = f"{MasterKeys.new_line('next')}\n{MASTER_KEY}"
    with psycopg.connect(database_url) as connection:
        rotate(connection, MasterKeys.parse(keys))
    new = make_flow(master_key=keys, outboxes=[database_url])
    new.ingest(told(new, LATE))
    return Rotation(old, new, database_url)


def told(flow: Flow, email: str, name: str = "order.shipped") -> dict[str, object]:
    """Return an event that a customer is told of."""
    return flow.sample(name, data={"customer": {"name": "Ada", "email": email}})


def test_events_that_need_a_key_stay_in_their_stream(rotation: Rotation) -> None:
    """The others of the batch, and those behind it, go on; a worker with the key takes over."""
    old, new = rotation.old, rotation.new
    for email in (EARLY, LATE, EARLY):
        old.services.intake.put(Urgency.NORMAL, old.payload(told(old, email)))

    with pytest.raises(KeyMissing):
        old.services.ingest.run(Urgency.NORMAL)
    meanwhile = rotation.count("event"), old.services.intake.lengths()[Urgency.NORMAL]
    time.sleep(0.01)
    with pytest.raises(KeyMissing):
        old.services.sweep.run()
    swept = rotation.count("heartbeat", "name = 'sweep'")
    time.sleep(0.01)
    entries = old.services.intake.take_over(Urgency.NORMAL, old.services.settings.tuning.claim_idle, 9)
    new.services.ingest.entries(Urgency.NORMAL, entries)

    assert meanwhile == (2 + 2, 1)
    assert swept == 1
    assert (rotation.count("event"), new.services.intake.lengths()[Urgency.NORMAL]) == (2 + 3, 0)
    assert rotation.count("dead_letter") == 0


def test_rows_that_need_a_key_stay_in_their_outbox(rotation: Rotation) -> None:
    """Only they do."""
    with psycopg.connect(rotation.shop_url) as shop:
        for email in (LATE, EARLY):
            event = rotation.old.payload(told(rotation.old, email)).decode()
            shop.execute(f"INSERT INTO {OUTBOX_TABLE} (lane, event) VALUES ('normal', %s::jsonb)", [event])

    with pytest.raises(KeyMissing):
        rotation.old.services.outboxes[0].drain()
    meanwhile = rotation.count("event")

    assert meanwhile == 2 + 1
    assert rotation.new.services.outboxes[0].drain() == 1
    assert rotation.count("dead_letter") == 0


def test_rows_that_need_a_key_hold_up_none_behind_them(
    rotation: Rotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are at the head of a lane; they are tried again after a while, as the key may have come."""
    monkeypatch.setattr(outbox, "_BATCH", 2)
    (shop_outbox,) = rotation.old.services.outboxes
    with psycopg.connect(rotation.shop_url) as shop:
        for email in (LATE,) * 5 + (EARLY,):
            event = rotation.old.payload(told(rotation.old, email)).decode()
            shop.execute(f"INSERT INTO {OUTBOX_TABLE} (lane, event) VALUES ('normal', %s::jsonb)", [event])

    with pytest.raises(KeyMissing):
        shop_outbox.drain()
    passed = rotation.count("event")
    with pytest.raises(KeyMissing):  # it says so as long as they are there
        shop_outbox.drain()
    monkeypatch.setattr(
        rotation.old.services.keyring, "open_data_key", rotation.new.services.keyring.open_data_key
    )
    with pytest.raises(KeyMissing):
        shop_outbox.drain()
    still = rotation.count("event")
    shop_outbox._left_until = 0.0

    assert (passed, still) == (2 + 1, 2 + 1)
    assert shop_outbox.drain() == 5
    assert rotation.count("event") == 2 + 6
    assert rotation.count("dead_letter") == 0


def test_more_rows_that_need_a_key_than_are_remembered_wait_where_they_are(
    rotation: Rotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane waits then, as its memory is bounded; another lane does not."""
    monkeypatch.setattr(outbox, "_BATCH", 2)
    monkeypatch.setattr(outbox, "_LEFT_MOST", 2)
    with psycopg.connect(rotation.shop_url) as shop:
        for lane, email in [*[("normal", LATE)] * 5, ("normal", EARLY), ("bulk", EARLY)]:
            event = rotation.old.payload(told(rotation.old, email)).decode()
            shop.execute(f"INSERT INTO {OUTBOX_TABLE} (lane, event) VALUES (%s, %s::jsonb)", [lane, event])

    with pytest.raises(KeyMissing):
        rotation.old.services.outboxes[0].drain()

    assert rotation.count("event") == 2 + 1
    assert rotation.new.services.outboxes[0].drain() == 6


def test_timers_that_need_a_key_stay_for_who_has_it(
    rotation: Rotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many of them hold up no other; the worker says what it lacks as long as they are due."""
    monkeypatch.setattr(timers, "_BATCH", 10)
    rotation.old.ingest(returned(rotation.old, 0, EARLY))
    rotation.new.ingest(*[returned(rotation.new, n, LATE) for n in range(1, 30)])
    with psycopg.connect(rotation.shop_url) as connection:
        connection.execute(
            "UPDATE timer SET due_at = now() - substr(subject, 3)::int * interval '1 second' WHERE key LIKE 'stuck:%'"
        )

    for _ in range(2):
        with pytest.raises(KeyMissing):
            rotation.old.services.sweep.run()
    meanwhile = rotation.count("event", "type = 'returns.stuck'")
    waiting = rotation.count("timer", "key LIKE 'stuck:%%'")
    rotation.new.services.sweep.run()

    assert (meanwhile, waiting) == (1, 29)
    assert rotation.count("event", "type = 'returns.stuck'") == 30
    assert rotation.count("timer", "key LIKE 'stuck:%%'") == 0
    assert rotation.count("dead_letter") == 0


def returned(flow: Flow, number: int, email: str) -> dict[str, object]:
    """Return a return that will be stuck."""
    return {**told(flow, email, "returns.requested"), "subject": f"R-{number}"}


def test_a_timer_that_needs_a_persons_key_waits_too(rotation: Rotation) -> None:
    """It can be opened here, but not told to somebody whose key is missing."""
    rotation.new.ingest(told(rotation.new, "returns-staff@notifier.example"))
    rotation.old.ingest(returned(rotation.old, 0, EARLY), returned(rotation.old, 1, EARLY))
    with psycopg.connect(rotation.shop_url) as connection:
        connection.execute("UPDATE timer SET due_at = now() WHERE key LIKE 'stuck:%'")

    with pytest.raises(KeyMissing):
        rotation.old.services.sweep.run()
    meanwhile = rotation.count("timer", "key LIKE 'stuck:%%'")
    rotation.new.services.sweep.run()

    assert meanwhile == 2
    assert rotation.count("event", "type = 'returns.stuck'") == 2
    assert rotation.count("dead_letter") == 0


def test_a_timer_left_to_others_is_looked_at_again(
    rotation: Rotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key may have come meanwhile; then the worker is well."""
    monkeypatch.setattr(timers, "_LEFT_SECONDS", 0.0)
    rotation.new.ingest(returned(rotation.new, 1, LATE))
    with psycopg.connect(rotation.shop_url) as connection:
        connection.execute("UPDATE timer SET due_at = now() WHERE key LIKE 'stuck:%'")
    with pytest.raises(KeyMissing):
        rotation.old.services.sweep.run()

    monkeypatch.setattr(
        rotation.old.services.keyring, "open_data_key", rotation.new.services.keyring.open_data_key
    )
    rotation.old.services.sweep.run()

    assert rotation.count("event", "type = 'returns.stuck'") == 1
