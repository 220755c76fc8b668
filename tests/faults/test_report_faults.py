"""Reports about messages when workers die, race, and are flooded: each counts once, and nobody suppressed is mailed."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from notifier.delivery.fate import Known, fate_of
from notifier.messages import ChannelName
from notifier.pipeline.composing.composer import Composed
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.store import receipts
from notifier.store.database import Connection, Database
from notifier.store.reports import ReportDesk
from tests.faults.sabotage import apply
from tests.faults.stages import TIGHT, Bench, MakeBench, await_true
from tests.services import Flow, as_role
from tests.tracking import SOURCE, Tracking, bounced, told

pytestmark = [pytest.mark.faults, pytest.mark.servers]

FLOOD = int(os.environ.get("CALLBACK_FLOOD", "1500"))
"""``make faults`` sends 50,000."""
RACERS = 3


class Pause:
    """Has something happen between a worker's look at the suppression list and its mark "being sent"."""

    def __init__(self, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
        self._flow, self._patch = flow, monkeypatch

    def deliver(self, meanwhile: Callable[[], object]) -> None:
        """Send what is due, with that in the middle; then once more without."""
        composer = self._flow.services.composer
        keep = composer.keep

        def slowly(*arguments: Any) -> Composed:
            composed = keep(*arguments)
            meanwhile()
            return composed

        with self._patch.context() as patch:
            patch.setattr(composer, "keep", slowly)
            self._flow.services.deliver.run(ChannelName.EMAIL, "normal")
        self._flow.deliver()

    def fate(self) -> str:
        """Return how the second mail stands."""
        rows = self._flow.query("SELECT status FROM message WHERE subject = 'A-2' AND channel = 'email'")
        return str(rows[0][0])


@pytest.mark.parametrize(
    ("sabotage", "status"), [("", "suppressed"), ("no_recall", "suppressed"), ("no_recall,no_revoke", "sent")]
)
def test_a_bounce_between_the_gate_and_the_mark_keeps_the_mail_back(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, sabotage: str, status: str
) -> None:
    """A worker has claimed the second mail, asked and written it; the first one's bounce still stops it."""
    apply(sabotage, monkeypatch.setattr)
    first, pause = tracking.send(subject="A-1"), Pause(tracking.flow, monkeypatch)

    tracking.flow.ingest(tracking.flow.sample("order.shipped", subject="A-2"))
    pause.deliver(lambda: tracking.report(bounced(first, key="the bounce")))

    assert pause.fate() == status
    assert len(tracking.flow.smtp.received) == (1 if status == "suppressed" else 2)


@pytest.mark.parametrize(("sabotage", "status"), [("", "suppressed"), ("no_revoke", "sent")])
def test_a_claim_while_an_entry_is_being_committed_keeps_the_mail_back(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, sabotage: str, status: str
) -> None:
    """The worker claims and looks after the entry was written, and before anybody could see it."""
    apply(sabotage, monkeypatch.setattr)
    first, pause = tracking.send(subject="A-1"), Pause(tracking.flow, monkeypatch)
    has_looked, is_known = threading.Event(), threading.Event()
    tracking.flow.ingest(tracking.flow.sample("order.shipped", subject="A-2"))
    worker = threading.Thread(
        target=pause.deliver, args=[lambda: (has_looked.set(), is_known.wait(20))], daemon=True
    )
    drop = receipts.drop_reports

    def before_the_commit(connection: Connection, ids: Sequence[int]) -> None:
        drop(connection, ids)
        if not worker.is_alive():
            worker.start()
        assert has_looked.wait(20)

    monkeypatch.setattr(receipts, "drop_reports", before_the_commit)
    tracking.report(bounced(first))
    is_known.set()
    worker.join()

    assert pause.fate() == status


@pytest.mark.parametrize(("sabotage", "status"), [("", "suppressed"), ("no_recall", "sent")])
def test_a_death_right_after_the_commit_of_an_entry_keeps_the_mail_back(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, sabotage: str, status: str
) -> None:
    """Killed before it could take anything back: what the transaction itself took back is not sent."""
    bench = make_bench(tuning={**TIGHT, "claim_lease": "30s"})
    flow, pause = bench.flow, Pause(bench.flow, monkeypatch)
    database = Database(as_role(bench.url, "notifier_web"), size=2)
    tracking = Tracking(flow, ReportDesk(database))
    first = tracking.send(subject="A-1")

    def bounce_and_die() -> None:
        tracking.desk.hand_in(SOURCE, [bounced(first)])
        with bench.child("track", f"{sabotage},die_before_revoke") as process:
            process.join(30)
            assert process.exitcode == -signal.SIGKILL

    flow.ingest(flow.sample("order.shipped", subject="A-2"))
    pause.deliver(bounce_and_die)
    database.dispose()

    assert tracking.suppressions() == [("hard_bounce", "*")]
    assert pause.fate() == status


@pytest.fixture
def desk(bench: Bench) -> Iterator[ReportDesk]:
    """The desk of a bench."""
    database = Database(as_role(bench.url, "notifier_web"), size=2)
    yield ReportDesk(database)
    database.dispose()


@pytest.mark.parametrize(("sabotage", "is_whole"), [("", True), ("reports_dropped_first", False)])
def test_a_worker_that_dies_while_it_reads_reports_loses_and_doubles_none(
    bench: Bench,
    desk: ReportDesk,
    sabotage: str,
    is_whole: bool,  # noqa: FBT001
) -> None:
    """Killed after it took them and before its commit: another reads them anew, and all follows once."""
    bench.sink.delay = 0.0
    flow = bench.flow
    flow.ingest(*(flow.sample("order.shipped", subject=f"A-{number}") for number in range(5)))
    bench.recover()
    sent = [row[0] for row in flow.query("SELECT id FROM message ORDER BY id")]
    desk.hand_in(SOURCE, [bounced(one) for one in sent])
    with psycopg.connect(bench.url) as lock:
        lock.execute("LOCK TABLE receipt IN ACCESS EXCLUSIVE MODE")
        with bench.child("track", sabotage) as process:
            await_true(lambda: _waits(bench.url))
            process.kill()
            process.join()
    await_true(lambda: not _is_busy(bench.url))

    flow.services.track.run()

    assert flow.query("SELECT count(*) FROM report") == [(0,)]
    assert flow.query("SELECT count(*) FROM receipt") == [(5 if is_whole else 0,)]
    assert flow.query("SELECT count(*) FROM message WHERE channel = 'sms'") == [(5 if is_whole else 0,)]


def _waits(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0


def _is_busy(url: str) -> bool:
    """Tell whether a server process still works, or holds locks, for somebody: a killed client's is told late."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
               AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
        ).fetchone()
    return row is not None and row[0] > 0


def test_a_flood_of_reports_doubled_and_shuffled_comes_to_what_was_told(tracking: Tracking) -> None:
    """Three hand in, three read at once; each message's fate is the join of its facts, each consequence comes once."""
    flow, chance = tracking.flow, random.Random(11)
    sent = _mails(flow, 30)
    reports = _flood(sent, chance)
    shares = [reports[start::RACERS] + reports[:: 7 + start] for start in range(RACERS)]
    for share in shares:
        chance.shuffle(share)
    is_over = threading.Event()

    def hand_in(share: list[Receipt]) -> None:
        for start in range(0, len(share), 40):
            tracking.desk.hand_in(SOURCE, share[start : start + 40])

    def read() -> None:
        while not is_over.is_set():
            flow.services.track.run()

    _race([*(lambda share=share: hand_in(share) for share in shares)], [read] * RACERS, is_over)
    while tracking.track():
        pass
    flow.deliver()

    expected = {
        message: verdict.fate if (verdict := fate_of(_known(reports, message))) else None for message in sent
    }
    lost = {one.message for one in reports if one.kind is ReceiptKind.BOUNCED}
    fates = dict(flow.query("SELECT id, fate FROM message WHERE channel = 'email'"))
    assert fates == {message: fate.value if fate else None for message, fate in expected.items()}
    assert flow.query("SELECT count(*) FROM receipt") == [(len(reports),)]
    assert flow.query("SELECT count(*) FROM report") == [(0,)]
    assert flow.query("SELECT count(*) FROM message WHERE channel = 'sms'") == [(len(lost),)]
    assert flow.query("SELECT count(*) FROM suppression") == [(len(_blamed(reports)),)]


def _mails(flow: Flow, count: int) -> list[UUID]:
    sample = flow.services.catalog["order.shipped"].sample
    flow.ingest(
        *(
            flow.sample(
                "order.shipped",
                subject=f"A-{number}",
                data={**sample, "customer": {**sample["customer"], "email": f"ann{number}@example.org"}},
            )
            for number in range(count)
        )
    )
    flow.deliver()
    return [row[0] for row in flow.query("SELECT id FROM message ORDER BY id")]


def _flood(sent: list[UUID], chance: random.Random) -> list[Receipt]:
    """Return reports of all kinds: some mails bounce, some are complained of, most are opened again and again."""
    start = datetime.now(UTC) - timedelta(hours=1)
    kinds = [
        ReceiptKind.SENT,
        ReceiptKind.DEFERRED,
        ReceiptKind.DELIVERED,
        ReceiptKind.OPENED,
        ReceiptKind.CLICKED,
    ]
    reports = [bounced(one, chance.choice([*BounceClass]), at=start) for one in sent[::3]]
    reports += [told(ReceiptKind.COMPLAINED, one, at=start) for one in sent[1::5]]
    reports += [
        told(chance.choice(kinds), chance.choice(sent), at=start + timedelta(seconds=number))
        for number in range(FLOOD - len(reports))
    ]
    return reports


def _known(reports: list[Receipt], message: UUID) -> list[Known]:
    return [
        Known(kind=one.kind, at=one.at, bounce=one.bounce, reason=one.reason)
        for one in reports
        if one.message == message
    ]


def _blamed(reports: list[Receipt]) -> set[tuple[UUID | None, ReceiptKind]]:
    return {
        (one.message, one.kind)
        for one in reports
        if one.kind is ReceiptKind.COMPLAINED or one.bounce is BounceClass.HARD
    }


def _race(
    writers: list[Callable[[], None]], readers: list[Callable[[], None]], is_over: threading.Event
) -> None:
    errors: list[BaseException] = []

    def guarded(step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    writing = [threading.Thread(target=guarded, args=(one,)) for one in writers]
    reading = [threading.Thread(target=guarded, args=(one,)) for one in readers]
    for thread in (*writing, *reading):
        thread.start()
    for thread in writing:
        thread.join()
    is_over.set()
    for thread in reading:
        thread.join()
    assert errors == []
