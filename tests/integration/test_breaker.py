"""A relay that fails is tried by one message at a time, and whoever answers nothing but trouble has failed (O7)."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest

from notifier.delivery.outcome import is_unwell
from notifier.errors import Fault, OutcomeUnknown, PermanentFailure, Phase, Reply, SendError, TemporaryFailure
from notifier.messages import ChannelName
from notifier.store import relays, sending, work
from tests.command import shipped
from tests.contracts.sms_server import Answer
from tests.contracts.smtp_server import At, Hang, Say, SmtpServer
from tests.services import Flow, MakeFlow
from tests.two_relays import ROUTES, down, look_again, orders, over, pass_time, recipients, waits_for

pytestmark = pytest.mark.servers

TROUBLE = Say("451 4.3.0 error: queue file write error")


def send(flow: Flow) -> dict[str, int]:
    """Send normal mail as one wake-up does."""
    return dict(flow.services.deliver.run(ChannelName.EMAIL, "normal").counts)


def trying(flow: Flow) -> None:
    """Let ``main`` have failed for long; its rest is over."""
    down(flow)
    flow.query("UPDATE relay_pause SET until = now() RETURNING 1")


def test_a_relay_that_refuses_all_at_mail_is_down_and_left(
    two: Flow, smtp: SmtpServer, backup: SmtpServer
) -> None:
    """It greets us as ever: nothing but its answers tells that it is ill. Few of the mails lose a try."""
    smtp.always(At.MAIL, TROUBLE)
    orders(two, *range(6))

    send(two)
    assert two.query("SELECT failures FROM relay_pause WHERE relay = 'main'") == [(1,)]
    assert sorted(two.query("SELECT attempt FROM work")) == [(0,)] * 4 + [(1,)] * 2
    pass_time(two, 31)
    send(two)
    two.services.sweep.run()
    assert waits_for(two) == ["backup"] * 6
    two.make_due()
    two.deliver()

    assert Counter(recipients(backup)) == Counter(f"c{n}@example.org" for n in range(6))
    assert smtp.received == []


def test_a_gateway_that_answers_503_rests(flow: Flow) -> None:
    """Each message would be refused; one a round finds out."""
    flow.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))
    flow.ingest(*(flow.sample("returns.approved", subject=f"r-{n}", id=f"r-{n}") for n in range(4)))
    for _ in range(4):
        flow.services.deliver.run(ChannelName.EMAIL, "normal")
    flow.sms.on(*[Answer(503, "{}")] * 9)

    for _ in range(3):
        flow.services.deliver.run(ChannelName.SMS, "normal")

    assert flow.sms.requests == 2
    assert flow.query("SELECT relay, failures FROM relay_pause") == [("sms", 1)]


def test_one_message_a_relay_stumbles_over_does_not_stop_the_others(two: Flow, smtp: SmtpServer) -> None:
    """It may be the message's own."""
    smtp.on(At.MAIL, TROUBLE)
    orders(two, *range(6))

    assert send(two)["sent"] == 5

    assert two.query("SELECT relay FROM relay_pause") == []


def test_one_message_tries_a_relay_however_many_workers_there_are(
    make_flow: MakeFlow, smtp: SmtpServer, backup: SmtpServer
) -> None:
    """It may hang: no other thread or process is to wait with it, and what waits behind it goes another way."""
    settings = over(smtp, backup, routes=ROUTES)
    settings["relays"]["main"]["login_timeout"] = "1s"
    flows = [make_flow(**settings) for _ in range(2)]
    smtp.always(At.GREETING, Hang())
    orders(flows[0], *range(8))
    trying(flows[0])

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(send, flow) for flow in (*flows, *flows)]
        for one in runs:
            one.result()

    assert smtp.connections == 1
    assert flows[0].query("SELECT failures, tried_until FROM relay_pause") == [(2, None)]
    assert flows[0].query("SELECT DISTINCT attempt, state FROM work") == [(0, 0)]


def test_what_waits_goes_another_way_while_a_message_tries_the_relay(two: Flow) -> None:
    """The try may take minutes; who holds it and dies lets others try after a while."""
    orders(two, *range(3))
    trying(two)
    with two.services.database.connection() as connection:
        minute = two.services.settings.tuning.claim_lease
        assert relays.begin_try(connection, "main", minute)
        assert not relays.begin_try(connection, "main", minute)

    look_again(two)
    two.services.sweep.run()
    assert waits_for(two) == ["backup"] * 3

    two.query("UPDATE relay_pause SET tried_until = now() RETURNING 1")
    with two.services.database.connection() as connection:
        assert relays.begin_try(connection, "main", minute)


@pytest.mark.parametrize("refusal", ["550 5.1.1 no such user", "552 5.2.2 mailbox full"])
def test_a_relay_that_judges_a_recipient_works(two: Flow, smtp: SmtpServer, refusal: str) -> None:
    """The mail that tried it found nobody there; the others need not wait."""
    orders(two, *range(3))
    smtp.on(At.RCPT, Say(refusal))
    trying(two)

    send(two)

    assert two.query("SELECT relay FROM relay_pause") == []
    assert len(smtp.received) == 2


def test_a_message_that_may_not_go_out_leaves_the_try_to_the_next(two: Flow, smtp: SmtpServer) -> None:
    """It told nothing of the relay."""
    orders(two, 1)
    two.query("UPDATE notification SET deadline = now() - interval '1 s' RETURNING 1")
    trying(two)

    send(two)

    assert two.query("SELECT tried_until FROM relay_pause") == [(None,)]
    assert smtp.connections == 0


def test_a_message_the_relay_is_not_even_shown_leaves_the_try_to_the_next(
    two: Flow, smtp: SmtpServer
) -> None:
    """Its address asks for SMTPUTF8, which the relay does not offer: that says nothing of why it failed."""
    two.ingest(shipped(two, "o-1", "zoë@example.org"))
    trying(two)

    send(two)

    assert two.query(
        "SELECT status, reason LIKE 'smtputf8-not-offered%%' FROM message WHERE channel = 'email'"
    ) == [("failed", True)]
    assert two.query("SELECT relay, tried_until FROM relay_pause") == [("main", None)]
    assert smtp.connections == 1


def test_where_all_is_urgent_a_relay_is_tried_after_a_minute(two: Flow) -> None:
    """Else it would never be used again: nobody else comes to try it."""
    down(two)
    pass_time(two, 90)
    orders(two, 1, urgency="urgent")
    pass_time(two, 60)

    orders(two, 2, urgency="urgent")
    orders(two, 3, urgency="urgent")

    assert waits_for(two) == ["backup", "main", "backup"]


def test_a_relay_that_admits_so_many_sessions_gets_no_more_and_goes_on(two: Flow, smtp: SmtpServer) -> None:
    """One too many is no failure of the relay: those that are open take the mail."""
    orders(two, 1)
    send(two)
    orders(two, 2)
    smtp.always(At.GREETING, Say("421 4.7.0 too many concurrent SMTP connections", then_close=True))

    with two.services.flows.place("main") as held:
        assert held is not None
        held.session()
        assert send(two) == {"released": 1}
        assert two.query("SELECT relay FROM relay_pause") == []
        assert two.query("SELECT attempt, state FROM work") == [(0, 0)]
        with two.services.flows.place("main") as more:
            assert more is None

    assert send(two) == {"sent": 1}


@pytest.mark.parametrize(("lease", "is_crowded"), [(60, True), (0, False)])
def test_a_relay_whose_sessions_other_processes_have_rests_for_none_of_them(
    two: Flow, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch, lease: int, *, is_crowded: bool
) -> None:
    """They go on, and who has no session tries again a little later; of the dead nobody believes that they send."""
    orders(two, 1)
    with two.services.database.connection() as connection:
        (other,) = work.claim(
            connection,
            relay="main",
            channel="email",
            lane="normal",
            limit=1,
            token=uuid4(),
            lease=timedelta(minutes=1),
        )
        assert sending.mark_sending(connection, other, timedelta(seconds=lease))
    orders(two, 2)
    greeting = Say("421 4.7.0 too many concurrent SMTP connections", then_close=True)
    smtp.on(At.GREETING, greeting)

    assert send(two) == {"released": 1}
    rests = two.query("SELECT relay FROM relay_pause")
    with two.services.flows.place("main") as place:
        assert (place is None, rests) == (is_crowded, [] if is_crowded else [("main",)])
    monkeypatch.setattr(two.services.flows._pools["main"], "_until", 0.0)

    assert send(two) == ({"sent": 1} if is_crowded else {})


def test_a_relay_that_admits_no_session_at_all_rests(two: Flow, smtp: SmtpServer) -> None:
    """There is none that could go on."""
    orders(two, 1)
    smtp.always(At.GREETING, Say("421 4.7.0 too many concurrent SMTP connections", then_close=True))

    send(two)

    assert two.query("SELECT relay FROM relay_pause") == [("main",)]


def failure(
    kind: type[SendError], phase: Phase, fault: Fault = Fault.PROVIDER, reason: str = "provider"
) -> SendError:
    """Return a failure."""
    return kind("words", fault=fault, reply=Reply(phase=phase), reason=reason)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (failure(TemporaryFailure, Phase.MAIL), True),
        (failure(TemporaryFailure, Phase.REQUEST), True),
        (failure(TemporaryFailure, Phase.RCPT), False),
        (failure(TemporaryFailure, Phase.DOT), False),
        (failure(TemporaryFailure, Phase.MAIL, reason="greylisted"), False),
        (failure(TemporaryFailure, Phase.MAIL, Fault.RATE), False),
        (failure(PermanentFailure, Phase.REQUEST), False),
        (failure(OutcomeUnknown, Phase.REQUEST), False),
    ],
)
def test_only_what_is_said_to_every_message_is_the_relays_own_trouble(
    said: SendError, *, expected: bool
) -> None:
    """What is said of a recipient, a mail or a pace is not."""
    assert is_unwell(said) is expected
