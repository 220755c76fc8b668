"""The digest of failures says of a day what is true of it, in every file of its template."""

from collections.abc import Mapping

import pytest

from notifier.messages import ChannelName, Rendered
from tests.services import shipped_templates

ROW = {
    "type": "order.shipped",
    "channel": "email",
    "status": "failed",
    "reason": "mailbox-unknown",
    "count": 3,
}
WELL = {"told": 12, "arrived": 12, "lost": 0, "unknown": 0, "withheld": 0}
NONE = {"refused": 0, "poison": 0}


def digest(channel: ChannelName, **live: object) -> Rendered:
    """Render the digest with these answers of its look-ups."""
    context: Mapping[str, object] = {
        "event": {
            "id": "e-1",
            "type": "notifier.digest.failures",
            "subject": "daily",
            "time": "2026-11-22T07:00:00+00:00",
        },
        "data": {},
        "recipient": {"name": None, "locale": "en", "zone": "UTC"},
        "live": {"totals": WELL, "failures": [], "dead_letters": NONE, **live},
        "journey": None,
        "brand": {"name": "Northwind", "color": "#14532d", "url": "https://x.example", "support_email": "a@x.example"},
        "why": "you run notifier",
        "links": {},
        "message": {"id": "m-1", "reason": "operators"},
    }  # fmt: skip
    return shipped_templates().render("notifier/digest_failures", channel, "en", context)


@pytest.mark.parametrize(
    ("live", "headline"),
    [
        ({}, "Nothing was lost"),
        ({"failures": [ROW]}, "Nothing was lost, though some tries failed"),
        ({"totals": {**WELL, "unknown": 1}}, "1 notification may not have arrived"),
        ({"dead_letters": {"refused": 2, "poison": 1}}, "3 events wait in the dead letters"),
        ({"totals": {**WELL, "lost": 2}, "failures": [ROW]}, "2 notifications of 12 reached nobody"),
    ],
)
def test_the_headline_counts_people_who_were_not_reached(live: dict[str, object], headline: str) -> None:
    """A failed mail whose SMS arrived is a try that failed; an unknown one may have arrived."""
    mail = digest(ChannelName.EMAIL, **live)

    assert mail.subject is not None
    assert mail.subject.startswith(headline)
    assert headline in mail.text
    assert mail.html is not None
    assert headline in mail.html
    for channel in (ChannelName.SMS, ChannelName.PORTAL):
        assert headline in digest(channel, **live).text


def test_each_kind_of_trouble_comes_with_its_command() -> None:
    """And a day without any says that there is nothing to do."""
    trouble = digest(
        ChannelName.EMAIL,
        totals={**WELL, "unknown": 1},
        failures=[ROW],
        dead_letters={"refused": 2, "poison": 0},
    ).text
    well = digest(ChannelName.EMAIL).text

    assert "notifier log --status failed --status expired\n" in trouble
    assert "notifier log --status unknown\n" in trouble
    assert "notifier dead list\n" in trouble
    assert "3 x: order.shipped by email, failed: mailbox-unknown" in trouble
    assert "notifier " not in well.partition("nothing to do")[0]
