"""A relay that misbehaves, at each step of the dialogue: what is on record, and that nobody else waits (S5).

Three orders go over a bad relay with TLS and login; meanwhile an urgent event goes by mail over a relay of
its own and by SMS. Each order has a customer of its own, so that the story of each can be told apart.
"""

import base64
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from notifier.events import LANES, Urgency
from notifier.messages import ChannelName
from notifier.reports.history import MessageHistory
from notifier.reports.timeline import tried
from tests.command import shipped
from tests.contracts.certificate import write_certificate
from tests.contracts.smtp_server import Act, At, Close, Hang, Reset, Say, SmtpServer
from tests.integration.stories import (
    HURRY,
    Story,
    go_on,
    hit_and_others,
    message_ids,
    notifier_with,
    smtp_relay,
    stories,
)
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

CUSTOMERS = ("ann@example.org", "ben@example.org", "cem@example.org")
PHASES = {
    At.GREETING: "greeting", At.EHLO: "ehlo", At.STARTTLS: "tls", At.HANDSHAKE: "tls", At.AUTH: "auth",
    At.MAIL: "mail", At.RCPT: "rcpt", At.DATA: "data", At.DOT: "dot",
}  # fmt: skip
HURRIED = {
    At.MAIL: "command_timeout", At.RCPT: "command_timeout", At.DATA: "command_timeout",
    At.BODY: "data_timeout", At.DOT: "dot_timeout",
}  # fmt: skip
"""The limit that ends a wait at this step; before MAIL there is one for all of the login."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A notifier whose normal mail goes over the bad relay and whose urgent mail goes over a good one."""

    bad: SmtpServer
    make: Callable[..., Flow]
    """Make a notifier; settings of the bad relay may differ from those of a patient one."""

    def waiting(self, act: Act, at: At) -> Flow:
        """Return a notifier in a hurry where the relay is going to hang, a patient one else."""
        hurry = {HURRIED.get(at, "login_timeout"): HURRY} if isinstance(act, Hang) else {}
        return self.make(**hurry)

    def after(self, flow: Flow, act: Act) -> Flow:
        """Return the notifier that goes on: a hurried one could lose its patience with a good relay."""
        return self.make() if isinstance(act, Hang) else flow


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the bad relay."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def bad(certificate: Path) -> Iterator[SmtpServer]:
    """The relay that is going to misbehave; it wants TLS and a login."""
    with SmtpServer(tls="starttls", certificate=certificate, users={"shop": "right"}) as server:
        yield server


@pytest.fixture
def scene(make_flow: MakeFlow, bad: SmtpServer, smtp: SmtpServer, certificate: Path) -> Scene:
    """The two relays and the gateway."""
    login = {"security": "starttls", "ca_file": certificate, "username": "shop", "password": "right"}
    return Scene(bad, lambda **changes: two_relays(make_flow, bad.port, smtp, **login, **changes))


def two_relays(make_flow: MakeFlow, port: int, good: SmtpServer, **changes: object) -> Flow:
    """Make a notifier whose urgent mail has a relay of its own, and whom the people on call can be texted."""
    return notifier_with(
        make_flow,
        on_call=[{"email": "on-call@notifier.example", "phone": "+4930123401"}],
        relays={"default": smtp_relay(port, **changes), "fast": smtp_relay(good.port)},
        urgent_relay="fast",
    )


def deliver_beside(flow: Flow, bad: SmtpServer | None = None) -> None:
    """Send three orders over the bad relay and, while that hangs or after it failed, an urgent event."""
    flow.ingest(*(shipped(flow, f"O-{n}", customer) for n, customer in enumerate(CUSTOMERS)))
    normal = threading.Thread(target=flow.services.deliver.run, args=(ChannelName.EMAIL, "normal"))
    normal.start()
    if bad is not None:
        assert bad.hanging.wait(30)
    else:
        normal.join()

    flow.ingest(flow.sample("login.repeated_failures"), lane=Urgency.URGENT)
    flow.services.deliver.run(ChannelName.EMAIL, "urgent")
    flow.services.deliver.run(ChannelName.SMS, "urgent")

    assert [mail.recipient for mail in flow.smtp.received] == ["operators@notifier.example"]
    assert [text["To"] for text in flow.sms.received] == ["+4930123401"]
    assert normal.is_alive() == (bad is not None)
    normal.join()


def orders(flow: Flow) -> list[Story]:
    """Return the story of each order."""
    return stories(flow, "order.shipped", ChannelName.EMAIL)


def hung(act: Act, server: SmtpServer) -> SmtpServer | None:
    """Return the server to wait for where the act is to hang."""
    return server if isinstance(act, Hang) else None


def assert_all_arrive(flow: Flow, server: SmtpServer, hit: MessageHistory, *, twice: bool = False) -> None:
    """Everything goes out once the relay behaves: the mail that was hit at its second try, others at the first."""
    go_on(flow)

    arrived = Counter(mail.recipient for mail in server.received)
    assert arrived == Counter(CUSTOMERS) + Counter([hit.to] if twice else [])
    assert message_ids(server, hit.to) == {hit.message_id}
    again, others = hit_and_others(orders(flow))
    assert (again.id, again.status) == (hit.id, "sent")
    assert [one.outcome for one in again.tries[1:]] == ["sent"]
    assert [[one.outcome for one in other.tries] for other in others] == [["sent"], ["sent"]]
    assert flow.query("SELECT DISTINCT state FROM notification") == [("sent",)]
    assert flow.query("SELECT count(*) FROM relay_pause") == [(0,)]
    assert len(flow.sms.received) == 1  # the urgent one: nobody was sent to the next channel


def assert_rests(flow: Flow, phase: str, reason: str, said: str) -> MessageHistory:
    """Nobody is charged a try, all wait for the relay, and the log says at which step it said what."""
    hit, others = hit_and_others(orders(flow))
    (one,) = hit.tries
    assert (one.phase, one.reason) == (phase, reason)
    assert said in tried(one)
    assert f"over default at {phase}" in tried(one)
    assert hit.status == "deferred"
    assert f"at {phase}" in (hit.reason or "")
    for mail in (hit, *others):
        assert mail.waiting is not None
        assert (mail.waiting.state, mail.waiting.attempts) == ("ready", 0)
        assert f"{reason} at {phase}" in (mail.waiting.rests_because or "")
    assert [other.status for other in others] == ["queued", "queued"]
    return hit


@pytest.mark.parametrize(
    ("at", "act", "reason", "said"),
    [
        (At.GREETING, Say("421 4.3.2 too busy"), "service-unavailable", "421 4.3.2 too busy"),
        (At.GREETING, Say("554 5.7.1 not you"), "refused-connection", "554 5.7.1 not you"),
        (At.GREETING, Hang(), "timeout", "no answer"),
        (At.GREETING, Close(), "disconnected", "no answer"),
        (At.GREETING, Reset(), "disconnected", "no answer"),
        (At.EHLO, Say("451 4.3.0 not now"), "transient", "451 4.3.0 not now"),
        (At.EHLO, Say("550 5.7.1 bad name"), "refused-connection", "550 5.7.1 bad name"),
        (At.EHLO, Hang(), "timeout", "no answer"),
        (At.EHLO, Close(), "disconnected", "no answer"),
        (At.STARTTLS, Say("454 4.7.0 no TLS now"), "tls-refused", "454 4.7.0 no TLS now"),
        (At.STARTTLS, Say("502 5.5.1 no TLS ever"), "tls-refused", "502 5.5.1 no TLS ever"),
        (At.STARTTLS, Hang(), "timeout", "no answer"),
        (At.STARTTLS, Close(), "disconnected", "no answer"),
        (At.HANDSHAKE, Hang(), "timeout", "no answer"),
        (At.HANDSHAKE, Close(), "tls-handshake", "no answer"),
        (At.AUTH, Say("454 4.7.0 later"), "auth-unavailable", "454 4.7.0 later"),
        (At.AUTH, Say("535 5.7.8 who are you"), "credentials", "535 5.7.8 who are you"),
        (At.AUTH, Hang(), "timeout", "no answer"),
        (At.AUTH, Close(), "disconnected", "no answer"),
        (At.MAIL, Say("550 5.1.0 not from you"), "sender-refused", "550 5.1.0 not from you"),
    ],
)
def test_a_relay_that_does_not_let_us_in_rests_and_no_mail_is_blamed(
    scene: Scene, at: At, act: Act, reason: str, said: str
) -> None:
    """Before a recipient is named every mail would meet the same: all wait, none loses a try, none falls back."""
    scene.bad.on(at, act)
    flow = scene.waiting(act, at)

    deliver_beside(flow, hung(act, scene.bad))

    hit = assert_rests(flow, PHASES[at], reason, said)
    assert scene.bad.received == []
    assert_all_arrive(scene.after(flow, act), scene.bad, hit)


@pytest.mark.parametrize(
    ("at", "yes", "phase", "reason"),
    [
        (At.GREETING, "220 test.example", "ehlo", "disconnected"),
        (At.EHLO, "250-test.example\r\n250 STARTTLS", "tls", "disconnected"),
        (At.STARTTLS, "220 2.0.0 go ahead", "tls", "tls-handshake"),
    ],
)
def test_a_relay_that_says_yes_and_hangs_up_rests_too(
    scene: Scene, at: At, yes: str, phase: str, reason: str
) -> None:
    """The step that got no answer is named, not the one before it, which went well."""
    scene.bad.on(at, Say(yes, then_close=True))
    flow = scene.make()

    deliver_beside(flow)

    assert_all_arrive(flow, scene.bad, assert_rests(flow, phase, reason, "no answer"))


@pytest.mark.parametrize("is_silent", [False, True], ids=["refused", "silent"])
def test_a_relay_nobody_can_connect_to_rests(make_flow: MakeFlow, smtp: SmtpServer, is_silent: bool) -> None:  # noqa: FBT001
    """A closed port answers at once, a full or firewalled one never: the step is ``connect`` both times."""
    with ExitStack() as opened:
        port = opened.enter_context(unconnectable(is_silent=is_silent))
        flow = two_relays(make_flow, port, smtp, connect_timeout=HURRY)
        started = time.monotonic()

        deliver_beside(flow)

        assert time.monotonic() - started < 8
        hit = assert_rests(flow, "connect", "timeout" if is_silent else "unreachable", "no answer")
        opened.close()
        with SmtpServer(port=port) as back:
            assert_all_arrive(two_relays(make_flow, port, smtp), back, hit)


class unconnectable(ExitStack):  # noqa: N801 - reads as the context it is
    """A port on which nobody listens, or whose queue is full so that no connection is ever made."""

    def __init__(self, *, is_silent: bool) -> None:
        super().__init__()
        self._is_silent = is_silent

    def __enter__(self) -> int:  # type: ignore[override]
        listener = self.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listener.getsockname()[1]
        if not self._is_silent:
            self.close()
            return port
        for _ in range(3):
            filler = self.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        return port


@pytest.mark.parametrize(
    ("at", "answer", "reason"),
    [
        (At.MAIL, "451 4.3.0 disk trouble", "transient"),
        (At.RCPT, "450 4.2.0 mailbox busy", "transient"),
        (At.DATA, "451 4.3.0 disk trouble", "transient"),
        (At.DOT, "451 4.6.0 cannot look inside", "transient"),
    ],
)
def test_a_refusal_for_now_delays_that_mail_only(scene: Scene, at: At, answer: str, reason: str) -> None:
    """One try is charged to one mail; the others of its chunk go out at once over the same connection."""
    scene.bad.on(at, Say(answer))
    flow = scene.make()

    deliver_beside(flow)

    hit, others = hit_and_others(orders(flow))
    (one,) = hit.tries
    assert (one.phase, one.outcome, one.reason) == (PHASES[at], "deferred", reason)
    assert f"at {PHASES[at]}" in tried(one)
    assert answer in tried(one)
    assert hit.status == "deferred"
    assert f"{reason} at {PHASES[at]} ({answer[:9]}): again in" in (hit.reason or "")
    assert hit.waiting is not None
    assert (hit.waiting.state, hit.waiting.attempts, hit.waiting.rests_because) == ("ready", 1, None)
    assert [other.status for other in others] == ["sent", "sent"]
    assert_all_arrive(flow, scene.bad, hit)


@pytest.mark.parametrize(
    ("at", "answer", "reason"),
    [
        (At.RCPT, "550 5.1.1 nobody here", "unknown-recipient"),
        (At.DATA, "554 5.5.0 no", "content-refused"),
        (At.DOT, "554 5.6.0 not this", "content"),
    ],
)
def test_a_refusal_for_good_sends_that_message_to_the_next_channel(
    scene: Scene, at: At, answer: str, reason: str
) -> None:
    """The mail ends with the server's words, its SMS follows; the other mails go out at once."""
    scene.bad.on(at, Say(answer))
    flow = scene.make()

    deliver_beside(flow)

    hit, others = hit_and_others(orders(flow))
    (one,) = hit.tries
    assert (one.phase, one.outcome, one.reason) == (PHASES[at], "failed", reason)
    assert answer in tried(one)
    assert (hit.status, hit.waiting) == ("failed", None)
    assert hit.reason == f"{reason} at {PHASES[at]} ({answer[:9]}), for good"
    assert [other.status for other in others] == ["sent", "sent"]
    go_on(flow)
    assert sorted(mail.recipient for mail in scene.bad.received) == sorted({*CUSTOMERS} - {hit.to})
    (text,) = [messages[1] for messages in orders(flow) if len(messages) > 1]
    assert (text.channel, text.status, [one.code for one in text.tries]) == ("sms", "sent", [201])
    assert flow.query("SELECT count(*) FROM relay_pause") == [(0,)]


@pytest.mark.parametrize(
    ("at", "act", "seen"),
    [
        (At.AUTH, Say("235 2.7.0 welcome", then_close=True), ("mail", "deferred", "disconnected")),
        (At.MAIL, Hang(), ("mail", "deferred", "timeout")),
        (At.MAIL, Close(), ("mail", "deferred", "disconnected")),
        (At.MAIL, Say("250 2.1.0 ok", then_close=True), ("rcpt", "deferred", "disconnected")),
        (At.RCPT, Hang(), ("rcpt", "deferred", "timeout")),
        (At.RCPT, Close(), ("rcpt", "deferred", "disconnected")),
        (At.RCPT, Say("250 2.1.5 ok", then_close=True), ("data", "deferred", "disconnected")),
        (At.DATA, Hang(), ("data", "deferred", "timeout")),
        (At.DATA, Close(), ("data", "deferred", "disconnected")),
        # A short mail is with the kernel, dot and all, before the cut shows: nobody knows who read it.
        (At.BODY, Close(), ("dot", "unknown", "disconnected")),
        (At.DOT, Hang(), ("dot", "unknown", "timeout")),
        (At.DOT, Close(), ("dot", "unknown", "disconnected")),
        (At.DOT, Reset(), ("dot", "unknown", "disconnected")),
    ],
)
def test_a_cut_within_a_mail_costs_that_mail_a_try_and_no_other(
    scene: Scene, at: At, act: Act, seen: tuple[str, str, str]
) -> None:
    """Before the final dot nothing arrived; behind it the mail may have: sent again under the same Message-ID."""
    scene.bad.on(at, act)
    flow = scene.waiting(act, at)

    deliver_beside(flow, hung(act, scene.bad))

    hit, others = hit_and_others(orders(flow))
    assert_cut(hit, *seen)
    for other in others:
        assert other.tries == ()
        assert other.waiting is not None
        assert (other.waiting.state, other.waiting.attempts) == ("ready", 0)
        assert f"{seen[2]} at {seen[0]}" in (other.waiting.rests_because or "")
    assert_all_arrive(scene.after(flow, act), scene.bad, hit, twice=at is At.DOT)


def assert_cut(mail: MessageHistory, phase: str, outcome: str, reason: str) -> None:
    """The mail waits for another try, was charged this one, and its story says where the line was cut."""
    (one,) = mail.tries
    assert (one.phase, one.outcome, one.reason, one.code) == (phase, outcome, reason, None)
    assert f"at {phase}" in tried(one)
    assert f"no answer [{reason}]" in tried(one)
    assert mail.status == "deferred"
    assert ("it may have arrived" if outcome == "unknown" else f"{reason} at {phase}") in (mail.reason or "")
    assert mail.waiting is not None
    assert (mail.waiting.state, mail.waiting.attempts) == ("ready", 1)


def test_a_relay_that_shuts_down_costs_one_mail_a_try(scene: Scene) -> None:
    """It says 421 to one mail and is gone: the next, already marked as being sent, gets its try back."""
    scene.bad.on(At.RCPT, Say("421 4.3.2 shutting down", then_close=True))
    scene.bad.on(At.GREETING, Say("220 test.example"), Close())
    flow = scene.make()

    deliver_beside(flow)

    told = [messages[0] for messages in orders(flow)]
    tries = sorted((one.phase, one.outcome, one.reason) for mail in told for one in mail.tries)
    assert tries == [("greeting", "deferred", "disconnected"), ("rcpt", "deferred", "service-unavailable")]
    charged = {mail.tries[0].phase if mail.tries else None: mail.waiting for mail in told}
    assert {phase: waits.attempts for phase, waits in charged.items() if waits is not None} == {
        "rcpt": 1, "greeting": 0, None: 0,
    }  # fmt: skip
    go_on(flow)
    assert sorted(mail.recipient for mail in scene.bad.received) == sorted(CUSTOMERS)


def test_a_relay_that_hangs_up_after_each_mail_costs_nobody_a_try(scene: Scene) -> None:
    """It said 250 before: the mail is sent, and the next one goes over a new connection."""
    scene.bad.always(At.DOT, Say("250 2.0.0 Ok: queued as 1", then_close=True))
    flow = scene.make()

    deliver_beside(flow)

    assert [[one.outcome for one in messages[0].tries] for messages in orders(flow)] == [["sent"]] * 3
    assert sorted(mail.recipient for mail in scene.bad.received) == sorted(CUSTOMERS)
    assert flow.query("SELECT count(*) FROM work") == [(0,)]


@pytest.mark.parametrize(
    ("act", "code", "reason"),
    [
        (Close(), None, "disconnected"),
        (Hang(), None, "timeout"),
        (Say("452 4.3.1 disk full", then_close=True), 452, "transient"),
    ],
)
def test_a_cut_in_the_midst_of_a_long_mail_is_known_not_to_have_delivered_it(
    make_flow: MakeFlow, smtp: SmtpServer, act: Act, code: int | None, reason: str
) -> None:
    """The kernel could not take all of it, so the final dot never left: temporary at DATA, and no doubt."""
    with SmtpServer() as bad:
        bad.on(At.BODY, act)
        hurry = {"data_timeout": HURRY} if isinstance(act, Hang) else {}
        flow = two_relays(make_flow, bad.port, smtp, **hurry)
        files = [{"name": "scan.bin", "content": base64.b64encode(os.urandom(4 << 20)).decode()}]
        flow.ingest({**shipped(flow, "O-0", CUSTOMERS[0]), "attachments": files})

        flow.services.deliver.run(ChannelName.EMAIL, "normal")

        ((mail,),) = orders(flow)
        (one,) = mail.tries
        assert (one.phase, one.outcome, one.code, one.reason) == ("data", "deferred", code, reason)
        assert ("disk full" if code else "no answer") in tried(one)
        assert mail.status == "deferred"
        assert bad.received == []
        flow.ingest(shipped(flow, "O-1", CUSTOMERS[1]))
        go_on(two_relays(make_flow, bad.port, smtp))
        assert sorted(one.recipient for one in bad.received) == sorted(CUSTOMERS[:2])
        assert message_ids(bad, CUSTOMERS[0]) == {mail.message_id}


def test_wrong_credentials_rest_the_relay_until_they_are_mended(
    make_flow: MakeFlow, bad: SmtpServer, smtp: SmtpServer, certificate: Path
) -> None:
    """Our fault, so no mail is blamed, none falls back, nobody is suppressed; the new password lets all go."""
    login = {"security": "starttls", "ca_file": certificate, "username": "shop"}
    wrong = two_relays(make_flow, bad.port, smtp, **login, password="a-wrong-word")

    deliver_beside(wrong)
    for lane in LANES:  # while it rests it is not asked again
        wrong.services.deliver.run(ChannelName.EMAIL, lane.value)

    hit = assert_rests(wrong, "auth", "credentials", "535 5.7.8 Authentication failed")
    assert bad.connections == 1
    ((why, seconds),) = wrong.query(
        "SELECT reason, extract(epoch FROM until - now())::float8 FROM relay_pause"
    )
    assert why == "the relay default rests: credentials at auth"
    assert 30 < seconds <= 60
    assert wrong.query("SELECT count(*) FROM suppression") == [(0,)]
    right = two_relays(make_flow, bad.port, smtp, **login, password="right")
    assert_all_arrive(right, bad, hit)
    right.ingest(shipped(right, "O-9", hit.to))
    right.deliver()
    assert bad.received[-1].recipient == hit.to
