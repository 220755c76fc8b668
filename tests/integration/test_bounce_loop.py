"""The whole way there and back: our workers, a real Postfix, a server that refuses, the listener (B3, O8)."""

import base64
import smtplib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.crypto.blind_index import blind_index
from notifier.embedded.ports import free_port
from notifier.embedded.supervisor import Program, Supervisor
from notifier.ids import uuid7
from notifier.pipeline.composing.person_links import Addressee, PersonLinks
from notifier.receipts import Receipt
from notifier.store.person_links import save_links
from notifier.store.reports import open_report
from notifier.tokens.return_paths import mint_return_path
from tests.contracts.certificate import write_certificate
from tests.contracts.smtp_server import Say, SmtpServer
from tests.mta import Postfix, running_postfix
from tests.processes import WORKER, Processes, poll
from tests.services import ROOT, Flow, MakeFlow

SENDER = "bounces@bounces.example"
REFUSALS = {
    "gone@remote.example": Say("550 5.1.1 <gone@remote.example>: Recipient address rejected: User unknown"),
    "full@remote.example": Say("452 4.2.2 The email account that you tried to reach is over quota"),
    "spam@remote.example": Say("550 5.7.1 Service unavailable; client [192.0.2.1] blocked using a blocklist"),
}
BOUNCING = (*REFUSALS, "no-such-user@local.example")
COMPLAINT = """From: feedback@provider.example
To: fbl@bounces.example
Subject: FW: Your order was shipped
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an abuse report for a message from 192.0.2.1.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Provider/1.0
Version: 1
Original-Rcpt-To: <ann@provider.example>

--b
Content-Type: message/rfc822

Return-Path: <{path}>
From: shop@notifier.example
To: ann@provider.example
Subject: Your order was shipped

Hello

--b--
"""


@pytest.fixture
def remote() -> Iterator[SmtpServer]:
    """The recipients' server, which refuses some of them."""
    with SmtpServer() as server:
        for address, reply in REFUSALS.items():
            server.for_recipient(address, reply)
        yield server


@pytest.fixture
def listening() -> int:
    """The port the listener will have."""
    return free_port()


@pytest.fixture
def postfix(remote: SmtpServer, listening: int) -> Iterator[Postfix]:
    """A relay that takes all mail, delivers what it can, and sends its bounces to the listener."""
    domains = (
        f"remote.example = smtp:[127.0.0.1]:{remote.port}}}, {{bounces.example = lmtp:[127.0.0.1]:{listening}"
    )
    with running_postfix(
        transport_maps=f"inline:{{ {{{domains}}} }}", relay_domains="remote.example, bounces.example",
        delay_warning_time="1s", maximal_queue_lifetime="4s",
        # As docs/how-to/bounces-by-mail.md has it.
        smtpd_recipient_restrictions="check_recipient_access inline:{ bounces.example=reject_unverified_recipient },"
        " permit_mynetworks, reject",
        address_verify_map="", address_verify_poll_delay="1s", address_verify_poll_count="5",
        # Both demand it: a bounce that came in the clear would not come at all.
        lmtp_tls_security_level="encrypt",
        unverified_recipient_reject_code="550", smtpd_relay_restrictions="permit_mynetworks, reject",
    ) as server:  # fmt: skip
        yield server


@pytest.fixture
def flow(make_flow: MakeFlow, postfix: Postfix) -> Flow:
    """A notifier whose relay is that Postfix."""
    relay = {"host": "127.0.0.1", "port": postfix.port, "security": "none"}
    mail = {"domain": "notifier.example", "sender": "shop@notifier.example", "envelope_sender": SENDER}
    return make_flow(relays={"default": relay}, mail=mail, sms=None)


@pytest.fixture
def listener(flow: Flow, listening: int, web_url: str, tmp_path: Path) -> Iterator[Path]:
    """The listener's own process, with the two secrets it has; lends its log."""
    key = base64.b64encode(flow.services.keyring.return_path_key).decode()
    environment = {
        "NOTIFIER_CONFIG_DIR": str(ROOT / "config"),
        "NOTIFIER_WEB_DATABASE_URL": web_url,
        "NOTIFIER_MAIL_IN__KEY": key,
        "NOTIFIER_MAIL_IN__PORT": str(listening),
        "NOTIFIER_MAIL_IN__READERS": "1",
        "NOTIFIER_MAIL_IN__COMPLAINTS": '["fbl@bounces.example"]',
        "NOTIFIER_MAIL_IN__TLS__CERT_FILE": str(write_certificate(tmp_path)),
        "NOTIFIER_MAIL_IN__REQUIRE_TLS": "true",
    }
    log = tmp_path / "mail-in.log"
    argv = [sys.executable, "-c", "from notifier.cli import main; main()", "mail-in", "serve"]
    with Supervisor() as supervisor:
        supervisor.start(Program(name="mail-in", argv=argv, env=environment, log=log, cwd=ROOT))
        poll(lambda: log.exists() and "mail_in.listening" in log.read_text())
        yield log


def shipped(flow: Flow, *addresses: str) -> None:
    """Let an order be shipped to each."""
    events = []
    for place, address in enumerate(addresses):
        event = flow.sample("order.shipped")
        customer = {**event["data"]["customer"], "email": address, "id": f"C-{place}"}
        customer.pop("phone", None)
        events.append({**event, "subject": f"O-{place}", "data": {**event["data"], "customer": customer}})
    flow.ingest(*events)


@pytest.mark.long
def test_what_postfix_bounces_is_known_of_its_message(
    flow: Flow, postfix: Postfix, remote: SmtpServer, listener: Path, tmp_path: Path
) -> None:
    """Sent by our workers, taken by Postfix, refused behind it; each bounce finds its message, and says why."""
    shipped(flow, *BOUNCING, "fine@remote.example")
    relay = {"NOTIFIER_RELAYS__DEFAULT__PORT": str(postfix.port), "NOTIFIER_MAIL__ENVELOPE_SENDER": SENDER}
    with Processes(flow, tmp_path, **relay) as processes:
        processes.start("worker", "-Q", "sweep,track,deliver.normal,deliver.bulk,deliver.urgent", *WORKER)
        processes.start("beat", "-s", str(tmp_path / "beat"))

        poll(lambda: len(bounces(flow)) >= 4, 60)

    assert "@" not in listener.read_text()
    assert [mail.recipient for mail in remote.received] == ["fine@remote.example"]
    assert bounces(flow) == {
        "gone@remote.example": ("bounced", "hard", "userunknown", True),
        "full@remote.example": ("bounced", "soft", "mailboxfull", False),
        "spam@remote.example": ("bounced", "block", "blocked", False),
        "no-such-user@local.example": ("bounced", "hard", "userunknown", True),
    }
    # The notice that it takes longer came before the bounce, and is part of the story.
    assert ("deferred",) in flow.query("SELECT DISTINCT kind FROM receipt")


def test_the_border_takes_complaints_and_refuses_what_names_no_message(
    flow: Flow, postfix: Postfix, listener: Path
) -> None:
    """Postfix asks the listener before it takes a mail; a complaint's copy of our mail has the return path."""
    message = uuid7()
    path = mint_return_path(flow.services.keyring.return_path_key, message, SENDER)
    complaint = COMPLAINT.format(path=path).replace("\n", "\r\n").encode()
    with smtplib.SMTP("127.0.0.1", postfix.port) as client:
        client.ehlo()
        client.mail("<>")
        code, words = client.rcpt(mint_return_path(bytes(32), message, SENDER))
        client.rset()
        client.sendmail("fbl@provider.example", ["fbl@bounces.example"], complaint)

    assert (code, b"5.1.1" in words) == (550, True)
    (receipt,) = poll(lambda: reports(flow))
    assert (receipt.kind, receipt.message, receipt.detail) == (
        "complained",
        message,
        {"feedback_type": "abuse"},
    )


def test_a_mail_to_unsubscribe_comes_by_postfix(flow: Flow, postfix: Postfix, listener: Path) -> None:
    """All 64 octets of its address go through; a person's mail asks, a forged address is refused at the border."""
    services = flow.services
    index = blind_index(services.keyring.index_key, "default", "ann@example.org")
    person = services.persons.get([("default", index)])["default", index]
    links = PersonLinks(
        services.keyring, public_url="https://notifier.example", lifetime=timedelta(days=1),
        mail_domain="bounces.example",
    )  # fmt: skip
    ways = links.of(
        Addressee(
            tenant="default", person=person.id, address_index=index, category="news", message=uuid7(), locale="en",
            can_refuse=True,
        ),
        datetime.now(UTC),
    )  # fmt: skip
    with services.database.connection() as connection:
        save_links(connection, [ways.link])
    address = str(ways.mail_to)

    with smtplib.SMTP("127.0.0.1", postfix.port) as client:
        client.ehlo()
        client.mail("ann@example.org")
        forged = client.rcpt(f"v{address[1:]}")[0]
        client.rset()
        client.sendmail(
            "ann@example.org", [address], b"From: ann@example.org\r\nSubject: unsubscribe\r\n\r\n"
        )

    assert forged == 550
    assert poll(lambda: flow.query("SELECT kind, how FROM link_ask")) == [("unsubscribe", "mail")]
    assert "@" not in listener.read_text()


def reports(flow: Flow) -> list[Receipt]:
    """Return what was handed in and is not read yet."""
    key = flow.services.keyring.intake_key
    rows = flow.query("SELECT sealed, source, key FROM report ORDER BY id")
    return [open_report(sealed, key, source, name) for sealed, source, name in rows]


def bounces(flow: Flow) -> dict[str, tuple[Any, ...]]:
    """Return (fate, class, reason, is suppressed) of each address of which a bounce is known."""
    rows = flow.query(
        """SELECT address_index, fate, receipt.bounce, receipt.reason,
                  EXISTS (SELECT FROM suppression WHERE suppression.address_index = message.address_index)
           FROM message JOIN receipt ON message_id = message.id AND receipt.kind = 'bounced'"""
    )
    key = flow.services.keyring.index_key
    names = {blind_index(key, "default", address): address for address in BOUNCING}
    return {names[index]: tuple(told) for index, *told in rows}
