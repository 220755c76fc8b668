"""What users of other systems complain of about bounces and suppression does not happen here.

Each test names the issues; docs/coverage.md has all of them, also those whose tests stand elsewhere.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from structlog.testing import capture_logs

from notifier.ids import uuid7_floor, uuid7_time
from notifier.pipeline.sending.lifting import Lifter
from notifier.receipts import BounceClass, ReceiptKind
from notifier.recipients.suppression import Cause
from notifier.store import suppressions
from notifier.store.database import Database
from notifier.store.reports import ReportDesk
from notifier.store.suppressions import Selection
from notifier.tokens import mint_message_id, reference_of
from notifier.tokens.return_paths import message_of_return_path
from tests.callbacks import mailgun
from tests.command import Run, command, lines
from tests.consent import ANN, Stage
from tests.contracts.smtp_server import At, Say
from tests.integration.test_web import served
from tests.services import ROOT, Flow, MakeFlow
from tests.tracking import Tracking, bounced, told

SIGNING_KEY = "0123456789abcdef" * 2
PROVIDERS = {
    "mg": {"kind": "mailgun", "domain": "mg.example.com", "api_key": "k", "webhook_signing_key": SIGNING_KEY}
}


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test."""
    with capture_logs():
        yield command(flow.services)


@pytest.fixture
def desk(web_url: str) -> Iterator[ReportDesk]:
    """The web role's desk."""
    database = Database(web_url, size=2)
    yield ReportDesk(database)
    database.dispose()


@contextmanager
def hearing(stage: Stage) -> Iterator[tuple[Stage, Callable[[dict[str, Any]], httpx.Response]]]:
    """Run the web process as it is run; events told over HTTP are about the newest message, by our id alone."""
    services = stage.flow.services
    services.track.publish_key()

    def tell(event: dict[str, Any]) -> httpx.Response:
        key, newest = services.keyring.token_key, stage.flow.one_id()
        ours = reference_of(mint_message_id(key, newest, "notifier.example"))
        body = mailgun(
            SIGNING_KEY,
            {"message": {}, "recipient": ANN, "user-variables": {"notifier-message": ours}, **event},
            at=datetime.now(UTC), token=uuid4().hex,
        )  # fmt: skip
        answer = web.post("/callbacks/mg", content=body)
        services.track.run()
        return answer

    with served(services.settings.model_copy(update={"master_key": None})) as web:
        yield stage, tell


def soft(tracking: Tracking, count: int, start: int = 0) -> None:
    """Send mails that all come back from a full mailbox."""
    sent = [tracking.send(subject=f"S-{number}") for number in range(start, start + count)]
    tracking.report(*(bounced(one, BounceClass.SOFT, reason="mailboxfull", status="5.2.2") for one in sent))


def test_bounces_of_transactional_mail_count(tracking: Tracking) -> None:
    """Complaint 4, listmonk#2193: not only a campaign's bounces stop the next mail."""
    tracking.report(bounced(tracking.send("order.shipped")))

    tracking.send("order.delivered")

    assert tracking.suppressions() == [("hard_bounce", "*")]
    assert tracking.flow.query(
        "SELECT status FROM message WHERE type = 'order.delivered' AND channel = 'email'"
    ) == [("suppressed",)]


def test_a_refusal_when_the_mail_is_sent_counts_like_a_bounce(tracking: Tracking) -> None:
    """Complaint 5, listmonk#2623: 550 5.1.1 at RCPT suppresses in the transaction that records it."""
    tracking.flow.smtp.on(At.RCPT, Say("550 5.1.1 no such user"))

    message = tracking.send()

    email = tracking.flow.query("SELECT id FROM message WHERE channel = 'email'")[0][0]
    assert message != email
    assert tracking.flow.query("SELECT cause, message_id FROM suppression") == [("hard_bounce", email)]
    assert [row[:2] for row in tracking.flow.messages()] == [("email", "failed"), ("sms", "sent")]


def test_a_bounce_without_any_header_of_ours_finds_its_message(make_flow: MakeFlow, desk: ReportDesk) -> None:
    """Complaint 6, listmonk#946: the return path itself names the message, and cannot be forged."""
    flow = make_flow(
        mail={
            "domain": "notifier.example",
            "sender": "no-reply@notifier.example",
            "envelope_sender": "bounces@notifier.example",
        }
    )
    tracking = Tracking(flow, desk)
    message = tracking.send()
    path = flow.smtp.received[0].sender
    key = flow.services.keyring.return_path_key

    tracking.report(bounced(message_of_return_path(key, path.upper())))

    assert message_of_return_path(key, path.replace("b", "c", 3)) is None
    assert tracking.fates()[0] == ("sent", "bounced", "hard: userunknown")
    assert message_of_return_path(key, path) == message


def test_complaints_and_full_mailboxes_are_two_things(tracking: Tracking) -> None:
    """Complaint 7, listmonk#489: a full mailbox stops nothing; a complaint stops what may be refused."""
    tracking.report(bounced(tracking.send(), BounceClass.SOFT, reason="mailboxfull"))
    after_quota = tracking.suppressions()

    tracking.report(told(ReceiptKind.COMPLAINED, tracking.send(subject="A-2")))
    tracking.send(subject="A-3")

    assert after_quota == []
    assert tracking.suppressions() == [("complaint", "*")]
    assert tracking.flow.query("SELECT status FROM message WHERE subject = 'A-3'") == [("sent",)]


def test_a_complaint_has_an_endpoint(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Complaint 7, listmonk#982: over HTTP; what may be refused stays back, a password reset still arrives."""
    with hearing(Stage(make_flow, tmp_path, providers=PROVIDERS)) as (stage, tell):
        stage.tell("news.made")
        answer = tell({"event": "complained"})

        assert answer.status_code == 200
        assert stage.suppressed() == {("*", "the recipient called a message spam")}
        assert stage.tell("news.made") is None
        assert stage.tell("password.reset") is not None


def test_an_address_on_a_provider_s_own_list_is_rejected_for_that_reason(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """Complaint 18, anymail#379: the provider did not try; that is no bounce, and not just "other"."""
    with hearing(Stage(make_flow, tmp_path, providers=PROVIDERS)) as (stage, tell):
        stage.tell("order.made")
        tell({"event": "failed", "severity": "permanent", "reason": "suppress-bounce"})

        assert stage.flow.query("SELECT fate, fate_reason FROM message") == [("rejected", "suppressed")]
        assert stage.suppressed() == set()


def test_a_callback_without_the_provider_s_id_finds_its_message(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Complaint 19, sendgrid/docs#5177: by our own id, which went along as metadata; a forged one finds nothing."""
    bounce = {"event": "failed", "severity": "permanent", "reason": "bounce", "message": {}}
    with hearing(Stage(make_flow, tmp_path, providers=PROVIDERS)) as (stage, tell):
        stage.tell("order.made")
        tell({**bounce, "user-variables": {"notifier-message": f"{uuid4().hex}-{'a' * 16}"}})
        before = stage.suppressed()
        tell(bounce)

        assert before == set()
        assert stage.flow.query("SELECT fate FROM message") == [("bounced",)]
        assert {cause for (cause,) in stage.flow.query("SELECT cause FROM suppression")} == {"hard_bounce"}


def test_counts_are_reset_by_a_success(tracking: Tracking) -> None:
    """Complaint 8, listmonk#2770: four, a delivery, four more: never five in a row."""
    soft(tracking, 4)
    tracking.report(told(ReceiptKind.DELIVERED, tracking.send(subject="good")))

    soft(tracking, 4, start=4)

    assert tracking.suppressions() == []


def test_used_up_tries_blame_nobody(tracking: Tracking) -> None:
    """Complaint 11, postal#741: greylisted to the end is no hard failure, and no address is blacklisted."""
    tracking.flow.smtp.always(At.RCPT, Say("451 4.7.1 greylisted, try again later"))
    tracking.flow.ingest(tracking.flow.sample("order.shipped"))
    for _ in range(15):
        tracking.flow.make_due()
        tracking.flow.deliver()

    assert tracking.flow.messages()[0][:2] == ("email", "failed")
    assert tracking.suppressions() == []


def test_a_block_of_ours_suppresses_no_recipient_and_a_mistake_is_undone_in_bulk(tracking: Tracking) -> None:
    """Complaint 12, postal#60: 5.7.1 about our reputation; and one command lifts what a provider did wrong."""
    services = tracking.flow.services
    tracking.flow.smtp.on(At.RCPT, Say("550 5.7.1 blocked: poor reputation of 192.0.2.1"))
    tracking.send(subject="refused")
    tracking.report(
        bounced(tracking.send(subject="later"), BounceClass.BLOCK, reason="blocked", status="5.7.1")
    )
    blocked = tracking.suppressions()
    tracking.report(bounced(tracking.send(subject="mistake")))

    lifter = Lifter(
        database=services.database, composer=services.composer, flows=services.flows, clock=services.clock
    )
    done = lifter.lift("default", Selection(cause=Cause.HARD_BOUNCE), is_retried=True, by="test")

    assert blocked == []
    assert done.entries == 1
    assert tracking.suppressions() == []


def test_queued_mail_is_checked_again_and_two_who_suppress_do_not_collide(tracking: Tracking) -> None:
    """Complaint 13, postal#1238: what waits is not sent to an address that was suppressed meanwhile."""
    flow = tracking.flow
    email = flow.services.catalog["order.shipped"].sample["customer"]["email"]
    index = tracking.index(email)
    flow.ingest(flow.sample("order.shipped"))

    def suppress(number: int) -> None:
        def write(connection):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            suppressions.suppress(connection, "default", index, f"reason {number}", cause=Cause.HARD_BOUNCE)

        flow.services.database.retrying(write)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(suppress, range(40)))
    flow.deliver()

    assert tracking.suppressions() == [("hard_bounce", "*")]
    assert flow.messages()[0][:2] == ("email", "suppressed")
    assert not flow.smtp.received


def test_held_mail_goes_out_once_the_address_is_free(tracking: Tracking, run: Run) -> None:
    """Complaint 14, postal#1973: lifting with --retry queues what was held back, while it is of use."""
    flow = tracking.flow
    email = flow.services.catalog["order.shipped"].sample["customer"]["email"]
    run("suppression", "add", email)
    flow.ingest(flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        connection.execute("""UPDATE notification SET plan = '[{"channel": "email", "within": null}]'""")
    flow.deliver()
    before = flow.messages()

    run("suppression", "remove", email, "--retry")
    flow.deliver()

    assert before[0][:2] == ("email", "suppressed")
    assert flow.messages()[0][:2] == ("email", "sent")
    assert flow.states() == ["sent"]


def test_what_is_pending_says_what_it_waits_for(tracking: Tracking, run: Run) -> None:
    """Complaint 15, postal#1371: also a message whose mail came back and that waits on another channel."""
    message = tracking.send()
    tracking.report(bounced(message, text="550 5.1.1 nobody here"))

    shown = run("show", str(message)).stdout
    (listed,) = lines(run("log", "--status", "bounced", "--json"))

    assert "receipt.bounced" in shown
    assert "hard userunknown: 5.1.1 550 5.1.1 nobody here: reported by default" in shown
    assert "pending: it bounced: userunknown; now by sms: due" in shown
    assert (listed["id"], listed["fate"], listed["fate_reason"]) == (
        str(message),
        "bounced",
        "hard: userunknown",
    )


JOURNEY = """rules:
  - journey: bounces
    stages:
      - {stage: bounced, on: email.bounced, recipients: [], terminal: true}
"""


def test_an_event_tells_hard_from_soft_and_is_made_once(
    make_flow: MakeFlow, desk: ReportDesk, tmp_path: Path
) -> None:
    """Complaint 16, postal#253 and #768: with its class and reason, and not eighteen times."""
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    (config / "rules" / "bounces.yaml").write_text(JOURNEY, encoding="utf-8")
    tracking = Tracking(make_flow(config_dir=config), desk)
    message = tracking.send(subject="A-1")

    tracking.report(bounced(message, BounceClass.SOFT))
    for number in range(17):
        tracking.report(bounced(message, key=f"told for the {number}th time"))

    services = tracking.flow.services
    _, made = tracking.flow.query(
        "SELECT data_key, sealed, subject FROM event WHERE type = 'email.bounced' ORDER BY id"
    )
    said = services.keyring.open_data_key(made[0]).unseal(made[1], b"event")
    email = services.catalog["order.shipped"].sample["customer"]["email"]
    assert made[2] == "A-1"
    assert b'"class":"hard"' in said
    assert b'"reason":"userunknown"' in said
    assert email.encode() not in said
    assert tracking.flow.query("SELECT count(*) FROM receipt") == [(18,)]
    assert tracking.flow.query("SELECT channel FROM message ORDER BY id") == [("email",), ("sms",)]


def test_threshold_and_duration_are_the_tenants(make_flow: MakeFlow, desk: ReportDesk) -> None:
    """Complaint 17, postal#900 and #560: two in a row are enough here, and an hour's rest."""
    policy = {"soft_bounces": 2, "soft_rest": "1h", "soft_window": "1d"}
    tracking = Tracking(make_flow(suppression={"tenants": {"default": policy}}), desk)

    soft(tracking, 1)
    before = tracking.suppressions()
    soft(tracking, 1, start=1)

    assert before == []
    assert tracking.flow.query("SELECT cause, until - since FROM suppression")[0][1].total_seconds() == 3600


def test_bounces_of_long_ago_count_no_more(make_flow: MakeFlow, desk: ReportDesk) -> None:
    """Complaint 8, listmonk#2770: one that lies before the window is forgotten, also without a delivery since."""
    tracking = Tracking(make_flow(suppression={"soft_bounces": 2, "soft_window": "1m"}), desk)
    first = tracking.send(subject="S-0")
    long_ago = uuid7_floor(uuid7_time(first) - timedelta(seconds=61))
    with tracking.flow.services.database.connection() as connection:
        connection.execute("UPDATE message SET id = %s WHERE id = %s", [long_ago, first])

    tracking.report(bounced(long_ago, BounceClass.SOFT))
    soft(tracking, 1, start=1)
    after_two = tracking.suppressions()
    soft(tracking, 1, start=2)

    assert after_two == []
    assert tracking.suppressions() == [("soft_bounces", "*")]


def test_who_was_released_starts_anew(tracking: Tracking, run: Run) -> None:
    """Complaint 14, postal#1973: the next full mailbox is the first again, not the sixth."""
    soft(tracking, 5)
    rested = tracking.suppressions()
    run("suppression", "remove", "--cause", "soft_bounces")

    soft(tracking, 4, start=5)
    after_four = tracking.suppressions()
    soft(tracking, 1, start=9)

    assert (rested, after_four) == ([("soft_bounces", "*")], [])
    assert tracking.suppressions() == [("soft_bounces", "*")]
