"""Reports of mail systems that the labelled mails do not have, written after their documentation."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifier.inbound.reading import read_report

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SAMPLES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "samples.yaml").read_text(encoding="utf-8")
)


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
