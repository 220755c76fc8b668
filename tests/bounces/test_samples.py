"""Reports of mail systems that the labelled mails do not have, written after their documentation."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifier.inbound.reading import read_report
from notifier.inbound.reasons import Evidence, ordinary, rules
from notifier.inbound.smtp_words import codes_in, phase_in

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SAMPLES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "samples.yaml").read_text(encoding="utf-8")
)

REPLIES = [
    tuple(line.split("|", 1))
    for line in (Path(__file__).parent / "replies.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def mail_of(sample: dict[str, Any]) -> bytes:
    """Return a sample as it would come."""
    text = "".join(f"{name}: {value}\n" for name, value in sample.get("headers", {}).items()) + sample["mail"]
    charset = sample.get("charset", "utf-8")
    return text.replace("charset=UTF-8", f"charset={charset}").encode(charset)


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample["name"] for sample in SAMPLES])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_a_report_is_read(sample: dict[str, Any], line_end: bytes) -> None:
    """Its kind, whom it is about, and why; whatever the line ends."""
    report = read_report(mail_of(sample).replace(b"\n", line_end), received_at=NOW)

    assert report.kind == sample.get("kind", "bounce")
    assert {one.address: one.reason for one in report.recipients} == sample["want"]


@pytest.mark.parametrize(("reason", "said"), REPLIES, ids=[said for _, said in REPLIES])
def test_a_servers_words_have_a_reason(reason: str, said: str) -> None:
    """Those of well-known hosts, each by itself."""
    code, status = codes_in(said)

    evidence = Evidence(said=ordinary(said), status=status, code=code, phase=phase_in(said))

    assert rules().reason(evidence) == reason


@pytest.mark.parametrize(
    "subject",
    [
        "Automaattinen vastaus: Tilaus", "Frånvarande: Order", "Automatikus válasz: Rendelés", "Otomatik cevap: Order",
        "Răspuns automat: Comanda", "Αυτόματη απάντηση: Παραγγελία", "Автоматична відповідь: Замовлення",
        "Automatski odgovor: Narudžba", "Samodejni odgovor: Naročilo", "תשובה אוטומטית: הזמנה", "رد تلقائي: الطلب",
    ],
)  # fmt: skip
def test_an_automatic_reply_is_known_by_its_subject_alone(subject: str) -> None:
    """What Outlook writes in front of the subject, in the languages it speaks; and no address is blamed for it."""
    mail = f"From: Kunde <kunde@receiver.example>\nTo: shop@sender.example\nSubject: {subject}\n\n...\n"

    report = read_report(mail.encode(), received_at=NOW)

    assert report.kind == "auto_reply"
    assert not any(one.hard for one in report.recipients)


LATE = [
    (
        "This message was created automatically by mail delivery software. A message that you sent\nhas not yet been "
        "delivered to one or more of its recipients:\n\n  jo@receiver.example\n    Delay reason: 451 4.7.1 Greylist\n\n"
        "No action is required on your part. Delivery attempts will continue. Eventually the mail delivery\n"
        "software will give up, and when that happens, the message will be returned to you.\n"
    ),
    (
        "   ** THIS IS A WARNING MESSAGE ONLY **\n\n<jo@receiver.example>... Deferred: Connection timed out\n"
        "Warning: message still undelivered after 4 hours\nWill keep trying until message is 5 days old\n"
    ),
    "Ihre Nachricht konnte noch nicht zugestellt werden:\n\n  jo@receiver.example\n\nWeitere Zustellversuche folgen.\n",
]
OVER = [
    "<jo@receiver.example>:\nI'm not going to try again; this message has been in the queue too long. (#4.4.1)\n",
    "Delivery has been delayed and we have given up on:\n\n  jo@receiver.example\n    450 4.2.0 try again later\n",
    "This is a permanent error. The following address failed:\n\n  jo@receiver.example\n    retry timeout exceeded\n",
    "The message was delayed and could not be delivered:\n\n<jo@receiver.example>: 550 5.1.1 no such user\n",
]


@pytest.mark.parametrize(
    ("text", "action"), [*((one, "delayed") for one in LATE), *((one, "failed") for one in OVER)]
)
def test_what_is_late_is_not_lost_though_only_words_say_so(text: str, action: str) -> None:
    """Else a warning would count as the end, and the mail that comes after it as none."""
    mail = (
        f"From: mailer-daemon@mx.example\nTo: shop@sender.example\nSubject: Mail delivery problem\n\n{text}"
    )

    report = read_report(mail.encode(), received_at=NOW)

    assert [(one.address, one.action, one.hard and action == "delayed") for one in report.recipients] == [
        ("jo@receiver.example", action, False)
    ]
