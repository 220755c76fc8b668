"""Unsubscribing: one click acts, a look never does, and what is essential still arrives; over real HTTP and SMTP."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from notifier.pipeline.people.erase import Eraser
from notifier.recipients.suppression import Cause
from notifier.store import person_links, suppressions
from notifier.store.database import Connection
from notifier.store.person_links import LinkAsk, PersonLinkDesk
from notifier.store.suppressions import suppress
from notifier.tokens import join_person_link, link_digest, message_id_of, split_person_link
from tests.consent import ANN, PUBLIC, Stage, path_of
from tests.services import MakeFlow
from tests.web import served_keyless, snapshot, sweeping, title

pytestmark = pytest.mark.servers

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier that people can reach."""
    return Stage(make_flow, tmp_path)


@pytest.fixture
def web(stage: Stage) -> Iterator[httpx.Client]:
    """The web process: as it is run, without the master key and under its own role."""
    with served_keyless(stage.flow.services.settings) as client:
        yield client


OFFERED = {
    "news.made": (True, True),
    "offer.made": (True, True),
    "disk.full": (True, True),
    "fire.seen": (False, True),
    "law.changed": (False, True),
    "password.reset": (False, False),
    "order.made": (False, False),
}
"""Type → whether it can be refused, and whether it says where to choose."""


def test_what_may_be_refused_says_how(stage: Stage) -> None:
    """In its headers (RFC 8058) and its footer; what may not be refused says at most where to choose."""
    for type_, (can_refuse, can_choose) in OFFERED.items():
        mail = stage.tell(type_)

        assert mail is not None
        raw = stage.flow.smtp.received[-1].data
        html = mail.get_body(("html",))
        assert html is not None
        assert ("/p/" in html.get_content()) == can_choose, type_
        if can_refuse:
            assert mail["List-Unsubscribe"] == f"<{PUBLIC}{path_of(mail)}>", type_
            assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            assert f"<{PUBLIC}{path_of(mail)}>".encode() in raw  # on one line, in no encoded word
            assert len(path_of(mail)) < 75
            assert path_of(mail) in html.get_content()
        else:
            assert mail["List-Unsubscribe"] is None, type_
            assert mail["List-Unsubscribe-Post"] is None
            assert b"/u/" not in raw


def test_who_refused_everything_elsewhere_takes_one_thing_back(stage: Stage, web: httpx.Client) -> None:
    """A provider's own list knows no categories; here the rest stays refused."""
    path = path_of(stage.tell("news.made"))
    with stage.flow.services.database.connection() as connection:
        suppress(connection, "default", stage.index(), "unsubscribed", cause=Cause.UNSUBSCRIBE)
    is_stopped = stage.tell("news.made") is None

    shown = web.get(path)
    web.post(path, data={"do": "undo"})
    stage.flow.services.link_requests.run()

    assert is_stopped
    assert title(shown) == "You are unsubscribed"
    assert stage.tell("news.made") is not None
    assert stage.tell("offer.made") is None
    assert "*" not in {scope for scope, _ in stage.suppressed()}


def test_over_plain_http_one_click_is_not_announced(make_flow: MakeFlow, tmp_path: Path) -> None:
    """RFC 8058 §3.1 asks for HTTPS; the link itself is there all the same."""
    stage = Stage(make_flow, tmp_path, public_url="http://notifier.example.com")

    mail = stage.tell("news.made")

    assert mail is not None
    assert mail["List-Unsubscribe"].startswith("<http://notifier.example.com/u/")
    assert mail["List-Unsubscribe-Post"] is None


def test_without_a_public_address_nothing_is_offered(make_flow: MakeFlow, tmp_path: Path) -> None:
    """And nothing is kept for it."""
    stage = Stage(make_flow, tmp_path, public_url=None)

    mail = stage.tell("news.made")

    assert mail is not None
    assert mail["List-Unsubscribe"] is None
    assert stage.flow.query("SELECT 1 FROM person_link") == []


def test_a_bulk_mailing_keeps_one_link_for_each_person(stage: Stage) -> None:
    """Not one for each message; the database has its hash, the kept text has it blanked."""
    mails = [stage.tell("news.made"), stage.tell("news.made"), stage.tell("news.made", to="bob@example.org")]

    paths = [path_of(mail) for mail in mails]
    tokens = [path[3:27] for path in paths]
    services = stage.flow.services
    with services.database.connection() as connection:
        rows = connection.execute(
            """SELECT body.sealed, person.data_key FROM body JOIN message m ON m.id = body.message_id
               JOIN person ON person.id = m.person_id"""
        ).fetchall()
    kept = [services.keyring.open_data_key(key).unseal(sealed, b"body") for sealed, key in rows]

    assert len(set(paths)) == 3
    assert len(set(tokens)) == 2
    assert stage.flow.query("SELECT count(*) FROM person_link") == [(2,)]
    assert not any(token in repr(stage.flow.query("SELECT t::text FROM person_link t")) for token in tokens)
    assert len(kept) == 3
    assert not any(token.encode() in body for token in tokens for body in kept)


def test_looking_changes_nothing(stage: Stage, web: httpx.Client) -> None:
    """Gateways open every link (complaint 9): however often, whatever they send along."""
    path = path_of(stage.tell("news.made"))
    before = snapshot(stage.flow)

    for suffix in ("", "?List-Unsubscribe=One-Click", "?do=unsubscribe", "x"):
        for headers in ({}, {"Purpose": "prefetch"}, {"User-Agent": "Mozilla/5.0 (BarracudaCentral)"}):
            web.get(path + suffix, headers=headers)
            web.head(path + suffix, headers=headers)

    assert snapshot(stage.flow) == before
    assert stage.tell("news.made") is not None


@pytest.mark.parametrize("shape", ["urlencoded", "multipart", "with a line break"])
def test_one_click_acts_at_once(stage: Stage, web: httpx.Client, shape: str) -> None:
    """One POST, no cookie, no redirect, no second page (complaint 10); it holds from the next mail on."""
    mail = stage.tell("news.made")
    assert mail is not None
    path = path_of(mail)

    if shape == "urlencoded":
        answer = web.post(path, data=ONE_CLICK)
    elif shape == "with a line break":
        answer = web.post(path, content=b"List-Unsubscribe=One-Click\r\n", headers=FORM)
    else:
        answer = web.post(path, files={"List-Unsubscribe": (None, "One-Click")})
    stage.flow.services.sweep.run()

    assert answer.status_code == 200
    assert answer.history == []
    assert "set-cookie" not in answer.headers
    assert stage.suppressed() == {("news", "unsubscribed")}
    assert stage.tell("news.made") is None
    assert stage.flow.messages()[-1][1] == "suppressed"
    assert stage.tell("offer.made") is not None
    assert stage.tell("password.reset") is not None, "a reset still arrives, although of the same category"
    (how, message) = stage.flow.query("SELECT how, message_id FROM preference_change")[0]
    key = stage.flow.services.keyring.token_key
    assert (how, message) == ("one_click", message_id_of(key, mail["Message-ID"]))


def test_one_click_twice_is_one(stage: Stage, web: httpx.Client) -> None:
    """Providers repeat it, also before the sweep came."""
    path = path_of(stage.tell("news.made"))

    answers = [web.post(path, data=ONE_CLICK) for _ in range(3)]
    first = stage.flow.services.link_requests.run()
    web.post(path, data=ONE_CLICK)
    stage.flow.services.link_requests.run()

    assert {answer.status_code for answer in answers} == {200}
    assert first == 1
    assert stage.flow.query("SELECT count(*) FROM preference_change") == [(1,)]


def test_what_is_asked_by_one_link_is_carried_out_in_its_order(stage: Stage, web: httpx.Client) -> None:
    """While one sweep is at the refusal, another does not take its undoing."""
    stage.flow.services.track.publish_key()
    path = path_of(stage.tell("news.made"))
    token = split_person_link(path.rpartition("/")[2])
    assert token is not None
    web.post(path, data=ONE_CLICK)
    database = stage.flow.services.database
    PersonLinkDesk(database).ask(link_digest(token[0]), "undo", how="page")

    with database.transaction() as one, database.transaction() as other:
        taken, meanwhile = person_links.take_ask(one), person_links.take_ask(other)

    assert taken is not None
    assert taken.kind == "unsubscribe"
    assert meanwhile is None


def test_a_queued_mail_stays_back(stage: Stage, web: httpx.Client) -> None:
    """It was decided before, and is asked about once more before it goes."""
    path = path_of(stage.tell("news.made"))
    stage.flow.ingest({"type": "news.made", "subject": "S-2", "data": {"to": ANN, "locale": "en"}})

    web.post(path, data=ONE_CLICK)
    stage.flow.services.link_requests.run()
    stage.flow.deliver()

    assert len(stage.flow.smtp.received) == 1


def test_a_contact_opts_out_on_every_channel(stage: Stage, web: httpx.Client) -> None:
    """In the address book too, where a channel without this address would go on otherwise."""
    stage.know(opt_outs=frozenset({"it"}), wishes={"opt_ins": ["news", "club"]})
    path = path_of(stage.tell("news.made"))

    with sweeping(stage.flow.services.link_requests.run):
        answer = web.post(path, data={"do": "unsubscribe"})

    assert title(answer) == "You are unsubscribed"
    assert stage.flow.query("SELECT opt_outs FROM contact") == [(["it", "news"],)]
    assert stage.tell("news.made") is None


def test_the_button_and_its_way_back(stage: Stage, web: httpx.Client) -> None:
    """The page says what came of it, in German, and offers to take it back."""
    stage.know()
    path = path_of(stage.tell("news.made", locale="de-AT"))

    before = web.get(path)
    with sweeping(stage.flow.services.link_requests.run):
        done = web.post(path, data={"do": "unsubscribe"})
        undone = web.post(path, data={"do": "undo"})

    assert (before.status_code, title(before)) == (200, "Abmelden?")
    assert '<html lang="de">' in before.text
    assert title(done) == "Sie sind abgemeldet"
    assert title(undone) == "Willkommen zurück"
    assert stage.suppressed() == set()
    assert stage.flow.query("SELECT opt_outs FROM contact") == [([],)]
    assert stage.tell("news.made") is not None
    assert [row[0] for row in stage.flow.query("SELECT how FROM preference_change ORDER BY id")] == [
        "page"
    ] * 2


def test_all_but_essential_mail_can_be_stopped(stage: Stage, web: httpx.Client) -> None:
    """Everything that may be refused, and nothing else; undone it is as it was before."""
    with stage.flow.services.database.connection() as connection:
        suppress(
            connection, "default", stage.index(), "unsubscribed", cause=Cause.UNSUBSCRIBE, scope="offers"
        )
    path = path_of(stage.tell("news.made"))

    with sweeping(stage.flow.services.link_requests.run):
        answer = web.post(path, data={"do": "all"})
        stopped = [stage.tell(one) is None for one in ("news.made", "offer.made", "disk.full")]
        arriving = [stage.tell(one) is not None for one in ("order.made", "law.changed", "fire.seen")]
        web.post(path, data={"do": "undo"})

    assert title(answer) == "You are unsubscribed from everything"
    assert stopped == [True] * 3
    assert arriving == [True] * 3
    assert stage.tell("news.made") is not None
    assert stage.suppressed() == {("offers", "unsubscribed")}


def test_undoing_leaves_other_reasons(stage: Stage, web: httpx.Client) -> None:
    """Who was suppressed for a complaint is not freed by a button."""
    path = path_of(stage.tell("news.made"))
    with stage.flow.services.database.connection() as connection:
        suppress(connection, "default", stage.index(), "complained", cause=Cause.COMPLAINT, scope="news")

    with sweeping(stage.flow.services.link_requests.run):
        web.post(path, data={"do": "unsubscribe"})
        web.post(path, data={"do": "undo"})

    assert stage.suppressed() == {("news", "complained")}


def test_a_post_that_asks_for_nothing_does_nothing(stage: Stage, web: httpx.Client) -> None:
    """The page is shown as it is."""
    path = path_of(stage.tell("news.made"))
    kind = {"content-type": "application/x-www-form-urlencoded"}

    answers = [
        web.post(path, content=body, headers=kind)
        for body in (b"", b"x=1", b"do=delete", b"%ff", b"x" * 10_000)
    ]

    assert {(one.status_code, title(one)) for one in answers} == {(200, "Unsubscribe?")}
    assert stage.flow.query("SELECT 1 FROM link_ask") == []


def test_a_link_lives_for_a_year_and_more(stage: Stage, web: httpx.Client) -> None:
    """CAN-SPAM asks for 30 days; each newer mail prolongs it; over, it says so and does nothing."""
    path = path_of(stage.tell("news.made"))
    (span,) = stage.flow.query("SELECT expires_at - now() FROM person_link")[0]
    with stage.flow.services.database.connection() as connection:
        connection.execute("UPDATE person_link SET expires_at = now() + interval '3 days'")
        stage.tell("news.made")
        (prolonged,) = stage.flow.query("SELECT expires_at - now() FROM person_link")[0]
        connection.execute("UPDATE person_link SET expires_at = now()")
        answer, again = web.post(path, data=ONE_CLICK), web.get(path)
        connection.execute("UPDATE person_link SET expires_at = now() - interval '31 days'")
        person_links.prune(connection)

    assert timedelta(days=399) < span <= timedelta(days=400)
    assert timedelta(days=399) < prolonged <= timedelta(days=400)
    assert (answer.status_code, title(again)) == (410, "This link has expired")
    assert stage.flow.query("SELECT 1 FROM link_ask") == []
    assert web.get(path).status_code == 404


def test_a_forged_link_is_none(stage: Stage, web: httpx.Client) -> None:
    """In the browser's language; after too many no page is shown any more, and a true click still counts."""
    path = path_of(stage.tell("news.made"))
    forged = "/u/" + ("A" if path[3] != "A" else "B") + path[4:]

    answers = [
        web.post(forged, data=ONE_CLICK, headers={"Accept-Language": "xx, fr;q=0.5"}) for _ in range(121)
    ]

    assert (answers[0].status_code, title(answers[0])) == (404, "Ce lien n\u2019est pas valable")
    assert answers[-1].status_code == web.get(path).status_code == 429
    assert web.post(path, data=ONE_CLICK).status_code == 200
    assert stage.flow.services.link_requests.run() == 1


def test_a_link_holds_as_a_whole_or_not_at_all(stage: Stage, web: httpx.Client) -> None:
    """Whichever character was changed on the way, or lost."""
    path = path_of(stage.tell("news.made"))
    changed = [
        path[:place] + ("A" if path[place] != "A" else "B") + path[place + 1 :]
        for place in range(3, len(path))
    ]

    answers = [web.post(one, data=ONE_CLICK) for one in (*changed, path[:-1], path + "A")]

    assert {answer.status_code for answer in answers} == {404}
    assert stage.flow.query("SELECT 1 FROM link_ask") == []


def test_a_forged_message_is_not_believed(stage: Stage, web: httpx.Client) -> None:
    """The link itself holds: it is their own. What it stood in is left open."""
    token, tag = split_person_link(path_of(stage.tell("news.made"))[3:]) or ("", None)
    assert tag is not None
    forged = tag[:-1] + ("A" if tag[-1] != "A" else "B")

    web.post(f"/u/{join_person_link(token, forged)}", data=ONE_CLICK)
    stage.flow.services.link_requests.run()

    assert stage.flow.query("SELECT how, message_id FROM preference_change") == [("one_click", None)]


def test_after_erasure_the_page_is_neutral_and_the_wish_stays(stage: Stage, web: httpx.Client) -> None:
    """The suppression is a keyed hash and survives; a click after it is honoured too."""
    stage.know()
    path, other = path_of(stage.tell("news.made")), path_of(stage.tell("offer.made"))
    web.post(path, data=ONE_CLICK)
    services = stage.flow.services
    services.link_requests.run()

    Eraser(services.database, services.keyring, services.catalog).erase("default", ANN)
    shown = web.get(path)
    web.post(other, data=ONE_CLICK)
    services.link_requests.run()

    assert title(shown) == "There is nothing here any more"
    assert "news" not in shown.text.lower()
    assert "<button" not in shown.text
    assert stage.suppressed() == {("news", "unsubscribed"), ("offers", "unsubscribed")}
    assert stage.flow.query("SELECT 1 FROM preference_change") == []
    assert stage.tell("news.made") is None, "addressed again, they are left alone"


def test_a_page_lets_browsers_do_nothing_else(stage: Stage, web: httpx.Client) -> None:
    """Not kept, not framed, no script, and the link is told to nobody."""
    answer = web.get(path_of(stage.tell("news.made")))

    style = re.search(r"<style>(.*?)</style>", answer.text)
    assert style is not None
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "script" not in answer.text
    assert "http" not in answer.text.replace("http-equiv", "")


def test_a_database_that_is_away_is_said(stage: Stage, web: httpx.Client, database_url: str) -> None:
    """A provider that asked by one click tries again later."""
    path = path_of(stage.tell("news.made"))
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("ALTER FUNCTION notifier_link_look(bytea) RENAME TO gone")
        admin.execute(
            "CREATE FUNCTION notifier_link_look(bytea) RETURNS TABLE (x int) LANGUAGE sql AS "
            "'SELECT 1 FROM pg_sleep(20)'"
        )
        admin.execute("GRANT EXECUTE ON FUNCTION notifier_link_look(bytea) TO notifier_web")

    answer = web.post(path, data=ONE_CLICK)

    assert (answer.status_code, title(answer)) == (503, "Not right now")
    assert answer.headers["retry-after"] == "60"


def test_an_ask_that_trips_is_said_to_have_failed(
    stage: Stage, web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not stand in the way of those behind it, and can be asked again."""
    first, second = path_of(stage.tell("news.made")), path_of(stage.tell("offer.made"))
    web.post(first, data=ONE_CLICK)
    web.post(second, data=ONE_CLICK)

    with monkeypatch.context() as broken:

        def trip(*_: object, **__: object) -> None:
            raise ValueError("our own mistake")

        broken.setattr(suppressions, "suppress", trip)
        assert stage.flow.services.link_requests.run() == 2
    shown = web.get(first)
    web.post(first, data=ONE_CLICK)
    stage.flow.services.link_requests.run()

    assert title(shown) == "It could not be written down"
    assert stage.suppressed() == {("news", "unsubscribed")}


def test_a_failure_is_not_put_over_what_another_carried_out_meanwhile(
    stage: Stage, web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a process's stumble and its noting that, another may take the same ask."""
    path = path_of(stage.tell("news.made"))
    web.post(path, data=ONE_CLICK)
    requests, finish = stage.flow.services.link_requests, person_links.finish_ask

    def trip(*_: object, **__: object) -> None:
        raise ValueError("our own mistake")

    def note(connection: Connection, ask: LinkAsk, outcome: str, answer: bytes | None = None) -> None:
        if outcome == "failed":
            monkeypatch.setattr(suppressions, "suppress", suppress)
            assert requests.run() == 1
        finish(connection, ask, outcome, answer)

    monkeypatch.setattr(suppressions, "suppress", trip)
    monkeypatch.setattr(person_links, "finish_ask", note)
    assert requests.run() == 1

    assert stage.flow.query("SELECT outcome FROM link_ask") == [("unsubscribed",)]
    assert stage.suppressed() == {("news", "unsubscribed")}
