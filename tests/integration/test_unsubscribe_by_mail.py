"""Unsubscribing by mail: the address of List-Unsubscribe, a mail to the real listener, the sweep (C8, O8)."""

import re
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from notifier.tokens import message_id_of, message_of_return_path
from tests.consent import PUBLIC, Stage, path_of
from tests.listener import listening
from tests.services import MakeFlow

pytestmark = pytest.mark.servers

BOUNCES = "bounces@bounces.example"
MAIL = {
    "domain": "notifier.example", "sender": "no-reply@notifier.example", "envelope_sender": BOUNCES,
    "unsubscribe_domain": "bounces.example",
}  # fmt: skip
MAIL_TO = re.compile(r"<mailto:(u[a-z2-7]{63}@bounces\.example)\?subject=unsubscribe>")


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier with a listener for its mails."""
    return Stage(make_flow, tmp_path, mail=MAIL)


@pytest.fixture
def port(stage: Stage, web_url: str) -> Iterator[int]:
    """The listener, with its own key and the web role."""
    with listening(web_url, stage.flow.services.keyring.return_path_key, read_timeout="10s") as port:
        yield port


def address_in(mail: EmailMessage | None) -> str:
    """Return the address a mail may be sent to."""
    assert mail is not None
    found = MAIL_TO.search(mail["List-Unsubscribe"])
    assert found is not None
    return found[1]


def send(port: int, to: str, header: str = "", *, sender: str = "ann@example.org", body: str = "") -> int:
    """Send a mail as an MTA would, and return the code it is answered with."""
    with smtplib.LMTP("127.0.0.1", port) as client:
        client.ehlo()
        client.mail(f"<{sender}>")
        code, _ = client.rcpt(f"<{to}>")
        mail = f"From: Ann <ann@example.org>\r\nTo: {to}\r\n{header}\r\n\r\n{body}\r\n"
        return client.data(mail.encode())[0] if code == 250 else code


def test_the_header_names_link_and_address(stage: Stage) -> None:
    """The link first, each in brackets, a comma between (RFC 2369 §2); one click stays announced (RFC 8058)."""
    mail = stage.tell("news.made")

    assert mail is not None
    raw = stage.flow.smtp.received[-1].data
    address = address_in(mail)
    https, mail_to = mail["List-Unsubscribe"].split(", ")
    assert https == f"<{PUBLIC}{path_of(mail)}>"
    assert mail_to == f"<mailto:{address}?subject=unsubscribe>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail_to.encode() in raw  # on one line, in no encoded word
    assert message_of_return_path(stage.flow.services.keyring.return_path_key, address) is None


@pytest.mark.parametrize("type_", ["fire.seen", "law.changed", "order.made"])
def test_what_may_not_be_refused_names_none(stage: Stage, type_: str) -> None:
    """As it names no link."""
    mail = stage.tell(type_)

    assert mail is not None
    assert mail["List-Unsubscribe"] is None


@pytest.mark.parametrize(
    ("settings", "is_there"),
    [
        ({"mail": {**MAIL, "unsubscribe_domain": None}}, False),
        ({"mail": {**MAIL, "unsubscribe_domain": None}, "mail_in": {"key": "AAAA"}}, True),
        ({"mail": {"sender": "no-reply@notifier.example"}, "mail_in": {"key": "AAAA"}}, False),
        ({"mail": {"sender": "no-reply@notifier.example", "unsubscribe_domain": "bounces.example"}}, True),
    ],
)
def test_without_a_listener_there_is_no_address(
    make_flow: MakeFlow, tmp_path: Path, *, settings: dict[str, object], is_there: bool
) -> None:
    """It is known by its key together with a return path, or by the domain that is named for it."""
    stage = Stage(make_flow, tmp_path, **settings)

    mail = stage.tell("news.made")

    assert mail is not None
    assert ("mailto:" in mail["List-Unsubscribe"]) == is_there
    assert mail["List-Unsubscribe"].startswith(f"<{PUBLIC}/u/")


def test_the_address_is_signed_with_the_rest(make_flow: MakeFlow, tmp_path: Path) -> None:
    """DKIM covers the header it stands in, and one that nobody may add."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    stage = Stage(make_flow, tmp_path, mail=MAIL, dkim={"notifier.example": {"selector": "s", "key": pem}})

    mail = stage.tell("news.made")

    assert mail is not None
    assert address_in(mail)
    signed = (
        re.sub(r"\s", "", mail["DKIM-Signature"].lower()).partition(";h=")[2].partition(";")[0].split(":")
    )
    assert signed.count("list-unsubscribe") == 2
    assert signed.count("list-unsubscribe-post") == 2


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Subject: unsubscribe", ""),
        ("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Out of office! 550 5.1.1"),
        ("", ""),
    ],
)
def test_a_mail_acts_as_one_click_does(stage: Stage, port: int, header: str, body: str) -> None:
    """Whatever is in it: same scope, same record, nothing said back, and what is essential still arrives."""
    mail = stage.tell("news.made")
    assert mail is not None

    code = send(port, address_in(mail), header, body=body)
    stage.flow.services.sweep.run()

    assert code == 250
    assert stage.suppressed() == {("news", "unsubscribed")}
    assert stage.tell("news.made") is None
    assert stage.tell("offer.made") is not None
    assert stage.tell("password.reset") is not None
    key = stage.flow.services.keyring.token_key
    message = message_id_of(key, mail["Message-ID"])
    assert stage.flow.query("SELECT how, message_id FROM preference_change") == [("mail", message)]
    assert stage.flow.query("SELECT message_id FROM suppression") == [(message,)]
    assert len(stage.flow.smtp.received) == 3


def test_the_same_mail_again_changes_nothing(stage: Stage, port: int) -> None:
    """Before the sweep came and after it, in whatever case; nor does a click by the same link."""
    address = address_in(stage.tell("news.made"))

    codes = [send(port, one) for one in (address, address.upper())]
    first = stage.flow.services.link_requests.run()
    codes.append(send(port, address))
    stage.flow.services.link_requests.run()

    assert (codes, first) == ([250] * 3, 1)
    assert stage.flow.query("SELECT count(*) FROM preference_change") == [(1,)]


@pytest.mark.parametrize(
    ("header", "sender", "reason"),
    [
        ("Subject: unsubscribe", "", "no sender"),
        ("Auto-Submitted: auto-replied", "ann@example.org", "automatic"),
        ("Content-Type: multipart/report; report-type=delivery-status", "x@example.org", "report"),
        ("X-Spam-Flag: YES", "ann@example.org", "spam"),
        ("Received: by a\r\n" * 60 + "Subject: unsubscribe", "ann@example.org", "loop"),
    ],
)
def test_a_machines_mail_unsubscribes_nobody(
    stage: Stage, port: int, header: str, sender: str, reason: str
) -> None:
    """It is taken, so that nothing bounces back and forth, and told in the log."""
    address = address_in(stage.tell("news.made"))

    with capture_logs() as logs:
        code = send(port, address, header, sender=sender)

    assert code == 250
    assert [(one["event"], one["reason"]) for one in logs] == [("mail_in.ignored", reason)]
    assert stage.flow.query("SELECT 1 FROM link_ask") == []
    assert stage.flow.query("SELECT 1 FROM report") == []


def test_only_a_valid_address_is_taken(stage: Stage, port: int) -> None:
    """One letter off, and it is refused at RCPT, and told in the log, without the address."""
    address = address_in(stage.tell("news.made"))
    forged = f"u{'a' if address[1] != 'a' else 'b'}{address[2:]}"

    with capture_logs() as logs:
        code = send(port, forged)

    assert code == 550
    assert [(one["event"], one["reason"]) for one in logs] == [("mail_in.refused", "unknown address")]
    assert stage.flow.query("SELECT 1 FROM link_ask") == []
    assert "@" not in str(logs)


@pytest.mark.parametrize("change", ["UPDATE person_link SET expires_at = now()", "DELETE FROM person_link"])
def test_an_address_that_is_over_says_so(stage: Stage, port: int, change: str) -> None:
    """It ends with its link; whoever wrote hears of it from their own mail system."""
    address = address_in(stage.tell("news.made"))
    with stage.flow.services.database.connection() as connection:
        connection.execute(change)

    assert send(port, address) == 550
    assert stage.flow.query("SELECT 1 FROM link_ask") == []


def test_undone_on_the_page_it_can_be_asked_again(stage: Stage, port: int) -> None:
    """What was undone is asked anew by a new mail."""
    address = address_in(stage.tell("news.made"))
    send(port, address)
    stage.flow.services.link_requests.run()
    with stage.flow.services.database.connection() as connection:
        connection.execute(
            "INSERT INTO link_ask (digest, kind, how) SELECT digest, 'undo', 'page' FROM person_link"
        )
    stage.flow.services.link_requests.run()
    is_told = stage.tell("news.made") is not None

    send(port, address)
    stage.flow.services.link_requests.run()

    assert is_told
    assert stage.tell("news.made") is None
