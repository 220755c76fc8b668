"""An SMS gateway that misbehaves: what is on record, who has the next turn, and that nobody else waits (S5).

Two people are on call and are texted first; the operators get a mail about the same event meanwhile.
"""

import socket
import threading
from collections import Counter

import pytest

from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.reports.history import MessageHistory
from notifier.reports.timeline import tried
from tests.contracts.sms_server import Act, Answer, HangUp, Silence, SmsServer, error
from tests.integration.stories import (
    HURRY,
    PATIENCE,
    Story,
    go_on,
    hit_and_others,
    notifier_with,
    stories,
)
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

ANN, BEN = "+4930123401", "+4930123402"
ON_CALL = [{"email": "ann@notifier.example", "phone": ANN}, {"email": "ben@notifier.example", "phone": BEN}]


def gateway(make_flow: MakeFlow, sms: SmsServer, *, attempts: int = 40, **changes: object) -> Flow:
    """Make a notifier that texts over this gateway, patiently where nothing else is said."""
    settings = {
        "base_url": sms.url, "account_sid": sms.account, "auth_token": sms.token, "sender": "+15005550006",
        "connect_timeout": PATIENCE, "read_timeout": PATIENCE,
    }  # fmt: skip
    delivery = {"urgent": {"attempts": attempts}}
    return notifier_with(make_flow, on_call=ON_CALL, sms={**settings, **changes}, delivery=delivery)


def texts(flow: Flow) -> list[Story]:
    """Return the story of each person on call."""
    return stories(flow, "login.repeated_failures", ChannelName.SMS)


def deliver_beside(flow: Flow, silent: SmsServer | None = None) -> None:
    """Text both people and, while the gateway is silent or after it failed, mail the operators."""
    flow.ingest(flow.sample("login.repeated_failures"), lane=Urgency.URGENT)
    texting = threading.Thread(target=flow.services.deliver.run, args=(ChannelName.SMS, "urgent"))
    texting.start()
    if silent is not None:
        assert silent.silent.wait(30)
    else:
        texting.join()

    flow.services.deliver.run(ChannelName.EMAIL, "urgent")

    assert "operators@notifier.example" in [mail.recipient for mail in flow.smtp.received]
    assert texting.is_alive() == (silent is not None)
    texting.join()


def assert_both_are_texted(flow: Flow, hit: MessageHistory, *, twice: bool) -> None:
    """Once the gateway behaves both texts go out, and nobody is mailed instead."""
    go_on(flow)

    assert Counter(text["To"] for text in flow.sms.received) == Counter([ANN, BEN] + [hit.to] * twice)
    again, (other,) = hit_and_others(texts(flow))
    assert (again.id, again.status, other.status) == (hit.id, "sent", "sent")
    assert [[one.outcome for one in message.tries][-1:] for message in (again, other)] == [["sent"]] * 2
    assert len(other.tries) == 1
    assert flow.query("SELECT DISTINCT state FROM notification") == [("sent",)]
    assert flow.query("SELECT count(*) FROM relay_pause") == [(0,)]
    assert len(flow.smtp.received) == 1


@pytest.mark.parametrize(
    ("act", "code", "said"),
    [
        (Answer(500), 500, "500 [provider]"),
        (Answer(500, "<html>oops</html>"), 500, "500 [provider]"),
        (error(500, 20500, "Internal Server Error"), 500, "500 20500 Internal Server Error"),
        (error(503, 20503, "Service Unavailable"), 503, "503 20503 Service Unavailable"),
    ],
)
def test_a_gateway_in_trouble_delays_that_text_only(
    make_flow: MakeFlow, sms: SmsServer, act: Act, code: int, said: str
) -> None:
    """It said that it did not take this one: one try is charged, the other text goes out at once."""
    sms.on(act)
    flow = gateway(make_flow, sms)

    deliver_beside(flow)

    hit, (other,) = hit_and_others(texts(flow))
    (one,) = hit.tries
    assert (one.phase, one.outcome, one.reason, one.code) == ("request", "deferred", "provider", code)
    assert "over sms at request" in tried(one)
    assert said in tried(one)
    assert hit.status == "deferred"
    assert f"provider at request ({code}" in (hit.reason or "")
    assert hit.waiting is not None
    assert (hit.waiting.state, hit.waiting.attempts, hit.waiting.rests_because) == ("ready", 1, None)
    assert other.status == "sent"
    assert_both_are_texted(flow, hit, twice=False)


@pytest.mark.parametrize(
    ("act", "code", "reason"),
    [
        (Answer(201, "garbage"), 201, "protocol"),
        (Answer(200, "<html>sign in</html>"), 200, "protocol"),
        (Answer(201, '["SM1"]'), 201, "protocol"),
        (Answer(201, '{"status": "queued"}'), 201, "protocol"),
        (Answer(201, '{"sid": "'), 201, "protocol"),
        (Answer(504), 504, "gateway-timeout"),
        (Silence(), None, "timeout"),
        (HangUp(), None, "RemoteProtocolError"),
    ],
)
def test_a_gateway_that_does_not_say_what_it_did_leaves_an_unknown_and_rests(
    make_flow: MakeFlow, sms: SmsServer, act: Act, code: int | None, reason: str
) -> None:
    """It may have been taken: that text is charged the try and sent again; the other waits uncharged."""
    sms.on(act)
    is_silent = isinstance(act, Silence)
    flow = gateway(make_flow, sms, read_timeout=HURRY if is_silent else PATIENCE)

    deliver_beside(flow, sms if is_silent else None)

    hit, (other,) = hit_and_others(texts(flow))
    (one,) = hit.tries
    assert (one.phase, one.outcome, one.reason, one.code) == ("request", "unknown", reason, code)
    assert "over sms at request" in tried(one)
    assert f"{code or 'no answer'} [{reason}]" in tried(one)
    assert hit.status == "deferred"
    assert "it may have arrived" in (hit.reason or "")
    for text, attempts in ((hit, 1), (other, 0)):
        assert text.waiting is not None
        assert (text.waiting.state, text.waiting.attempts) == ("ready", attempts)
        assert f"{reason} at request" in (text.waiting.rests_because or "")
    assert other.tries == ()
    after = gateway(make_flow, sms) if is_silent else flow
    assert_both_are_texted(after, hit, twice=code != 504)


def ended(flow: Flow) -> tuple[Story, Story]:
    """Return Ann's story and Ben's, once nothing waits any more."""
    go_on(flow)
    by_phone = {messages[0].to: messages for messages in texts(flow)}
    return by_phone[ANN], by_phone[BEN]


def test_a_text_whose_tries_are_used_up_becomes_a_mail(make_flow: MakeFlow, sms: SmsServer) -> None:
    """The gateway never takes Ann's number: after the last try her mail goes out, and Ben noticed nothing."""
    sms.for_number(ANN, error(500, 20500, "Internal Server Error"))
    flow = gateway(make_flow, sms, attempts=3)

    deliver_beside(flow)
    (text, mail), (other,) = ended(flow)

    assert [one.outcome for one in text.tries] == ["deferred"] * 3
    assert (text.status, text.reason) == (
        "failed", "provider at request (500 20500), and all 3 tries are used up",
    )  # fmt: skip
    assert (mail.channel, mail.status, mail.to) == ("email", "sent", "ann@notifier.example")
    assert (other.status, [one.outcome for one in other.tries]) == ("sent", ["sent"])
    assert flow.query("SELECT DISTINCT state FROM notification") == [("sent",)]


def test_a_text_that_would_come_too_late_becomes_a_mail_at_once(make_flow: MakeFlow, sms: SmsServer) -> None:
    """The gateway asks for ten minutes, the rule gives SMS five: waiting for it would help nobody."""
    sms.for_number(ANN, Answer(503, "", {"Retry-After": "600"}))
    flow = gateway(make_flow, sms)

    deliver_beside(flow)
    (text, mail), (other,) = ended(flow)

    assert (text.status, len(text.tries)) == ("expired", 1)
    assert (
        text.reason == "provider at request (503), and the next try would come after the time of this channel"
    )
    assert (mail.channel, mail.status, other.status) == ("email", "sent", "sent")


def test_a_text_whose_time_is_over_becomes_a_mail_while_the_gateway_is_in_trouble(
    make_flow: MakeFlow, sms: SmsServer
) -> None:
    """Between two tries the five minutes end: the sweep hands over, whatever the next try would bring."""
    sms.for_number(ANN, Answer(500))
    flow = gateway(make_flow, sms)
    deliver_beside(flow)
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET expires_at = now() - interval '1 second'")

    flow.services.sweep.run()
    (text, mail), (other,) = ended(flow)

    assert (text.status, text.reason) == ("expired", "its time on this channel was over")
    assert [one.outcome for one in text.tries] == ["deferred"]
    assert (mail.channel, mail.status, other.status) == ("email", "sent", "sent")


def test_a_text_that_may_have_arrived_waits_on_although_its_time_on_the_channel_is_over(
    make_flow: MakeFlow, sms: SmsServer
) -> None:
    """The sweep hands on what waits too long: this one could be told twice, and stays where it is."""
    sms.for_number(ANN, Answer(201, "garbage"))
    flow = gateway(make_flow, sms)
    deliver_beside(flow)
    before = flow.query("SELECT deadline FROM notification ORDER BY id")
    after = flow.query("SELECT expires_at FROM work WHERE may_have_arrived")

    flow.services.sweep.run()

    by_phone = {messages[0].to: messages for messages in texts(flow)}
    (text,) = by_phone[ANN]
    assert (text.status, [one.outcome for one in text.tries]) == ("deferred", ["unknown"])
    assert len(after) == 1
    assert after[0] in before


def test_a_text_that_may_have_arrived_is_never_told_again_elsewhere(
    make_flow: MakeFlow, sms: SmsServer
) -> None:
    """No answer ever says what became of it: it ends as unknown after the last try, and no mail doubles it."""
    sms.for_number(ANN, Answer(201, "garbage"))
    flow = gateway(make_flow, sms, attempts=2)

    deliver_beside(flow)
    (text,), (other,) = ended(flow)

    assert [(one.outcome, one.code) for one in text.tries] == [("unknown", 201)] * 2
    assert text.status == "unknown"
    assert "it may have arrived; no try is left" in (text.reason or "")
    assert other.status == "sent"
    assert sorted(row[0] for row in flow.query("SELECT state FROM notification")) == [
        "sent",
        "sent",
        "unknown",
    ]


def test_a_gateway_nobody_can_connect_to_rests(make_flow: MakeFlow, sms: SmsServer) -> None:
    """Nothing was sent: one text found out, the other waits uncharged, and both go out once it is back."""
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    flow = gateway(make_flow, sms, base_url=f"http://127.0.0.1:{port}")

    deliver_beside(flow)

    hit, (other,) = hit_and_others(texts(flow))
    (one,) = hit.tries
    assert (one.phase, one.outcome, one.reason, one.code) == ("connect", "deferred", "unreachable", None)
    assert hit.status == "deferred"
    assert "unreachable at connect" in (hit.reason or "")
    assert other.tries == ()
    assert hit.waiting is not None
    assert other.waiting is not None
    assert (hit.waiting.attempts, other.waiting.attempts) == (0, 0)
    assert "unreachable at connect" in (other.waiting.rests_because or "")
    with SmsServer(port=port) as back:
        flow.sms = back
        assert_both_are_texted(flow, hit, twice=False)


def test_a_wrong_token_rests_the_gateway_until_it_is_mended(make_flow: MakeFlow, sms: SmsServer) -> None:
    """Our fault: neither text is blamed or becomes a mail, nobody is suppressed, and it is not asked again."""
    wrong = gateway(make_flow, sms, auth_token="a-wrong-word")

    deliver_beside(wrong)
    wrong.services.deliver.run(ChannelName.SMS, "urgent")

    hit, (other,) = hit_and_others(texts(wrong))
    (one,) = hit.tries
    assert (one.phase, one.outcome, one.reason, one.code) == ("request", "failed", "credentials", 401)
    assert "401 20003 Authenticate" in tried(one)
    assert other.tries == ()
    for text in (hit, other):
        assert text.waiting is not None
        assert (text.waiting.state, text.waiting.attempts) == ("ready", 0)
        assert "credentials at request (401 20003)" in (text.waiting.rests_because or "")
    assert wrong.query("SELECT count(*) FROM suppression") == [(0,)]
    assert_both_are_texted(gateway(make_flow, sms), hit, twice=False)
