"""What becomes known of a message after it left: its fate, who is not written to, and what follows (B3, O8, S5)."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from notifier.delivery.fate import Fate
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.store.receipts import MessageReport, ReceiptRow
from notifier.store.tenants import add_tenant
from notifier.tokens import mint_message_id
from tests.contracts.smtp_server import At, Say
from tests.services import MakeFlow
from tests.tracking import SOURCE, Tracking, bounced, told


@pytest.mark.parametrize("known_by", ["message", "message_id", "remote_id"])
def test_a_report_finds_its_message_by_token_message_id_or_the_relays_name(
    tracking: Tracking, known_by: str
) -> None:
    """Whatever the other side knows: our id, the Message-ID with its MAC, or its own name for the mail."""
    message = tracking.send()
    token = tracking.flow.services.keyring.token_key
    (remote,) = tracking.flow.query("SELECT remote_id FROM attempt")[0]
    values = {
        "message": {"message": message},
        "message_id": {"message_id": mint_message_id(token, message, "notifier.example")},
        "remote_id": {"remote_id": remote},
    }[known_by]

    done = tracking.report(told(ReceiptKind.DELIVERED, **values))

    assert done == {"delivered": 1}
    assert tracking.fates() == [("sent", "delivered", None)]
    assert tracking.flow.query("SELECT count(*) FROM report") == [(0,)]
    assert tracking.flow.query("SELECT kind, source FROM receipt") == [("delivered", SOURCE)]


def test_a_report_touches_only_what_its_sender_took_over(tracking: Tracking) -> None:
    """A forged Message-ID, an id of nobody, another relay's name for a mail: none of them moves anything."""
    message = tracking.send()
    (remote,) = tracking.flow.query("SELECT remote_id FROM attempt")[0]
    forged = mint_message_id(b"x" * 32, message, "notifier.example")

    tracking.report(bounced(message_id=forged), bounced(uuid4()), bounced(remote_id=f"{remote}x"), bounced())
    tracking.desk.hand_in("another", [bounced(remote_id=remote, source="another")])
    tracking.track()

    assert tracking.fates() == [("sent", None, None)]
    assert tracking.suppressions() == []
    assert tracking.flow.query("SELECT count(*) FROM report") == [(5,)]


def test_a_bounce_of_one_tenants_mail_says_nothing_of_anothers(tracking: Tracking) -> None:
    """The same customer of two shops is suppressed for the one whose mail came back."""
    with tracking.flow.services.database.connection() as connection:
        add_tenant(connection, "acme", "Acme")
    tracking.send()
    message = tracking.send(tenant="acme")

    tracking.report(bounced(message))

    assert tracking.flow.query("SELECT tenant, cause FROM suppression") == [("acme", "hard_bounce")]


def test_a_report_that_is_faster_than_our_commit_waits_for_it(tracking: Tracking) -> None:
    """Unknown at first, it is kept, asked again, and read once the message is there."""
    message = uuid4()
    first = tracking.report(told(ReceiptKind.DELIVERED, message))
    known = tracking.send()
    with tracking.flow.services.database.connection() as connection:
        for table, column in (("message", "id"), ("attempt", "message_id"), ("body", "message_id")):
            connection.execute(f"UPDATE {table} SET {column} = %s WHERE {column} = %s", [message, known])

    second = tracking.track()

    assert (first, second) == ({"unknown": 1}, {"delivered": 1})
    assert tracking.fates() == [("sent", "delivered", None)]


def test_what_names_no_message_of_ours_is_put_aside_after_a_day(tracking: Tracking) -> None:
    """It waits longer each time, is counted as unmatched then, and asked no more."""
    tracking.report(bounced(uuid4()))
    tracking.track()
    waits = tracking.flow.query("SELECT tries, due_at > now() FROM report")
    with tracking.flow.services.database.connection() as connection:
        connection.execute("UPDATE report SET received_at = now() - interval '25 hours'")

    last, after = tracking.track(), tracking.track()

    assert waits == [(2, True)]
    assert last == {"unknown": 1, "unmatched": 1}
    assert after == {}
    assert tracking.flow.query("SELECT waiting, unmatched FROM notifier_reports()") == [(0, 1)]


def test_the_same_report_again_changes_nothing(tracking: Tracking) -> None:
    """A provider that fires eighteen times makes one receipt, and one fallback (postal#768)."""
    message = tracking.send()
    receipt = bounced(message)

    for _ in range(18):
        tracking.report(receipt)

    assert tracking.flow.query("SELECT count(*) FROM receipt") == [(1,)]
    assert tracking.flow.query("SELECT channel FROM message ORDER BY id") == [("email",), ("sms",)]


def test_a_hard_bounce_suppresses_and_tells_by_the_next_channel(tracking: Tracking) -> None:
    """The customer hears by SMS; the next mail to the address is not tried; both say why (S5)."""
    message = tracking.send()

    tracking.report(bounced(message, text="550 5.1.1 no such user"))
    reopened = tracking.flow.states()
    tracking.flow.deliver()
    tracking.send("order.delivered")

    assert reopened == ["pending"]
    assert tracking.fates()[:2] == [("sent", "bounced", "hard: userunknown"), ("sent", None, None)]
    assert tracking.flow.states()[0] == "sent"
    assert tracking.suppressions() == [("hard_bounce", "*")]
    assert tracking.flow.messages()[2][:2] == ("email", "suppressed")
    assert "hard bounce: userunknown (5.1.1)" in str(tracking.flow.messages()[2][2])
    assert len(tracking.flow.smtp.received) == 1


@pytest.mark.parametrize(
    ("receipt", "entries"),
    [
        (bounced(bounce=BounceClass.BLOCK, reason="blocked"), []),
        (bounced(bounce=BounceClass.SOFT, reason="mailboxfull"), []),
        (told(ReceiptKind.REJECTED, reason="virus"), []),
        (bounced(recipient="member-of-a-list@example.org"), []),
        (told(ReceiptKind.COMPLAINED), [("complaint", "*")]),
        (told(ReceiptKind.UNSUBSCRIBED), [("unsubscribe", "orders")]),
        (told(ReceiptKind.AUTO_REPLIED), []),
        (told(ReceiptKind.OPENED), []),
    ],
)
def test_only_what_the_recipient_is_to_blame_for_suppresses(
    tracking: Tracking, receipt: Receipt, entries: list[tuple[str, str]]
) -> None:
    """A block is about us, a full mailbox passes, a list's member is another; a complaint and a wish count."""
    from dataclasses import replace

    message = tracking.send()

    tracking.report(replace(receipt, message=message))

    assert tracking.suppressions() == entries


def test_a_message_that_came_back_too_late_tells_nobody(tracking: Tracking) -> None:
    """After the deadline nobody is told by another channel; the notification says that it failed."""
    message = tracking.send()
    with tracking.flow.services.database.connection() as connection:
        connection.execute("UPDATE notification SET deadline = now() - interval '1 minute'")

    tracking.report(bounced(message))

    assert [row[0] for row in tracking.flow.messages()] == ["email"]
    assert tracking.flow.states() == ["failed"]


def test_nobody_is_told_again_who_was_told_since(tracking: Tracking) -> None:
    """A resend reached them: the first mail's bounce is no reason for an SMS."""
    message = tracking.send()
    with tracking.flow.services.database.connection() as connection:
        connection.execute(
            """INSERT INTO message (id, tenant, notification_id, event_id, type, subject, channel, lane, person_id,
                                    address_index, position, status, created_at)
               SELECT gen_random_uuid(), tenant, notification_id, event_id, type, subject, channel, lane,
                      person_id, address_index, position, 'sent', now() FROM message WHERE id = %s""",
            [message],
        )

    tracking.report(bounced(message, bounce=BounceClass.BLOCK))

    assert [row[0] for row in tracking.flow.messages()] == ["email", "email"]
    assert tracking.flow.states() == ["sent"]


def test_a_bounce_while_the_message_is_being_sent_is_read_after_it(tracking: Tracking) -> None:
    """Else the fallback would be lost: nobody reports it a second time."""
    message = tracking.send()
    with tracking.flow.services.database.connection() as connection:
        connection.execute(
            """INSERT INTO work (message_id, tenant, channel, lane, relay, state, is_sending, lease_until, due_at,
                                 expires_at)
               VALUES (%s, 'default', 'email', 'normal', 'default', 1, true, now() + interval '1 minute', now(),
                       now() + interval '1 day')""",
            [message],
        )
    during = tracking.report(bounced(message))
    with tracking.flow.services.database.connection() as connection:
        connection.execute("DELETE FROM work")

    after = tracking.track()

    assert during == {"unknown": 1}
    assert after == {"bounced": 1, "suppressed": 1}
    assert [row[0] for row in tracking.flow.messages()] == ["email", "sms"]


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (ReceiptKind.DELIVERED, "sent"),
        (ReceiptKind.OPENED, "sent"),
        (ReceiptKind.DEFERRED, "sent"),
        (ReceiptKind.SENT, "sent"),
        (ReceiptKind.REJECTED, "pending"),
    ],
)
def test_a_report_settles_what_nobody_knew(tracking: Tracking, kind: ReceiptKind, state: str) -> None:
    """A mail cut behind its last byte waits to be sent again; heard of meanwhile, it is not (law 5)."""
    tracking.flow.smtp.on(At.DOT, Say(""))
    message = tracking.send()
    before = tracking.flow.query("SELECT may_have_arrived FROM work")

    tracking.report(told(kind, message))

    assert before == [(True,)]
    assert tracking.flow.query("SELECT count(*) FROM work WHERE message_id = %s", message) == [(0,)]
    assert tracking.flow.messages()[0][1] == ("sent" if state == "sent" else "failed")
    assert tracking.flow.states() == [state]


@pytest.mark.parametrize("first", [ReceiptKind.REJECTED, ReceiptKind.SENT])
@pytest.mark.parametrize("type_", ["order.shipped", "order.delivered"])
def test_a_rejection_and_the_taking_over_settle_alike_in_either_order(
    tracking: Tracking, first: ReceiptKind, type_: str
) -> None:
    """Nobody knew of the message: whichever is told first, it was sent, rejected then, and told otherwise or not."""
    tracking.flow.smtp.on(At.DOT, Say(""))
    message = tracking.send(type_)
    told_of = [told(ReceiptKind.REJECTED, message, reason="virus"), told(ReceiptKind.SENT, message)]

    for one in sorted(told_of, key=lambda one: one.kind is not first):
        tracking.report(one)

    assert tracking.fates()[0] == ("sent", "rejected", "virus")
    assert tracking.flow.query("SELECT count(*) FROM work WHERE message_id = %s", message) == [(0,)]
    has_fallback = len(tracking.fates()) > 1
    ((state, reason),) = tracking.flow.query("SELECT state, state_reason FROM notification")
    words = "the provider rejected it: virus"
    assert (state, reason) == (("pending", f"{words}; now by sms") if has_fallback else ("failed", words))


@pytest.mark.parametrize("is_together", ["in one batch", "one by one"])
def test_of_two_bounces_the_first_says_since_when(tracking: Tracking, is_together: str) -> None:
    """In whatever order they are told, and in how many batches."""
    start = datetime.now(UTC) - timedelta(hours=1)
    sent = [tracking.send(subject=subject) for subject in ("A-1", "A-2")]
    reports = [bounced(one, at=start + timedelta(minutes=place)) for place, one in enumerate(sent)]

    if is_together == "in one batch":
        tracking.report(*reports)
    else:
        for one in reversed(reports):
            tracking.report(one)

    assert tracking.flow.query("SELECT since, message_id FROM suppression") == [(start, sent[0])]


def everything(message: UUID, start: datetime) -> list[Receipt]:
    """Return many reports of one message, some of which contradict each other."""
    kinds = [
        ReceiptKind.SENT, ReceiptKind.DEFERRED, ReceiptKind.DELIVERED, ReceiptKind.OPENED, ReceiptKind.COMPLAINED,
    ]  # fmt: skip
    plain = [
        told(kind, message, at=start + timedelta(seconds=place), key=f"{kind}{message}")
        for place, kind in enumerate(kinds)
    ]
    bounces = [
        bounced(
            message,
            bounce,
            at=start + timedelta(seconds=60 + place),
            key=f"{bounce}{message}",
            reason=bounce.value,
        )
        for place, bounce in enumerate(BounceClass)
    ]
    return plain + bounces


def test_the_same_reports_in_any_order_and_number_come_to_the_same(tracking: Tracking) -> None:
    """Four mails, the same reports of each shuffled, doubled and split into batches: one final state."""
    start = datetime.now(UTC) - timedelta(hours=1)
    chance = random.Random(7)
    for number in range(4):
        mail = {"name": "Ann", "email": f"ann{number}@example.org", "phone": f"+4917012345{number}0"}
        data = {**tracking.flow.services.catalog["order.shipped"].sample, "customer": mail}
        message = tracking.send(subject=f"A-{number}", data=data)
        reports = everything(message, start) * 2
        chance.shuffle(reports)
        for batch in _batched(reports, 1 + number * 5):
            tracking.report(*batch)
    tracking.flow.deliver()

    states = tracking.flow.query(
        """SELECT DISTINCT m.channel, m.status, m.fate, m.fate_at, m.fate_reason, n.state FROM message m
           JOIN notification n ON n.id = m.notification_id ORDER BY 1"""
    )
    entries = tracking.flow.query(
        "SELECT DISTINCT cause, scope, reason, since, until FROM suppression ORDER BY 1"
    )

    assert states == [
        ("email", "sent", Fate.COMPLAINED, start + timedelta(seconds=4), None, "sent"),
        ("sms", "sent", None, None, None, "sent"),
    ]
    assert [row[0] for row in entries] == ["complaint", "hard_bounce"]
    assert tracking.flow.query("SELECT count(*) FROM suppression") == [(8,)]
    assert tracking.flow.query("SELECT count(*) FROM message") == [(8,)]


def _batched(items: list[Receipt], size: int) -> list[list[Receipt]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def test_too_many_soft_bounces_in_a_row_rest_an_address_for_a_time(tracking: Tracking) -> None:
    """Five in a row with no delivery between; then nothing is sent, until the rest is over (postal#900, #560)."""
    messages = [tracking.send(subject=f"A-{number}") for number in range(5)]
    soft = [bounced(one, BounceClass.SOFT, reason="mailboxfull", status="5.2.2") for one in messages]

    tracking.report(*soft[:4])
    before = tracking.suppressions()
    tracking.report(soft[4])
    tracking.send("order.delivered")
    held = tracking.flow.messages()[-1]
    with tracking.flow.services.database.connection() as connection:
        connection.execute("UPDATE suppression SET until = now()")
    tracking.send(subject="A-9")

    assert before == []
    assert tracking.suppressions() == [("soft_bounces", "*")]
    assert held[:2] != ("email", "sent")
    assert tracking.flow.query("SELECT status FROM message WHERE subject = 'A-9'") == [("sent",)]


@pytest.mark.parametrize("has_receipt", [True, False])
def test_a_delivery_between_ends_the_row(tracking: Tracking, *, has_receipt: bool) -> None:
    """Reported, or one that did not come back though a later one did: counts are reset (listmonk#2770)."""
    messages = [tracking.send(subject=f"A-{number}") for number in range(6)]
    arrived = messages.pop(3)
    if has_receipt:
        tracking.report(told(ReceiptKind.DELIVERED, arrived))

    tracking.report(*(bounced(one, BounceClass.SOFT) for one in messages))

    assert tracking.suppressions() == []


def test_a_delivery_that_is_heard_of_late_lifts_the_rest(tracking: Tracking) -> None:
    """Had it been told in time, the address would never have rested."""
    messages = [tracking.send(subject=f"A-{number}") for number in range(6)]
    tracking.report(*(bounced(one, BounceClass.SOFT) for one in messages[:5]))
    before = tracking.suppressions()

    tracking.report(told(ReceiptKind.DELIVERED, messages[5]))

    assert (before, tracking.suppressions()) == ([("soft_bounces", "*")], [])


def test_one_report_that_cannot_be_processed_leaves_the_others_alone(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found among them, put aside and counted; what a newer release wrote is, too."""
    first, poison, last = (tracking.send(subject=f"A-{number}") for number in range(3))
    whole = tracking.flow.services.track._aftermath._row

    def stumble(report: MessageReport) -> ReceiptRow:
        if report.message.id == poison:
            raise ValueError("of our own making")
        return whole(report)

    monkeypatch.setattr(tracking.flow.services.track._aftermath, "_row", stumble)
    tracking.desk.hand_in(SOURCE, [told(ReceiptKind.DELIVERED, one) for one in (first, poison, last)])
    with tracking.flow.services.database.connection() as connection:
        connection.execute("INSERT INTO report (source, key, sealed) VALUES ('x', 'y', 'no seal')")

    tracking.track()

    assert [fate for _, fate, _ in tracking.fates()] == ["delivered", None, "delivered"]
    assert tracking.flow.query("SELECT failed FROM notifier_reports()") == [(2,)]


def test_what_was_said_is_kept_sealed_and_goes_with_the_person(
    make_flow: MakeFlow, tracking: Tracking
) -> None:
    """Nothing of the other side's words is stored in clear; the suppression survives the erasure."""
    from notifier.pipeline.people.erase import Eraser

    services = tracking.flow.services
    message = tracking.send()
    email = services.catalog["order.shipped"].sample["customer"]["email"]
    tracking.report(bounced(message, text=f"550 {email} unknown", recipient=email))
    (sealed,) = tracking.flow.query("SELECT sealed FROM receipt")[0]
    dump = repr(tracking.flow.query("SELECT r::text FROM receipt r"))

    Eraser(services.database, services.keyring, services.catalog).erase("default", email)
    later = tracking.report(bounced(message, text=f"550 {email} unknown", key="again"))

    assert sealed is not None
    assert email not in dump
    assert email.encode().hex() not in dump
    assert later == {"bounced": 1}
    assert tracking.flow.query("SELECT sealed IS NULL FROM receipt ORDER BY id") == [(False,), (True,)]
    assert tracking.flow.query("SELECT cause, address_index FROM suppression") == [
        ("hard_bounce", tracking.index(email))
    ]
