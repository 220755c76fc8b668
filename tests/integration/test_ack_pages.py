"""Links in mails by which people take charge: looking changes nothing, pressing does, once; over real HTTP."""

import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from notifier.pipeline.alerting.alert_states import open_alert
from notifier.store.ack_links import prune_links
from notifier.store.alerts import firing_alerts
from tests.alerting import Stage
from tests.command import command
from tests.services import MakeFlow
from tests.web import served_keyless, snapshot, sweeping, title

pytestmark = pytest.mark.servers

PUBLIC = "https://notifier.example.com/n"
LINK = re.compile(rf"{PUBLIC}(/ack/[A-Za-z0-9_-]+)")


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier that people can reach, with two of them to tell: the second one reads German."""
    lists = {
        "operators": [
            {"email": "ann@notifier.example", "name": "Ann"},
            {"email": "bob@notifier.example", "name": "Bob", "locale": "de"},
        ]
    }
    return Stage(make_flow, tmp_path, public_url=PUBLIC, lists=lists)


@pytest.fixture
def web(stage: Stage) -> Iterator[httpx.Client]:
    """The web process: as it is run, without the master key and under its own role."""
    with served_keyless(stage.flow.services.settings) as client:
        yield client


def link(mails: list[EmailMessage], to: str) -> str:
    """Return the path of the link in the mail to somebody."""
    (mail,) = [one for one in mails if to in one["To"]]
    body = mail.get_body(("plain",))
    assert body is not None
    found = LINK.search(body.get_content())
    assert found is not None, body.get_content()
    return found[1]


def test_each_recipient_has_a_link_of_their_own(stage: Stage) -> None:
    """In text and HTML; what is kept of the message has it blanked, the database only its hash."""
    mails = stage.down("web-1")

    paths = {link(mails, "ann@"), link(mails, "bob@")}
    html = mails[0].get_body(("html",))

    assert len(paths) == 2
    assert html is not None
    assert LINK.search(html.get_content())
    dump = repr(stage.flow.query("SELECT l::text FROM ack_link l"))
    assert not any(path.removeprefix("/ack/") in dump for path in paths)
    assert stage.counts("ack_link") == [2]


def test_what_is_kept_of_a_message_has_no_link(stage: Stage) -> None:
    """Whoever may read what was said may not take charge in another's name."""
    path = link(stage.down("web-1"), "ann@")
    (message,) = stage.flow.query(
        "SELECT message_id FROM ack_link WHERE digest = %s",
        hashlib.sha256(path.removeprefix("/ack/").encode()).digest(),
    )[0]

    with capture_logs():
        shown = command(stage.flow.services)("show", message, "--body").stdout

    assert "[secret]" in shown
    assert path.removeprefix("/ack/") not in shown


def test_a_link_that_is_long_over_is_forgotten(stage: Stage) -> None:
    """A month later, with its reply codes; until then it says that it expired."""
    stage.down("web-1")
    with stage.flow.services.database.connection() as connection:
        connection.execute(
            "UPDATE ack_link SET expires_at = now() - interval '29 days' - random() * interval '1 hour'"
        )
        prune_links(connection)
        kept = stage.counts("ack_link")
        connection.execute(
            "INSERT INTO reply_code SELECT 'p', '4A', tenant, group_id, digest, now(), now() FROM ack_link LIMIT 1"
        )
        connection.execute("UPDATE ack_link SET expires_at = now() - interval '31 days'")
        prune_links(connection)

    assert kept == [2]
    assert stage.counts("ack_link", "reply_code") == [0, 0]


def test_looking_changes_nothing(stage: Stage, web: httpx.Client) -> None:
    """However often, with whatever headers a scanner sends, in any state of the alert."""
    path = link(stage.down("web-1"), "ann@")
    answers = []
    for step in ("open", "taken", "over"):
        before = snapshot(stage.flow)
        answers += [
            web.get(path),
            web.head(path),
            web.get(path, headers={"Purpose": "prefetch"}),
            web.get(path + "x"),
        ]
        assert snapshot(stage.flow) == before, step
        if step == "open":
            stage.acknowledger.group(stage.group(), "Bob", stage.clock.now())
        else:
            stage.feed("server.recovered", "web-1")

    assert [title(one) for one in answers[::4]] == ["Is it yours?", "Somebody is on it already", "It is over"]
    assert {one.status_code for one in answers[3::4]} == {404}


def test_pressing_the_button_takes_charge(stage: Stage, web: httpx.Client) -> None:
    """The page says so at once; the record names whose link it was."""
    path = link(stage.down("web-1", "web-2"), "ann@")

    before = web.get(path)
    with sweeping(stage.flow.services.ack_requests.run):
        answer = web.post(path)
    again = web.get(path)

    with stage.flow.services.database.connection() as connection:
        states = [
            open_alert(stage.flow.services.keyring, row) for row in firing_alerts(connection, "default")
        ]
    assert 'form method="post"' in before.text
    assert (answer.status_code, title(answer), title(again)) == (200, "You are on it", "You are on it")
    assert "form method" not in answer.text
    assert [one.acknowledged_by for one in states] == ["Ann", "Ann"]
    assert stage.told(hours=2) == []


def test_until_the_sweep_comes_it_is_noted(stage: Stage, web: httpx.Client) -> None:
    """Pressed twice meanwhile is asked once."""
    path = link(stage.down("web-1"), "bob@")

    first, second = web.post(path), web.post(path)
    found = stage.flow.services.sweep.run()["asked"]

    assert (title(first), title(second)) == ("Notiert", "Notiert")
    assert found == 1
    assert title(web.get(path)) == "Sie kümmern sich darum"


def test_who_comes_second_is_told_so(stage: Stage, web: httpx.Client) -> None:
    """In their own language, and it changes nothing."""
    mails = stage.down("web-1")
    with sweeping(stage.flow.services.ack_requests.run):
        web.post(link(mails, "ann@"))
    before = snapshot(stage.flow)

    answer = web.post(link(mails, "bob@"))

    assert title(answer) == "Es kümmert sich schon jemand"
    assert snapshot(stage.flow) == before


def test_what_is_over_says_so(stage: Stage, web: httpx.Client) -> None:
    """Also when it ended between looking and pressing, and when its group is gone."""
    path = link(stage.down("web-1"), "ann@")
    stage.feed("server.recovered", "web-1")

    ended = web.post(path)
    stage.told(minutes=5)
    gone = web.post(path)

    assert (title(ended), title(gone)) == ("It is over", "It is over")
    assert stage.statuses() == {"web-1": "resolved"}


def test_a_link_that_raced_with_the_end_is_over(stage: Stage, web: httpx.Client) -> None:
    """Asked while it fired, carried out after."""
    path = link(stage.down("web-1"), "ann@")
    with psycopg.connect(stage.flow.services.settings.web_database_url.get_secret_value()) as role:  # type: ignore[union-attr]
        digest = hashlib.sha256(path.removeprefix("/ack/").encode()).digest()
        role.execute("SELECT notifier_ack_ask(%s)", [digest])
    stage.feed("server.recovered", "web-1")

    stage.flow.services.ack_requests.run()

    assert title(web.get(path)) == "It is over"
    assert stage.flow.query("SELECT outcome FROM ack_link WHERE asked_at IS NOT NULL") == [("over",)]


def test_a_link_is_only_of_what_its_message_told(stage: Stage, web: httpx.Client) -> None:
    """What joined afterwards stays open, and so does what began anew."""
    path = link(stage.down("web-1"), "ann@")
    stage.clock.advance(timedelta(minutes=1))
    stage.feed("server.down", "web-2")
    stage.told(minutes=5)
    stage.feed("server.recovered", "web-1")
    stage.told(minutes=5)
    stage.feed("server.down", "web-1")
    stage.told(minutes=5)

    answer = web.post(path)

    assert title(answer) == "It is over"
    assert stage.statuses() == {"web-1": "firing", "web-2": "firing"}


def test_an_expired_link_says_so_and_does_nothing(stage: Stage, web: httpx.Client) -> None:
    """After a day, unless the settings say otherwise."""
    path = link(stage.down("web-1"), "ann@")
    (span,) = stage.flow.query("SELECT min(expires_at) - %s FROM ack_link", stage.clock.now())[0]
    with stage.flow.services.database.connection() as connection:
        connection.execute("UPDATE ack_link SET expires_at = now()")

    shown, pressed = web.get(path), web.post(path)

    assert timedelta(hours=23, minutes=59) < span <= timedelta(days=1)
    assert (shown.status_code, title(shown)) == (410, "This link has expired")
    assert (pressed.status_code, title(pressed)) == (410, "This link has expired")
    assert stage.flow.services.ack_requests.run() == 0
    assert stage.statuses() == {"web-1": "firing"}


def test_a_forged_link_is_none_and_guessing_ends_soon(stage: Stage, web: httpx.Client) -> None:
    """In the browser's language; after too many wrong ones nobody is asked any more."""
    path = link(stage.down("web-1"), "ann@")
    forged = path[:-1] + ("A" if path[-1] != "A" else "B")

    answers = [web.post(forged, headers={"Accept-Language": "de-DE"}) for _ in range(40)]
    late = web.get(path)

    assert (answers[0].status_code, title(answers[0])) == (404, "Dieser Link gilt nicht")
    assert answers[-1].status_code == late.status_code == 429
    assert late.headers["retry-after"] == "60"
    assert stage.flow.services.ack_requests.run() == 0


def test_the_page_lets_browsers_do_nothing_else(stage: Stage, web: httpx.Client) -> None:
    """Not kept, not framed, no script, and the link is told to nobody."""
    answer = web.get(link(stage.down("web-1"), "ann@"))

    headers = answer.headers
    policy = headers["content-security-policy"]
    style = re.search(r"<style>(.*?)</style>", answer.text)
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert style is not None
    assert "unsafe" not in policy
    assert "script" not in answer.text


def test_an_erased_recipient_is_not_named(stage: Stage, web: httpx.Client) -> None:
    """Somebody took it; who it was is gone."""
    path = link(stage.down("web-1"), "ann@")
    from notifier.pipeline.people.erase import Eraser

    services = stage.flow.services
    Eraser(services.database, services.keyring, services.catalog).erase("default", "ann@notifier.example")
    web.post(path)
    services.ack_requests.run()

    with services.database.connection() as connection:
        states = [open_alert(services.keyring, row) for row in firing_alerts(connection, "default")]
    assert [one.acknowledged_by for one in states] == ["somebody who was told"]


def test_without_a_public_address_there_are_no_links(make_flow: MakeFlow, tmp_path: Path) -> None:
    """And nothing is kept for them."""
    stage = Stage(make_flow, tmp_path)

    (mail,) = stage.down("web-1")

    assert "/ack/" not in str(mail)
    assert stage.counts("ack_link") == [0]


def test_a_page_answers_while_the_database_is_away(
    stage: Stage, web: httpx.Client, database_url: str
) -> None:
    """It says so, and asks to try again."""
    path = link(stage.down("web-1"), "ann@")
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("ALTER FUNCTION notifier_ack_look(bytea) RENAME TO gone")
        admin.execute(
            "CREATE FUNCTION notifier_ack_look(bytea) RETURNS TABLE (x int) LANGUAGE sql AS "
            "'SELECT 1 FROM pg_sleep(20)'"
        )
        admin.execute("GRANT EXECUTE ON FUNCTION notifier_ack_look(bytea) TO notifier_web")

    answer = web.get(path)

    assert (answer.status_code, title(answer)) == (503, "Not right now")
