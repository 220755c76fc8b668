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
