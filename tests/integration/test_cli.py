"""What people ask of the log: which messages, what became of one, and why (O6, O7)."""

import json
from collections.abc import Iterator
from email import message_from_bytes

import pytest
from psycopg import sql
from structlog.testing import capture_logs

from notifier.events import Urgency
from notifier.reports.search import LogQuery, compose
from tests.command import CUSTOMER, Run, change_type, command, document, lines, shipped
from tests.contracts.smtp_server import At, Say
from tests.services import Flow

pytestmark = pytest.mark.servers


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(flow.services)


def test_the_log_finds_messages_by_address_in_any_spelling(flow: Flow, run: Run) -> None:
    """A blind index: exact, case folded, and only this person's; sealed addresses are shown (O7)."""
    flow.ingest(shipped(flow, "A-1"), shipped(flow, "A-2", "other@example.org"))
    flow.deliver()

    (row,) = lines(run("log", "--to", CUSTOMER.upper(), "--json"))

    assert (row["subject"], row["to"], row["status"], row["channel"]) == ("A-1", CUSTOMER, "sent", "email")
    assert run("log", "--to", "nobody@example.org").stdout == "no message matches\n"


def test_the_log_finds_messages_by_everything_else(flow: Flow, run: Run) -> None:
    """Subject, type, status, channel, tenant and time, each alone and together."""
    flow.smtp.for_recipient("gone@example.org", Say("550 5.1.1 unknown user"))
    flow.ingest(shipped(flow, "A-1"), shipped(flow, "A-2", "gone@example.org"))
    flow.deliver()

    def found(*args: str) -> list[tuple[str, str]]:
        return sorted((row["subject"], row["channel"]) for row in lines(run("log", *args, "--json")))

    everything = found()
    assert ("A-1", "email") in everything
    assert found("--subject", "A-1") == [("A-1", "email")]
    assert found("--status", "failed") == [("A-2", "email")]
    assert found("--status", "failed", "--status", "sent", "--channel", "email") == [
        ("A-1", "email"),
        ("A-2", "email"),
    ]
    assert found("--type", "order.shipped", "--channel", "email") == [("A-1", "email"), ("A-2", "email")]
    assert found("--type", "order.delivered") == []
    assert found("--tenant", "default") == everything
    assert found("--tenant", "nobody") == []
    assert found("--since", "1h") == everything
    assert found("--until", "1h") == []
    assert found("--subject", "A-1", "--tenant", "default", "--since", "1h", "--status", "failed") == []


def test_pages_hang_together_without_gap_or_double(flow: Flow, run: Run) -> None:
    """Each page names the command of the next; new messages do not move the pages."""
    flow.ingest(*(shipped(flow, f"A-{n}") for n in range(7)))

    first = run("log", "--to", CUSTOMER, "--limit", 3)
    seen = lines(run("log", "--to", CUSTOMER, "--limit", 3, "--json"))
    flow.ingest(shipped(flow, "A-new"))
    while page := run("log", "--to", CUSTOMER, "--limit", 3, "--after", seen[-1]["id"], "--json").stdout:
        seen += map(json.loads, page.splitlines())

    assert [row["subject"] for row in seen] == [f"A-{n}" for n in reversed(range(7))]
    command = first.stdout.rsplit("more: notifier ", 1)[1].split()
    assert command == ["log", "--to", CUSTOMER, "--limit", "3", "--after", seen[2]["id"]]


def test_a_message_is_found_by_the_header_of_the_mail(flow: Flow, run: Run) -> None:
    """The Message-ID a customer's mail shows leads to the message; a forged one leads nowhere."""
    flow.ingest(shipped(flow, "A-1"), shipped(flow, "A-2"))
    flow.deliver()
    header = message_from_bytes(flow.smtp.received[0].data)["Message-ID"]

    (row,) = lines(run("log", "--message-id", header, "--json"))
    story = run("show", header)
    forged = run("log", "--message-id", header.replace(header[1], "f" if header[1] != "f" else "e", 1))

    assert row["id"].replace("-", "") in header
    assert header in story.stdout
    assert forged.exit_code == 1
    assert forged.stderr == "error: this Message-ID is not one of ours, or was forged\n"


def test_the_story_of_a_message_has_every_try_with_the_servers_words(flow: Flow, run: Run) -> None:
    """Received, decided, queued, deferred with its reply, sent with its reply, settled: in order (O7)."""
    flow.smtp.on(At.RCPT, Say("450 4.7.1 greylisted, come back"))
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()
    flow.make_due()
    flow.deliver()

    story = document(run("show", flow.one_id(), "--json"))
    shown = run("show", flow.one_id()).stdout

    assert [line["what"] for line in story["timeline"]] == [
        "event.received", "event.decided", "message.queued", "attempt.deferred", "attempt.sent",
        "message.sent", "notification.sent",
    ]  # fmt: skip
    (message,) = story["notifications"][0]["messages"]
    assert [one["code"] for one in message["tries"]] == [450, 250]
    assert "greylisted, come back" in shown
    assert "queued as 4TeSt" in shown
    assert CUSTOMER in shown
    assert "content" not in message


def test_a_fallback_is_part_of_the_story(flow: Flow, run: Run) -> None:
    """Why the email failed, and that the next channel had its turn."""
    flow.smtp.always(At.RCPT, Say("550 5.1.1 unknown user"))
    flow.ingest(flow.sample("returns.approved"))
    flow.deliver()
    flow.deliver()

    story = document(run("show", flow.one_id("event"), "--json"))
    shown = run("show", flow.one_id("notification")).stdout

    channels = [one["channel"] for one in story["notifications"][0]["messages"]]
    assert channels == ["email", "sms"]
    assert "the fallback (plan: email, sms, portal)" in shown
    assert "550 5.1.1 unknown user" in shown
    assert story["notifications"][0]["state"] == "sent"


def test_secrets_stay_blank_wherever_they_stand(flow: Flow, run: Run) -> None:
    """A reset link is neither in the event's data, nor in the kept content, nor in a dead letter (O10)."""
    change_type(flow, "account.password_reset", is_tls_required=False)
    event = flow.sample("account.password_reset", id="reset-1")
    secret = event["data"]["reset_url"]
    flow.ingest(
        event, {**event, "id": "reset-2", "data": {**event["data"], "surplus": 1}}, lane=Urgency.URGENT
    )
    flow.deliver()
    letter = flow.one_id("dead_letter")

    assert flow.query("SELECT count(*) FROM body") == [(1,)]
    for args in (["show", flow.one_id(), "--body"], ["show", letter], ["dead", "show", letter]):
        for result in (run(*args), run(*args, "--json")):
            assert result.exit_code == 0
            assert secret not in result.stdout
            assert "[secret]" in result.stdout


def test_the_kept_content_is_shown_with_body(flow: Flow, run: Run) -> None:
    """Subject and text, as they went out."""
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()

    without, with_body = run("show", flow.one_id()), run("show", flow.one_id(), "--body")
    story = document(run("show", flow.one_id(), "--body", "--json"))

    content = story["notifications"][0]["messages"][0]["content"]
    assert "48213" in content["subject"]
    assert content["subject"] in with_body.stdout
    assert content["subject"] not in without.stdout


def test_an_erased_person_is_gone_from_every_answer(flow: Flow, run: Run) -> None:
    """The log keeps that something was sent, not to whom or what (O10)."""
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()

    erased = run("erase", CUSTOMER, "--yes")
    again = run("erase", CUSTOMER, "--yes")
    (row,) = lines(run("log", "--subject", "A-1", "--json"))
    questions = (("show", row["id"], "--body"), ("explain", row["event_id"]), ("log",))

    assert (erased.stdout.splitlines()[0], erased.exit_code) == ("erased", 0)
    assert again.exit_code == 1
    assert row["to"] == "[erased]"
    for answer in (run(*args) for args in questions):
        assert answer.exit_code == 0
        assert CUSTOMER not in answer.stdout
        assert "[erased]" in answer.stdout


def test_erasing_asks_first(flow: Flow, run: Run) -> None:
    """Nothing is forgotten by a slip."""
    flow.ingest(shipped(flow, "A-1"))

    result = run("erase", CUSTOMER, input="n\n")

    assert result.exit_code == 1
    assert flow.query("SELECT count(*) FROM person WHERE erased_at IS NOT NULL") == [(0,)]


def test_why_an_event_led_to_what_it_did(flow: Flow, run: Run) -> None:
    """Each rule with verdict and reason, each notification and where it stands; duplicates too (O6)."""
    event = shipped(flow, "A-1")
    flow.ingest(event, event)
    flow.deliver()

    why = document(run("explain", "A-1", "--source", "test", "--json"))
    shown = run("explain", flow.one_id("event")).stdout

    assert why["verdict"] == "notified"
    assert [rule["verdict"] for rule in why["rules"]].count("fired") == 1
    assert [one["standing"] for one in why["notifications"]] == ["sent by email"]
    assert why["notifications"][0]["recipient"]["email"] == CUSTOMER
    assert "stored once, however often it came" in shown


def test_why_a_late_stage_was_not_sent(flow: Flow, run: Run) -> None:
    """S3: "approved" after "refunded" is recorded, and the reason says so."""
    flow.ingest(flow.sample("returns.refunded"))
    flow.ingest(flow.sample("returns.approved"))

    why = document(run("explain", flow.one_id("event"), "--json"))

    assert why["verdict"] == "silent"
    assert why["notifications"] == []
    assert [rule["verdict"] for rule in why["rules"]] == ["late_stage"]


def test_why_an_event_was_refused(flow: Flow, run: Run) -> None:
    """The field, the reason and the way on; and afterwards that it was accepted."""
    event = shipped(flow, "A-1")
    broken = {**event, "data": {**event["data"], "surplus": 1}}
    flow.ingest(broken)

    refused = document(run("explain", "A-1", "--source", "test", "--json"))
    shown = run("explain", "A-1", "--source", "test").stdout
    flow.ingest(event)
    later = run("explain", "A-1", "--source", "test").stdout

    assert refused["verdict"] == "refused"
    assert refused["dead_letter"]["field"].startswith("data")
    assert "notifier dead retry" in shown
    assert "an earlier delivery of it was refused" in later


def test_a_pending_message_says_what_it_waits_for(flow: Flow, run: Run) -> None:
    """The next try, a paused tenant: where it stands and why."""
    flow.smtp.on(At.RCPT, Say("450 4.7.1 greylisted"))
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()

    waiting = run("explain", "A-1", "--source", "test").stdout
    run("tenant", "pause", "default")
    paused = run("show", flow.one_id()).stdout

    assert "pending: due " in waiting
    assert "after: " in waiting
    assert "waits until the tenant is resumed" in paused


def test_an_id_that_nothing_has_is_one_clear_line(run: Run) -> None:
    """Wrong ids, other people's ids, ids of nobody."""
    cases = {
        ("show", "nonsense"): "none of our ids",
        ("show", "01980000-0000-7000-8000-000000000000"): "nothing has the id",
        ("explain", "x", "--source", "shop"): "no event 'x' of source 'shop'",
        ("resend", "nonsense"): "neither a message's id",
    }

    for args, said in cases.items():
        result = run(*args)
        assert result.exit_code == 1, args
        assert said in result.stderr
        assert result.stderr.count("\n") == 1


def test_every_page_of_the_log_is_found_by_an_index(flow: Flow, run: Run) -> None:
    """By address, by subject, or from the newest down: never a scan of the messages."""
    flow.ingest(*(shipped(flow, f"A-{n}", f"c{n}@example.org") for n in range(400)))
    key, tenants = flow.services.keyring.index_key, ["default", "other"]
    queries = {
        "tenant_address_index_id_idx": LogQuery(address="c7@example.org", limit=5),
        "tenant_subject_id_idx": LogQuery(subject="A-7", limit=5),
        "pkey": LogQuery(limit=5),
    }

    for index, query in queries.items():
        statement, parameters = compose(query, key, tenants)
        with flow.services.database.transaction() as connection:
            connection.execute("ANALYZE message, notification, person")
            rows = connection.execute(sql.SQL("EXPLAIN ") + statement, parameters).fetchall()
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on message_2" not in plan, plan
        assert f"_{index} on message_2" in plan, plan
