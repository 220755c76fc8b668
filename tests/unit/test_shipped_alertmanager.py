"""What Prometheus finds, as people read it: firing, over, and with whatever annotations it has."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from notifier.catalog.types import Catalog
from notifier.events import Json
from notifier.messages import ChannelName, Rendered
from notifier.rendering.templates import Templates

ROOT = Path(__file__).parents[2]
CATALOG = Catalog.load(ROOT / "config" / "events")
ENTRY = CATALOG["alertmanager.alert"]
TEMPLATES = Templates.load(ROOT / "templates", defaults={"brand": {"name": "Northwind"}})
OVER = {"status": "resolved", "ends_at": "2026-11-22T05:00:00Z"}


def render(
    channel: ChannelName, data: Mapping[str, Json], told: Mapping[str, Json] | None = None
) -> Rendered:
    """Render an alert that differs from the sample."""
    values: dict[str, Json] = {
        "event": {"id": "e-1", "type": ENTRY.type, "subject": "x", "time": "2026-11-22T07:00:00+00:00"},
        "data": {**ENTRY.sample, **data},
        "recipient": {"name": None, "locale": "en", "zone": "Europe/Berlin"},
        "message": {"id": "m-1", "reason": ""},
    }
    CATALOG.check(ENTRY.type, values["data"])
    if told is not None:
        values["alert"] = dict(told)
    return TEMPLATES.render("alertmanager/alert", channel, "en", values)


@pytest.mark.parametrize(
    ("data", "told"), [(OVER, None), ({}, {"reason": "all_resolved", "next_at": None, "links": {}})]
)
def test_what_is_over_says_so_everywhere(data: dict[str, Json], told: dict[str, Json] | None) -> None:
    """Also where nobody said it, and the last word was that it fires; there is no runbook to follow."""
    mail = render(ChannelName.EMAIL, data, told)

    assert mail.subject == "Resolved: db-02 is running out of disk space"
    assert "nothing left to do" in mail.text
    assert "runbook" not in mail.text + (mail.html or "")
    assert render(ChannelName.SMS, data, told).text.startswith("RESOLVED db-02")
    assert render(ChannelName.PORTAL, data, told).text.startswith("**Resolved:** db-02")


@pytest.mark.parametrize(
    ("labels", "annotations", "subject"),
    [
        ({"alertname": "DiskFull", "severity": "page"}, {"summary": "No room"}, "PAGE: No room"),
        ({"alertname": "DiskFull"}, {}, "ALERT: DiskFull"),
        ({"instance": "x"}, {"description": "Long words."}, "ALERT: an alert"),
        ({}, {"summary": "Two\nlines"}, "ALERT: Two lines"),
    ],
)
def test_annotations_are_used_as_far_as_they_are_there(
    labels: dict[str, Json], annotations: dict[str, Json], subject: str
) -> None:
    """No label and no annotation is taken for granted."""
    data: dict[str, Json] = {"labels": labels, "annotations": annotations}

    assert render(ChannelName.EMAIL, data).subject == subject
    for channel in (ChannelName.SMS, ChannelName.PORTAL):
        assert render(channel, data).text.strip()


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "see the wiki", "https://wiki.example.com/a b", ""]
)
def test_an_address_nobody_can_open_stops_no_message(address: str) -> None:
    """Annotations are free text: what is no link is left out, and the alert is told."""
    data: dict[str, Json] = {
        "annotations": {"summary": "x", "runbook_url": address, "dashboard_url": address},
        "generator_url": address,
    }

    for channel in (ChannelName.EMAIL, ChannelName.SMS, ChannelName.PORTAL):
        mail = render(channel, data)
        assert "Open the runbook" not in mail.text + (mail.html or "")


def test_labels_and_annotations_are_text_and_no_markup() -> None:
    """Whoever may set a label must not write our mails."""
    data: dict[str, Json] = {
        "labels": {"a": "<b>x</b>"},
        "annotations": {"summary": "<i>y</i>", "description": "<u>z"},
    }

    html = render(ChannelName.EMAIL, data).html or ""

    assert not any(tag in html for tag in ("<b>x", "<i>y", "<u>z"))
    assert "&lt;b&gt;x" in html


def test_a_long_summary_fits_one_sms() -> None:
    """It is cut; the runbook's address is left out where it does not fit."""
    annotations = {"summary": "word " * 60, "runbook_url": "https://wiki.example.com/" + "r" * 60}
    labels = {"severity": "a-severity-of-its-own"}

    for told in ({"reason": "reminder"}, None):
        text = render(ChannelName.SMS, {"annotations": annotations, "labels": labels}, told).text
        assert len(text.strip()) <= 160
    assert len(render(ChannelName.SMS, {"annotations": annotations, **OVER}).text.strip()) <= 160
