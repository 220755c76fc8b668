"""What a reader makes of a mail: receipts with lasting keys, answers told from bounces nobody understands (B3)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.mailin.reading import read

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
DSN = """From: MAILER-DAEMON@mx.example.org (Mail Delivery System)
To: bounces+babc@bounces.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
{name}
--b
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <ann@example.org>: User unknown

--b
Content-Type: text/rfc822-headers

Return-Path: <bounces+babc@bounces.example>
Message-ID: <1.mac@notifier.example>
Subject: Shipped

--b--
"""
ANSWER = """From: Ann <ann@example.org>
To: bounces+babc@bounces.example
Subject: Re: Shipped
In-Reply-To: <1.mac@notifier.example>

Thank you! Where is it now?
"""
ABSENCE = """From: Ann <ann@example.org>
To: bounces+babc@bounces.example
Subject: Out of office: Shipped
Auto-Submitted: auto-replied

I am away until Monday.
"""
RIDDLE = """From: system@example.org
To: bounces+babc@bounces.example
Subject: 17

42
"""

RECEIPT = """From: Ann <ann@example.org>
To: bounces+babc@bounces.example
Subject: Read: Shipped
Content-Type: multipart/report; report-type=disposition-notification; boundary="b"

--b
Content-Type: text/plain

Your message was read.
--b
Content-Type: message/disposition-notification

Final-Recipient: rfc822;ann@example.org
Disposition: manual-action/MDN-sent-manually; displayed
--b--
"""
RECEIPT_IN_WORDS = """From: Ann <ann@example.org>
To: bounces+babc@bounces.example
Subject: Nicht gelesen: Versandt

Ihre Nachricht wurde gelöscht, ohne gelesen zu werden.
"""
LIST = """From: news@example.org
To: bounces+babc@bounces.example
Subject: Weekly
List-Id: <news.example.org>

All that happened.
"""


def said(mail: str, path: str = "", at: datetime = AT) -> Any:
    """Return what a mail says, as the listener hands it to a reader."""
    return read(f"Return-Path: <{path}>\n{mail}".replace("\n", "\r\n").encode(), at)


def test_a_bounce_says_who_and_why() -> None:
    """And which return paths it names, for whoever has the key to judge."""
    found = said(DSN.format(name="Message-ID: <2@mx.example.org>\n"))

    (receipt,) = found["receipts"]
    assert (receipt["kind"], receipt["bounce"], receipt["reason"]) == ("bounced", "hard", "userunknown")
    assert (receipt["recipient"], receipt["status"]) == ("ann@example.org", "5.1.1")
    assert "bounces+babc@bounces.example" in found["return_paths"]
    assert found["is_understood"]


@pytest.mark.parametrize("name", ["Message-ID: <2@mx.example.org>\n", ""])
def test_the_same_mail_later_has_the_same_key(name: str) -> None:
    """Brought again after a broken connection, with or without a name of its own."""
    first, second = (
        said(DSN.format(name=name), at=AT + later) for later in (timedelta(0), timedelta(hours=1))
    )

    assert first["receipts"][0]["key"] == second["receipts"][0]["key"]


@pytest.mark.parametrize(
    ("mail", "path", "kinds", "is_understood"),
    [
        (ANSWER, "ann@example.org", ["replied"], True),
        (ABSENCE, "ann@example.org", ["auto_replied"], True),
        (ABSENCE, "", ["auto_replied"], True),
        (RECEIPT, "ann@example.org", [], True),
        (RECEIPT, "", [], True),
        (RECEIPT_IN_WORDS, "ann@example.org", [], True),
        (LIST, "news@example.org", [], True),
        (RIDDLE, "", [], False),
    ],
    ids=[
        "a person",
        "a machine",
        "a machine without a path",
        "a read receipt",
        "a read receipt without a path",
        "a read receipt in words",
        "a list",
        "who knows",
    ],
)
def test_what_is_no_bounce_is_none(mail: str, path: str, kinds: list[str], *, is_understood: bool) -> None:
    """A person has a return path; what has none and makes no sense is for the operator to see."""
    found = said(mail, path)

    assert [one["kind"] for one in found["receipts"]] == kinds
    assert found["is_understood"] is is_understood
