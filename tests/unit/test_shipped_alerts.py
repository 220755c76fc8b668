"""The shipped templates with an alert in the context: reminders, worse news, and many alerts in one message."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from notifier.catalog.types import Catalog
from notifier.events import Json
from notifier.messages import ChannelName, Rendered
from notifier.rendering.templates import Templates

ROOT = Path(__file__).parents[2]
CATALOG = {entry.type: entry for entry in Catalog.load(ROOT / "config" / "events")}
LASTING = sorted(
    path.parent.relative_to(ROOT / "templates").as_posix()
    for path in (ROOT / "templates").glob("*/*/body.html.j2")
    if "_layouts/alert.html.j2" in path.read_text(encoding="utf-8") and path.parts[-3] != "notifier"
)
SEVERITIES = ("info", "warning", "error", "critical")


@cache
def templates() -> Templates:
    """Load the shipped templates once for all tests."""
    return Templates.load(ROOT / "templates", defaults={"brand": {"name": "Northwind"}})


def one(number: int, **changes: Json) -> dict[str, Json]:
    """Return an alert as the engine describes it to a template."""
    host = f"web-{number:02d}"
    return {
        "subject": host,
        "type": "server.down",
        "severity": SEVERITIES[number % 4],
        "started_at": f"2026-11-22T03:{number:02d}:00+00:00",
        "labels": {"rule": "server-down", "subject": host, "host": host, "site": "berlin", "rack": "r 7"},
        "data": {"host": host},
        **changes,
    }


def alert(reason: str, firing: int = 1, resolved: int = 0, **changes: Json) -> dict[str, Json]:
    """Return what a message is told about its group."""
    return {
        "reason": reason,
        "rule": "server-down",
        "severity": "critical",
        "group": {"site": "berlin"},
        "firing": [one(number) for number in range(firing)],
        "resolved": [one(50 + number, ended_at="2026-11-22T05:00:00+00:00") for number in range(resolved)],
        "counts": {"firing": firing, "resolved": resolved},
        "next_at": "2026-11-22T09:30:00+00:00" if firing else None,
        "number": 2,
        "links": {"ack": "https://notifier.example/a/t0ken"} if firing else {},
        **changes,
    }


def render(name: str, channel: ChannelName, told: Mapping[str, Json] | None) -> Rendered:
    """Render a template on its type's sample; the group's own one on a server that is down."""
    entry = CATALOG.get(name.replace("/", "."), CATALOG["server.down"])
    event = {"type": entry.type, "subject": entry.sample_subject, "time": "2026-11-22T07:00:00+00:00"}
    values: dict[str, Json] = {
        "event": {"id": "e-1", **event},
        "data": dict(entry.sample),
        "recipient": {"name": None, "locale": "en", "zone": "Europe/Berlin"},
        "message": {"id": "m-1", "reason": ""},
    }
    if told is not None:
        values["alert"] = dict(told)
    return templates().render(name, channel, "en", values)


@pytest.mark.parametrize("name", LASTING)
def test_a_reminder_says_that_it_still_lasts_and_who_can_end_it(name: str) -> None:
    """Subject, SMS and portal begin with the word; the mail says since when, how to take it on, what comes."""
    mail = render(name, ChannelName.EMAIL, alert("reminder"))

    assert mail.subject.startswith("Reminder: ")
    for text in (mail.text, mail.html or ""):
        assert "still " in text
        assert "https://notifier.example/a/t0ken" in text
        assert "22 November 2026, 10:30 CET" in text
    assert render(name, ChannelName.SMS, alert("reminder")).text.startswith("Reminder: ")
    portal = render(name, ChannelName.PORTAL, alert("reminder")).text
    assert portal.startswith("**Reminder: ")
    assert portal.rstrip().endswith("[I am on it](https://notifier.example/a/t0ken)")


@pytest.mark.parametrize("name", LASTING)
def test_worse_news_say_how_bad_it_is_now(name: str) -> None:
    """A raised severity is a reason of its own to be told, and must not read like the first message."""
    mail = render(name, ChannelName.EMAIL, alert("severity_raised"))

    assert mail.subject.startswith("Now critical: ")
    assert "now critical" in mail.text


@pytest.mark.parametrize("name", LASTING)
def test_an_sms_with_its_reason_still_fits(name: str) -> None:
    """The word before it must not cost a second part."""
    for reason in ("reminder", "severity_raised"):
        assert len(render(name, ChannelName.SMS, alert(reason)).text.strip()) <= 160


def test_a_group_names_its_numbers_and_what_its_alerts_share() -> None:
    """The subject alone says how much is wrong, and where."""
    cases = {
        "3 alerts firing, 1 resolved: site berlin": alert("member_resolved", 3, 1),
        "1 alert firing: site berlin": alert("first"),
        "Reminder: 2 alerts firing: site berlin": alert("reminder", 2),
        "All clear: 4 alerts resolved: site berlin": alert("all_resolved", 0, 4),
        "2 alerts firing: server-down": alert("first", 2, group={}),
        "1 alert firing: db-02": None,
    }

    for subject, told in cases.items():
        assert render("notifier/alerts", ChannelName.EMAIL, told).subject == subject


def test_a_group_shows_the_worst_twenty_and_counts_the_rest() -> None:
    """Of fifty alerts all critical ones are shown before any other; nobody scrolls through the rest."""
    mail = render("notifier/alerts", ChannelName.EMAIL, alert("first", 50))

    assert mail.text.count("server down") == 20
    assert mail.text.count("(critical, since") == 12
    assert mail.text.index("web-47") < mail.text.index("web-02")
    assert "and 30 more" in mail.text
    assert (mail.html or "").count("<li") == 21


def test_a_group_of_any_size_fits_one_sms() -> None:
    """Names that are long, and counts as in a storm, are cut and not sent as a second part."""
    long = one(3, subject="a-host-with-a-rather-long-name.example.com", type="infrastructure.anomaly")
    storm = alert("severity_raised", group={"site": "berlin", "customer": "Contoso Manufacturing"})
    storm |= {"firing": [long, long], "counts": {"firing": 100_000, "resolved": 12_345}}

    assert len(render("notifier/alerts", ChannelName.SMS, storm).text.strip()) <= 160


def test_a_group_that_is_over_asks_for_nothing() -> None:
    """What ended is listed with its end; there is no link to take it on."""
    mail = render("notifier/alerts", ChannelName.EMAIL, alert("all_resolved", 0, 2))

    assert "nothing left to do" in mail.text
    assert mail.text.count("(ended 22 November 2026, 06:00 CET)") == 2
    assert "Is it yours?" not in mail.text
