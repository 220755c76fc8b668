"""What nobody asks for any more is let go of; what somebody might is not."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.crypto import blind_index
from notifier.recipients.suppression import Cause
from notifier.reports.suppressions import all_suppressions
from notifier.store import suppressions
from notifier.store.suppressions import KEPT_FOR, suppress
from notifier.store.upkeep import ALERTS_FOR, SILENCES_FOR, let_go
from tests.alerting import Stage
from tests.command import command
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers


def aged(stage: Stage, by: timedelta) -> int:
    """Let all alerts and silences be older, and let go; return how many rows went."""
    with stage.flow.services.database.connection() as connection:
        connection.execute("UPDATE alert SET updated_at = updated_at - %s", [by])
        connection.execute("UPDATE silence SET starts_at = starts_at - %s, ends_at = ends_at - %s", [by, by])
        return let_go(connection)


def test_alerts_that_ended_long_ago_go_and_others_stay(make_flow: MakeFlow, tmp_path: Path) -> None:
    """One is over, one fires: three months later the first is gone, and not a day before."""
    stage = Stage(make_flow, tmp_path)
    stage.down("web-1", "web-2")
    stage.feed("server.recovered", "web-1")
    stage.told(minutes=5)

    early = aged(stage, ALERTS_FOR - timedelta(days=1))
    late = aged(stage, timedelta(days=2))

    assert (early, late) == (0, 1)
    assert stage.statuses() == {"web-2": "firing"}


def test_old_silences_go_with_their_history(make_flow: MakeFlow, tmp_path: Path) -> None:
    """A year after its end nobody is asked who silenced what."""
    stage = Stage(make_flow, tmp_path)
    with stage.flow.services.database.connection() as connection:
        connection.execute(
            """INSERT INTO silence (id, tenant, matchers, starts_at, ends_at, created_by, comment)
               VALUES (gen_random_uuid(), 'default', '[["a=b"]]', now(), now(), 'ann', 'test')"""
        )
        connection.execute(
            "INSERT INTO silence_change (silence_id, tenant, by, what) SELECT id, tenant, 'ann', 'added' FROM silence"
        )

    early = aged(stage, SILENCES_FOR - timedelta(days=1))
    late = aged(stage, timedelta(days=2))

    assert (early, late) == (0, 1)
    assert stage.counts("silence", "silence_change") == [0, 0]


def suppressed_until(flow: Flow, ends: dict[bytes, timedelta | None]) -> None:
    """Suppress addresses, as keyed hashes, that many days from now; None: for good."""
    now = flow.services.clock.now()
    with flow.services.database.connection() as connection:
        for index, end in ends.items():
            until = now + end if end is not None else None
            suppress(
                connection,
                "default",
                index,
                "rests awhile",
                cause=Cause.SOFT_BOUNCES,
                since=now - 2 * KEPT_FOR,
                until=until,
            )


def left(flow: Flow) -> list[bytes]:
    """Let go, and return whose entries are still there."""
    with flow.services.database.connection() as connection:
        let_go(connection)
        return [bytes.fromhex(one.address_hash) for one in all_suppressions(connection, "default")]


def test_suppressions_go_three_months_after_their_end(flow: Flow) -> None:
    """Those for good never do; one that is renewed in time begins anew and stays."""
    day = timedelta(days=1)
    suppressed_until(flow, {b"old": -KEPT_FOR - day, b"new": -KEPT_FOR + day, b"open": day, b"good": None})
    suppressed_until(flow, {b"again": -KEPT_FOR - day})
    suppressed_until(flow, {b"again": day})

    assert left(flow) == [b"again", b"good", b"new", b"open"]


def test_many_suppressions_go_in_small_numbers(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, so that nobody waits for a long transaction."""
    monkeypatch.setattr(suppressions, "_AT_ONCE", 2)
    suppressed_until(flow, {bytes([n]): -KEPT_FOR - timedelta(days=n) for n in (1, 2, 3)})

    assert [left(flow), left(flow)] == [[b"\x01"], []]


def test_why_a_message_was_not_sent_is_told_when_its_suppression_is_gone(flow: Flow) -> None:
    """The reason stands with the message."""
    index = blind_index(flow.services.keyring.index_key, "default", "sales@notifier.example")
    suppressed_until(flow, {index: timedelta(days=1)})
    flow.ingest(flow.sample("lead.status_changed", to=["sales@notifier.example"]))
    flow.deliver()
    message = str(flow.one_id())
    before = command(flow.services)("show", message).output
    flow.query("UPDATE suppression SET until = now() - 2 * %s RETURNING 1", KEPT_FOR)

    assert left(flow) == []
    assert command(flow.services)("show", message).output == before
    assert "rests awhile" in before
