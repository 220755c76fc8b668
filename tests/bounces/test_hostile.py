"""Whatever the bytes: reading a mail ends, in time, with an answer."""

import time
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.inbound.labels import addresses_of_nobody_else
from notifier.inbound.reading import read_report
from notifier.inbound.report import ReportKind
from tests.bounces.test_samples import SAMPLES, mail_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SYSTEM = b"From: mailer-daemon@x.example\nSubject: failure notice\n\n"
HTML = b"From: mailer-daemon@x.example\nContent-Type: text/html\nSubject: failure notice\n\n"
HOSTILE = {
    "nested a thousand deep": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (one, one) for one in range(1000)
    ),
    "addresses only": SYSTEM + b"a@b.example " * 100_000,
    "many failed": SYSTEM + b"".join(b"<a%d@b.example>: 550 no such user\n" % one for one in range(50_000)),
    "many listed": b"X-Failed-Recipients: "
    + b", ".join(b"a%d@b.example" % one for one in range(250))
    + b"\n"
    + SYSTEM
    + b"".join(b"<a%d@b.example>: user unknown\n" % one for one in range(10_000)),
    "transcripts of many": SYSTEM
    + b"".join(
        b">>> RCPT To:<a%d@b.example>\n<<< 550 <a%d@b.example> no\n" % (one, one) for one in range(9_999)
    ),
    "a domain without end": SYSTEM + b"a@" + b"b." * 300_000,
    "at signs": SYSTEM + b"@" * 600_000,
    "tags never closed": HTML + b"<" * 600_000,
    "styles never closed": HTML + b"<style>" * 100_000,
    "fields": b"X: y\n" * 200_000,
    "a folded field": b"From: a@b.example\n" + b" y\n" * 200_000,
    "brackets": SYSTEM + b"(expanded from " * 40_000,
    "codes": SYSTEM + b"<a@b.example>: " + b"550-5.1.1 x\n" * 80_000,
    "JSON without end": b"From: no-reply@sns.example\n\n" + b'{"a":' * 100_000,
    "encoded words": b"From: mailer-daemon@x.example\nSubject: " + b"=?utf-8?q?" * 60_000 + b"\n\nx",
    "twenty-five megabytes in one line": SYSTEM + b"<a@b.example>: 550 no such user\n" + b"x" * 25_000_000,
    "ten megabytes": SYSTEM + b"Lorem ipsum dolor sit amet\n" * 400_000,
    "groups": b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
    + b"Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n\n" * 20_000,
    "parts": b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\na\n" * 100_000,
    "rules of dashes": SYSTEM + b"-" * 600_000,
    "a charset that is none": b"From: a@b.example\nContent-Type: text/plain; charset=unicode_escape\n\n\\N{\xff",
    "carriage returns": b"\r" * 600_000,
    "carriage returns in a part": SYSTEM + b"\r" * 600_000 + b"x",
    "zeroes": b"\0" * 10_000,
    "nothing": b"",
}


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Read the rules before any time is taken, whichever test comes first."""
    read_report(SYSTEM + b"<jo@receiver.example>: 550 5.1.1 user unknown", received_at=NOW)


@pytest.mark.parametrize("mail", HOSTILE.values(), ids=HOSTILE)
def test_hostile_mails_take_no_longer_than_a_blink(mail: bytes) -> None:
    """Limits on bytes, parts, depth, fields, lines and recipients; patterns that cannot run away."""
    started = time.process_time()

    report = read_report(mail, received_at=NOW)

    assert time.process_time() - started < 1
    assert len(report.recipients) <= 100


def test_a_line_of_addresses_takes_time_by_its_length_and_not_by_its_square() -> None:
    """Of each, only what stands near before it may be its label."""
    text = "a@b.example, " * 15_000
    started = time.process_time()

    found = addresses_of_nobody_else(text + "from: c@d.example")

    assert time.process_time() - started < 1
    assert found == ["a@b.example"]


LINE = b"<jo@receiver.example>: host mx said: 550 5.1.1 user unknown\n"
HEAD = SYSTEM.rstrip(b"\n") + b"\n"
DAMAGED = {
    "no content type": SYSTEM + LINE,
    "no empty line behind the header": HEAD + LINE,
    "UTF-16 declared, ASCII sent": HEAD + b"Content-Type: text/plain; charset=utf-16\n\n" + LINE,
    "a charset nobody knows": HEAD + b"Content-Type: text/plain; charset=x-none\n\n" + LINE,
    "base64": HEAD + b"Content-Transfer-Encoding: base64\n\n" + b64encode(LINE),
    "base64, cut off": HEAD + b"Content-Transfer-Encoding: base64\n\n" + b64encode(LINE)[:-3],
    "base64 declared, text sent": HEAD + b"Content-Transfer-Encoding: base64\n\n" + LINE,
    "quoted-printable, broken": HEAD
    + b"Content-Transfer-Encoding: quoted-printable\n\n"
    + LINE.replace(b": host", b"=: host"),
    "HTML only": HEAD
    + b"Content-Type: text/html\n\n<p>Not delivered to jo&#64;receiver.example:</p><p>550 5.1.1 user unknown</p>",
    "a boundary that never comes": HEAD + b"Content-Type: multipart/report; boundary=x\n\n" + LINE,
    "line ends of all kinds": SYSTEM.replace(b"\n", b"\r\n") + LINE.replace(b"\n", b"\r") + b"\r\n",
    "a byte order mark": b"\xef\xbb\xbf" + SYSTEM + LINE,
    "a returned message of ten megabytes": SYSTEM
    + LINE
    + b"--- Below this line is a copy of the message.\n"
    + b"y\n" * 5_000_000,
}


@pytest.mark.parametrize("mail", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_report_still_says_whom_it_is_about(mail: bytes) -> None:
    """What a relay, a gateway or a careless program did to it."""
    report = read_report(mail, received_at=NOW)

    assert [(one.address, one.reason) for one in report.recipients] == [
        ("jo@receiver.example", "userunknown")
    ]


@given(data=st.binary(max_size=2000))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_read(data: bytes) -> None:
    """What is no mail is ``other``, or whatever it seems; never an error."""
    assert read_report(data, received_at=NOW).kind in ReportKind


@given(
    mail=st.sampled_from([mail_of(sample) for sample in SAMPLES]),
    cut=st.integers(min_value=0, max_value=3000),
    noise=st.lists(st.tuples(st.integers(min_value=0, max_value=3000), st.binary(max_size=3)), max_size=20),
)
@settings(deadline=None, max_examples=150)
def test_damaged_reports_are_read(mail: bytes, cut: int, noise: list[tuple[int, bytes]]) -> None:
    """Cut off or garbled anywhere."""
    damaged = bytearray(mail)
    for place, bytes_ in noise:
        damaged[place : place + len(bytes_)] = bytes_

    report = read_report(bytes(damaged[:cut]), received_at=NOW)

    assert report.kind in ReportKind
    assert all("@" in one.address for one in report.recipients)
