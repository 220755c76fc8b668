"""What people do about messages: send again, decide about what is held (O7, S5)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from threading import Barrier

import pytest
from structlog.testing import capture_logs

from notifier.cli.resend import resender
from notifier.pipeline.sending.resend import ResendRefused
from tests.command import CUSTOMER, Run, change_type, command, document, lines, shipped
from tests.contracts.smtp_server import At, Close, Say
from tests.services import Flow

pytestmark = pytest.mark.servers


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(flow.services)


def test_a_resend_is_a_new_message_with_a_fresh_deadline(flow: Flow, run: Run) -> None:
    """A new id, so a new Message-ID; the same notification and channel; the log says who asked."""
    flow.smtp.on(At.RCPT, Say("550 5.7.1 not from you"))
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()
    (failed,) = lines(run("log", "--subject", "A-1", "--channel", "email", "--json"))
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE notification SET deadline = now() - interval '1 day'")
        connection.execute("DELETE FROM relay_pause")

    with capture_logs() as logs:
        done = document(run("resend", failed["id"], "--json"))
    flow.deliver()

    (again,) = lines(run("log", "--subject", "A-1", "--channel", "email", "--limit", 1, "--json"))
    assert (again["resend_of"], again["status"]) == (failed["id"], "sent")
    assert done["message_id"] == again["id"] != failed["id"]
    assert again["notification_id"] == failed["notification_id"]
    (asked,) = (one for one in logs if one["event"] == "resend.asked")
    assert asked["by"].startswith("cli")
    assert f"a resend of {failed['id']}" in run("show", again["id"]).stdout


def test_a_resend_is_refused_while_the_message_waits(flow: Flow, run: Run) -> None:
    """Twice in a row, too: the second asks for what is queued already."""
    flow.ingest(shipped(flow, "A-1"))
    message = flow.one_id()

    queued = run("resend", message)
    flow.deliver()
    first, second = run("resend", message), run("resend", message)

    assert (queued.exit_code, first.exit_code, second.exit_code) == (3, 0, 3)
    assert "it is still queued" in queued.stderr
    assert "of the same notification is still queued" in second.stderr
    flow.deliver()
    assert len(flow.smtp.received) == 2


def test_of_two_who_resend_at_once_one_is_refused(flow: Flow, run: Run) -> None:
    """The second waits for the first, sees what it queued, and lets it be (S5)."""
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()
    message, barrier = flow.one_id(), Barrier(4)
    queue = resender(flow.services)

    def ask(_: int) -> bool:
        barrier.wait()
        try:
            queue.resend(message, None, by="test")
        except ResendRefused:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(ask, range(4)))

    assert done.count(True) == 1
    assert flow.query("SELECT count(*) FROM work") == [(1,)]


def test_a_resend_asks_the_gate(flow: Flow, run: Run) -> None:
    """Suppressed, superseded, erased: refused at once, with the reason; nothing is queued."""
    flow.ingest(shipped(flow, "A-1"), flow.sample("returns.approved"))
    flow.deliver()
    order = lines(run("log", "--subject", "A-1", "--json"))[0]["id"]
    stage = lines(run("log", "--type", "returns.approved", "--json"))[0]["id"]
    flow.ingest(flow.sample("returns.refunded"))
    flow.deliver()

    run("suppression", "add", CUSTOMER, "--reason", "complained")
    suppressed, superseded = run("resend", order), run("resend", stage)
    run("suppression", "remove", CUSTOMER)
    run("erase", CUSTOMER, "--yes")
    erased = run("resend", order)

    assert [one.exit_code for one in (suppressed, superseded, erased)] == [3, 3, 3]
    assert "complained" in suppressed.stderr
    assert "superseded" in superseded.stderr
    assert "erased" in erased.stderr
    assert flow.query("SELECT count(*) FROM work") == [(0,)]


@pytest.fixture
def held(flow: Flow) -> tuple[str, str]:
    """A message that may have arrived and waits for a person: its id and its Message-ID."""
    change_type(flow, "order.shipped", unknown="hold")
    flow.smtp.on(At.DOT, Close())
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()
    message = flow.one_id()
    assert flow.query("SELECT state FROM work") == [(3,)]
    return str(message), message_from_bytes(flow.smtp.received[0].data)["Message-ID"]


def test_a_held_message_wants_a_decision(held: tuple[str, str], run: Run) -> None:
    """Without one nothing happens, and the ways on are named."""
    result = run("resend", held[0])

    assert result.exit_code == 3
    assert all(word in result.stderr for word in ("--same", "--new", "--drop"))
    assert (
        "held for a person" in run("explain", "A-1", "--source", "test").stdout + run("show", held[0]).stdout
    )


def test_a_held_message_goes_out_again_as_the_same(flow: Flow, held: tuple[str, str], run: Run) -> None:
    """The same Message-ID, so that a mailbox can drop the double."""
    done = document(run("resend", held[0], "--same", "--json"))
    flow.make_due()  # the relay rests after the cut
    flow.deliver()

    assert done["message_id"] == held[0]
    assert [message_from_bytes(one.data)["Message-ID"] for one in flow.smtp.received] == [held[1]] * 2
    assert flow.messages()[0][1] == "sent"
    assert flow.states() == ["sent"]


def test_a_held_message_goes_out_again_as_a_new_one(flow: Flow, held: tuple[str, str], run: Run) -> None:
    """Another Message-ID; the old message stays unknown."""
    document(run("resend", held[0], "--new", "--json"))
    flow.make_due()  # the relay rests after the cut
    flow.deliver()

    headers = [message_from_bytes(one.data)["Message-ID"] for one in flow.smtp.received]
    assert headers[0] == held[1] != headers[1]
    assert [status for _, status, _ in flow.messages()] == ["unknown", "sent"]
    assert flow.states() == ["sent"]


def test_a_held_message_is_given_up(flow: Flow, held: tuple[str, str], run: Run) -> None:
    """Nothing is sent; deciding twice is refused."""
    dropped = run("resend", held[0], "--drop")
    again = run("resend", held[0], "--drop")
    flow.deliver()

    assert (dropped.exit_code, again.exit_code) == (0, 3)
    assert "is for a message that is held" in again.stderr
    assert flow.query("SELECT count(*) FROM work") == [(0,)]
    assert len(flow.smtp.received) == 1


def test_what_contradicts_itself_or_is_not_there_changes_nothing(flow: Flow, run: Run) -> None:
    """Two choices at once are wrong usage; an id that nothing has is neither held nor settled."""
    flow.ingest(shipped(flow, "A-1"))
    message = flow.one_id()
    nobody = "01a204d7-f499-703b-9819-84cf3ee614d3"

    both = run("unknown", "settle", message, "--lost", "--arrived")
    either = run("resend", message, "--same", "--drop")
    missing = [run("unknown", "settle", nobody, "--lost"), run("resend", nobody)]

    assert (both.exit_code, either.exit_code) == (2, 2)
    assert "only one of --lost, --arrived" in both.stderr
    assert [one.exit_code for one in missing] == [1, 1]
    assert all(f"there is no message {nobody}" in one.stderr for one in missing)
