"""The mail catcher, the SMS gateway and the sink, as the processes the demo and the benchmarks run."""

import smtplib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import psutil
import pytest

from notifier.embedded.catcher.behaviours import read_table
from notifier.embedded.ports import LOOPBACK, free_port
from notifier.embedded.sms_gateway import segments
from notifier.embedded.supervisor import Program, Supervisor
from notifier.errors import ConfigError
from tests.ports import answers

ACCOUNT, TOKEN = "AC" + "1" * 32, "s3cret"
Start = Callable[..., None]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Start parts by their command, and wait until their ports answer."""
    with Supervisor() as supervisor:

        def run(name: str, *options: object, ports: tuple[int, ...], log: Path | None = None) -> None:
            argv = (sys.executable, "-W", "error", "-m", "notifier.embedded", *map(str, options))
            supervisor.start(Program(name=f"{name}-{ports[0]}", argv=argv, log=log))
            deadline = time.monotonic() + 15
            while not all(answers(port) for port in ports):
                assert time.monotonic() < deadline, log and log.read_text()
                time.sleep(0.02)

        yield run


class Catcher:
    """A running catcher's two faces."""

    def __init__(self, start: Start, *options: object) -> None:
        self.smtp_port, self.http_port = free_port(), free_port()
        ports = ("--smtp-port", self.smtp_port, "--http-port", self.http_port)
        start("catcher", "catcher", *ports, *options, ports=(self.smtp_port, self.http_port))
        self.page = httpx.Client(base_url=f"http://{LOOPBACK}:{self.http_port}")

    def send(self, to: str, mail: EmailMessage | None = None) -> None:
        """Send a mail as any client would."""
        with smtplib.SMTP(LOOPBACK, self.smtp_port, timeout=10) as smtp:
            smtp.sendmail("shop@example.test", [to], bytes(mail or _mail(to)))

    def mails(self, to: str) -> list[dict[str, object]]:
        """Ask the JSON API."""
        answer = self.page.get("/api/mails", params={"to": to}).raise_for_status()
        return list(answer.json())


@pytest.fixture(scope="module")
def catcher(start: Start) -> Iterator[Catcher]:
    """One catcher for all tests; each has a recipient of its own."""
    running = Catcher(start)
    yield running
    running.page.close()


def _mail(to: str, subject: str = "Your return") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Shop <shop@example.test>", to, subject
    mail["Message-ID"] = "<one@example.test>"
    mail.set_content("It has arrived.\n")
    mail.add_alternative("<p>It has <b>arrived</b>.</p><script>alert(1)</script>", subtype="html")
    return mail


@pytest.mark.parametrize(
    ("to", "header", "shown"),
    [
        ("jürgen@bücher.example", "Grüße ✓".encode(), "Grüße ✓"),
        (
            "latin@example.test",
            "Grüße".encode("latin-1"),
            "Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e",
        ),
    ],
)
def test_a_mail_with_headers_in_utf_8_is_shown_like_others(
    catcher: Catcher, to: str, header: bytes, shown: str
) -> None:
    """Addresses that are not ASCII bring such (RFC 6532); one mail must not hide all the others."""
    raw = b"From: shop@example.test\r\nSubject: " + header + b"\r\nX-Note: " + header + b"\r\n\r\nHello\r\n"
    with smtplib.SMTP(LOOPBACK, catcher.smtp_port, timeout=10) as smtp:
        smtp.ehlo()
        smtp.sendmail("shop@example.test", [to], raw, mail_options=["SMTPUTF8", "BODY=8BITMIME"])

    (mail,) = catcher.mails(to)
    pages = [catcher.page.get(path) for path in ("/", f"/mails/{mail['id']}", "/api/mails")]

    assert (mail["subject"], mail["headers"]["x-note"]) == (shown, [shown])  # type: ignore[index]
    assert [page.status_code for page in pages] == [200, 200, 200]


def test_greylisting_refuses_once_and_then_accepts(catcher: Catcher) -> None:
    """The first try gets 450 4.7.1, the second is caught, and so is every later one."""
    to = "greylist.ann@example.test"

    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        catcher.send(to)
    catcher.send(to)
    catcher.send(to)

    assert refused.value.recipients[to] == (450, b"4.7.1 Greylisted, please try again later")
    assert len(catcher.mails(to)) == 2


def test_an_unknown_recipient_bounces_at_rcpt(catcher: Catcher) -> None:
    """A hard bounce before the data: 550 5.1.1, each time."""
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            catcher.send("unknown@example.test")

        assert refused.value.recipients["unknown@example.test"][0] == 550


def test_a_disabled_mailbox_refuses_behind_the_dot(catcher: Catcher) -> None:
    """The whole mail is sent before it is refused for good, and is not kept."""
    with pytest.raises(smtplib.SMTPDataError) as refused:
        catcher.send("bounce@example.test")

    assert refused.value.smtp_code == 554
    assert catcher.mails("bounce@example.test") == []


def test_a_connection_cut_behind_the_dot_has_kept_the_mail(catcher: Catcher) -> None:
    """RFC 1047's trap: the sender cannot know, and a second try makes a second copy."""
    with pytest.raises(smtplib.SMTPServerDisconnected):
        catcher.send("cut@example.test")
    assert len(catcher.mails("cut@example.test")) == 1

    catcher.send("cut@example.test")

    copies = catcher.mails("cut@example.test")
    assert [mail["message_id"] for mail in copies] == ["<one@example.test>"] * 2


def test_a_table_of_ones_own_replaces_the_behaviours(start: Start, tmp_path: Path) -> None:
    """Which address misbehaves how is configuration; an unnamed one is treated like any other."""
    table = tmp_path / "table.yaml"
    table.write_text('vip: {reply: "451 4.3.0 Later", times: 2}\nlate: {delay: 300ms}\n')
    catcher = Catcher(start, "--behaviours", table)

    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            catcher.send("vip@example.test")
    catcher.send("vip@example.test")
    catcher.send("unknown@example.test")
    started = time.monotonic()
    catcher.send("late@example.test")

    assert time.monotonic() - started >= 0.3
    assert len(catcher.page.get("/api/mails").json()) == 3
    catcher.page.close()


def test_a_wrong_table_names_file_line_and_field(tmp_path: Path) -> None:
    """A mistyped key is refused with where it stands and what was meant."""
    table = tmp_path / "table.yaml"
    table.write_text("vip:\n  repyl: 450 no\n")

    with pytest.raises(ConfigError, match=r"table\.yaml:2: vip\.repyl: unknown key .*'reply'"):
        read_table(table)


def test_the_page_lists_a_mail_and_frames_its_html(catcher: Catcher) -> None:
    """The list shows it escaped; its HTML stands alone in a sandbox that runs and loads nothing."""
    to = "page@example.test"
    catcher.send(to, _mail(to, "<b>5 > 3</b>"))
    mail_id = catcher.mails(to)[0]["id"]

    listed = catcher.page.get("/")
    shown = catcher.page.get(f"/mails/{mail_id}")
    framed = catcher.page.get(f"/mails/{mail_id}/html")
    raw = catcher.page.get(f"/mails/{mail_id}/raw")

    assert "&lt;b&gt;5 &gt; 3&lt;/b&gt;" in listed.text
    assert to in listed.text
    assert "<iframe sandbox src=" in shown.text
    assert "It has arrived." in shown.text
    assert "<script>alert" not in shown.text
    assert "<b>arrived</b>" in framed.text
    assert framed.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert raw.text.startswith("From: Shop <shop@example.test>")
    assert raw.headers["Content-Type"].startswith("text/plain")


def test_the_json_has_what_tests_ask_for(catcher: Catcher) -> None:
    """Envelope, message id, subject, headers and bodies."""
    to = "json@example.test"
    catcher.send(to)

    mail = catcher.mails(to)[0]
    whole = catcher.page.get(f"/api/mails/{mail['id']}").json()

    assert (mail["from"], mail["to"], mail["subject"]) == ("shop@example.test", [to], "Your return")
    assert mail["headers"]["message-id"] == ["<one@example.test>"]  # type: ignore[index]
    assert whole["text"] == "It has arrived.\n"
    assert "<b>arrived</b>" in whole["html"]


def test_another_host_name_is_refused(catcher: Catcher) -> None:
    """A web page whose name is rebound to loopback cannot read the mails."""
    answer = catcher.page.get("/api/mails", headers={"Host": "evil.example"})

    assert answer.status_code == 400


def test_mails_in_a_directory_survive_a_restart(start: Start, tmp_path: Path) -> None:
    """A second start shows what the first caught."""
    first = Catcher(start, "--directory", tmp_path)
    first.send("kept@example.test")

    second = Catcher(start, "--directory", tmp_path)

    assert second.mails("kept@example.test") == first.mails("kept@example.test")
    assert len(second.mails("kept@example.test")) == 1
    first.page.close()
    second.page.close()


# --- The SMS gateway ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(start: Start) -> Iterator[httpx.Client]:
    """A client of a running gateway, with the right credentials."""
    port = free_port()
    start("sms", "sms-gateway", "--port", port, "--account", ACCOUNT, "--token", TOKEN, ports=(port,))
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", auth=(ACCOUNT, TOKEN)) as client:
        yield client


def _text(gateway: httpx.Client, to: str, body: str = "Hello") -> httpx.Response:
    form = {"To": to, "From": "+15005550006", "Body": body}
    return gateway.post(f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", data=form)


def test_a_text_is_queued_with_a_sid_and_listed(gateway: httpx.Client) -> None:
    """The answer is Twilio's: 201, a sid, the text as it came."""
    answer = _text(gateway, "+4915112345678", "Grüße & mehr +1")

    sid = answer.json()["sid"]
    assert answer.status_code == 201
    assert sid.startswith("SM")
    assert len(sid) == 34
    assert answer.json()["status"] == "queued"
    listed = gateway.get("/api/messages", params={"to": "+4915112345678"}).json()
    assert [(item["sid"], item["body"]) for item in listed] == [(sid, "Grüße & mehr +1")]


@pytest.mark.parametrize(
    ("to", "body", "status", "code"),
    [
        ("+491511110211", "Hello", 400, 21211),
        ("+491511110614", "Hello", 400, 21614),
        ("+491511110610", "Hello", 400, 21610),
        ("no number", "Hello", 400, 21211),
        ("", "Hello", 400, 21604),
        ("+4915112345678", "", 400, 21602),
        ("+4915112345678", "x" * 1601, 400, 21617),
    ],
)
def test_a_refusal_carries_twilios_code(
    gateway: httpx.Client, to: str, body: str, status: int, code: int
) -> None:
    """Each refusal has the HTTP status and the error code the real API gives."""
    answer = _text(gateway, to, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(("to", "status"), [("+491511110500", 500), ("+491511110429", 429)])
def test_a_failing_gateway_recovers(gateway: httpx.Client, to: str, status: int) -> None:
    """Some numbers fail once for a reason that passes."""
    assert [_text(gateway, to).status_code for _ in range(3)] == [status, 201, 201]


def test_garbage_and_silence_are_on_offer(gateway: httpx.Client) -> None:
    """One number answers 200 with what is no JSON, one never answers."""
    garbage = _text(gateway, "+491511110200")

    assert garbage.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        garbage.json()
    with pytest.raises(httpx.ReadTimeout):
        gateway.post(
            f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
            data={"To": "+491511110504", "From": "+15005550006", "Body": "x"},
            timeout=0.3,
        )


@pytest.mark.parametrize("auth", [None, (ACCOUNT, "wrong"), ("AC" + "2" * 32, TOKEN)])
def test_wrong_credentials_get_401(gateway: httpx.Client, auth: tuple[str, str] | None) -> None:
    """As at Twilio: 401 with code 20003, and nothing is queued."""
    with httpx.Client(base_url=gateway.base_url, auth=auth) as stranger:
        answer = _text(stranger, "+4915199999999")

    assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    assert gateway.get("/api/messages", params={"to": "+4915199999999"}).json() == []


@pytest.mark.parametrize(
    ("body", "count"),
    [("a" * 160, 1), ("a" * 161, 2), ("€" * 80, 1), ("€" * 81, 2), ("ж" * 70, 1), ("😀" * 36, 2)],
    ids=["160 letters", "161 letters", "80 euro signs", "81 euro signs", "70 Cyrillic", "36 emoji"],
)
def test_segments_are_counted_as_networks_do(body: str, count: int) -> None:
    """160 septets or 70 UTF-16 units in one; € takes two septets, an emoji two units."""
    assert segments(body) == count


# --- The sink -----------------------------------------------------------------------------------------------


def _counts(port: int) -> dict[str, int]:
    counted: dict[str, int] = httpx.get(f"http://{LOOPBACK}:{port}/").json()
    return counted


def test_the_sink_counts_what_a_plain_client_sends(start: Start) -> None:
    """An ordinary client is served, an empty mail and one with stuffed dots too."""
    port, count_port = free_port(), free_port()
    start("sink", "sink", "--port", port, "--count-port", count_port, ports=(port, count_port))
    before = _counts(count_port)

    with smtplib.SMTP(LOOPBACK, port, timeout=10) as smtp:
        for body in ("", "Subject: x\r\n\r\nhello\r\n.\r\n..\r\n"):
            smtp.sendmail("a@example.test", ["b@example.test", "c@example.test"], body)

    counts = _counts(count_port)
    assert (counts["mails"], counts["recipients"]) == (2, 4)
    assert counts["connections"] == before["connections"] + 1


def test_the_sink_swallows_5000_mails_a_second_from_one_client(start: Start) -> None:
    """Of its own processor time, as others share the machine: fast enough that a benchmark measures the sender.

    One write and one read per mail (RFC 2920).
    """
    port, count_port = free_port(), free_port()
    start("sink", "sink", "--port", port, "--count-port", count_port, ports=(port, count_port))
    envelope = b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
    mail = b"Subject: x\r\n\r\n" + b"A line of a mail of two kilobytes.\r\n" * 55 + b".\r\n"

    with socket.create_connection((LOOPBACK, port), timeout=10) as client, client.makefile("rb") as replies:
        replies.readline()
        client.sendall(envelope)
        for _ in range(3):
            replies.readline()
        before = _seconds_of_processor(port)
        for _ in range(5_000):
            client.sendall(mail + envelope)
            last = [replies.readline() for _ in range(4)][-1]
        took = _seconds_of_processor(port) - before

    assert last.startswith(b"354")
    assert _counts(count_port)["mails"] == 5_000
    assert took <= 1


def _seconds_of_processor(port: int) -> float:
    (sink,) = (one for one in psutil.Process().children() if str(port) in one.cmdline())
    times = sink.cpu_times()
    return float(times.user + times.system)


def test_the_sink_holds_answers_back(start: Start) -> None:
    """With a latency it answers like a distant relay: once per round trip, not once per command."""
    port = free_port()
    start("sink", "sink", "--port", port, "--latency-ms", 400, ports=(port,))

    with socket.create_connection((LOOPBACK, port), timeout=10) as client:
        client.recv(1000)
        started = time.monotonic()
        client.sendall(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
        replies = client.recv(1000)
        waited = time.monotonic() - started

    assert waited >= 0.4
    assert [line[:3] for line in replies.splitlines()] == [b"250", b"250", b"354"]
