"""What is handed in is read by the real worker within seconds, though who hands it in can wake nobody (B3)."""

from pathlib import Path

import pytest

from notifier.receipts import ReceiptKind
from tests.processes import WORKER, Processes, poll
from tests.tracking import SOURCE, Tracking, told

pytestmark = pytest.mark.servers


def test_beat_and_core_read_what_was_handed_in(tracking: Tracking, tmp_path: Path) -> None:
    """The sweep sees it and rings; the worker publishes the key to seal to by itself."""
    message = tracking.send()
    with tracking.flow.services.database.connection() as connection:
        connection.execute("DELETE FROM sealing_key")

    with Processes(tracking.flow, tmp_path) as processes:
        processes.start("worker", "-n", "core@test", "-Q", "sweep,track", *WORKER, name="core")
        processes.start("beat", "-s", str(tmp_path / "beat"))
        poll(lambda: tracking.flow.query("SELECT 1 FROM sealing_key"))
        tracking.desk.hand_in(SOURCE, [told(ReceiptKind.DELIVERED, message)])
        poll(lambda: tracking.flow.query("SELECT 1 FROM message WHERE fate = 'delivered'"))

    assert tracking.flow.query("SELECT count(*) FROM report") == [(0,)]
