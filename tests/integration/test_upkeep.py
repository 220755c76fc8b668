"""What nobody asks for any more is let go of; what somebody might is not."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.store.upkeep import ALERTS_FOR, SILENCES_FOR, let_go
from tests.alerting import Stage
from tests.services import MakeFlow

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
