"""The preference page: what is set is shown, what is chosen holds from the next mail on; over real HTTP."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from notifier.pipeline.people.erase import Eraser
from notifier.store import consents
from notifier.store.contacts import open_wishes
from tests.consent import ANN, Stage, path_of
from tests.services import MakeFlow
from tests.web import served_keyless, sweeping

pytestmark = pytest.mark.servers

CHECKED = re.compile(r'name="(c:[\w:]+)" value="1" checked')


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier that people can reach, with one of them in its address book."""
    tracking = {"default": {"opens": True}}
    stage = Stage(make_flow, tmp_path, tracking=tracking, categories={"news": {"de": "Neues"}})
    stage.know(locale="de", zone="Europe/Berlin", phone="+4930123456", name="Ann Example")
    return stage


@pytest.fixture
def web(stage: Stage) -> Iterator[httpx.Client]:
    """The web process: as it is run, without the master key and under its own role; the sweep runs beside."""
    with (
        served_keyless(stage.flow.services.settings) as client,
        sweeping(stage.flow.services.link_requests.run),
    ):
        yield client


def form_of(answer: httpx.Response) -> dict[str, str]:
    """Return what a browser would send for the page as it is."""
    html = answer.text
    fields = dict.fromkeys(CHECKED.findall(html), "1")
    fields |= dict.fromkeys(re.findall(r'type="hidden" name="([\w:]+)"', html), "1")
    fields |= dict.fromkeys(re.findall(r'name="(consent:[\w:]+)" value="1" checked', html), "1")
    for name, options in re.findall(r'<select name="(\w+)">(.*?)</select>', html):
        chosen = re.search(r'value="(\w+)" selected', options)
        fields[name] = chosen[1] if chosen else ""
    fields |= dict(re.findall(r'type="time" name="(\w+)" value="([\d:]+)"', html))
    return fields | dict(re.findall(r'name="(zone)" list="zones" autocomplete="off" value="([^"]*)"', html))


def wishes(stage: Stage) -> dict[str, object]:
    """Return what the address book holds of the person."""
    services = stage.flow.services
    (opt_outs, zone, sealed, key) = stage.flow.query(
        """SELECT opt_outs, zone, contact.wishes, data_key FROM contact
           JOIN person ON person.id = contact.person_id"""
    )[0]
    return {"opt_outs": opt_outs, "zone": zone, **open_wishes(services.keyring.open_data_key(key), sealed)}


def test_the_page_says_what_is_set_in_the_reader_s_language(stage: Stage, web: httpx.Client) -> None:
    """What they got and what they may ask for; what is essential is explained; their address only hinted at."""
    stage.tell("law.changed")
    stage.tell("offer.made")
    answer = web.get(path_of(stage.tell("news.made", locale="de"), "p"))

    assert answer.status_code == 200
    assert '<html lang="de">' in answer.text
    assert re.findall(r"<legend>(.*?)</legend>", answer.text) == ["Club", "Law", "Neues", "Offers"]
    assert CHECKED.findall(answer.text) == ["c:news:email", "c:offers:email"]
    assert "Kommt immer" in answer.text
    assert "a…@example.org" in answer.text
    assert ANN not in answer.text
    assert "Ann Example" not in answer.text


def test_saving_it_as_it_is_changes_nothing(stage: Stage, web: httpx.Client) -> None:
    """Also what the page cannot say: two stretches of quiet hours, a digest of one category."""
    own = {
        "quiet": [
            {"from": "12:00", "until": "13:00"},
            {"weekdays": ["sunday"], "from": "00:00", "until": "24:00"},
        ],
        "digests": {"it": {"gather": "first_now", "every": "1h"}},
        "at_least": {"it": "error"},
        "opt_ins": ["club:sms"],
        "opt_outs": ["offers"],
    }
    path = path_of(stage.tell("news.made"), "p")
    stage.know(zone="Europe/Berlin", opt_outs=frozenset({"news:sms"}), wishes=own)
    before = wishes(stage)

    answer = web.post(path, data=form_of(web.get(path)))

    assert "Saved." in answer.text
    assert wishes(stage) == before == {"opt_outs": ["news:sms"], "zone": "Europe/Berlin", **own}
    assert stage.flow.query("SELECT 1 FROM preference_change") == []
    assert stage.suppressed() == set()


def test_what_is_chosen_holds(stage: Stage, web: httpx.Client) -> None:
    """Categories, times, digest, zone; on record with the names of what changed, and by which link."""
    mail = stage.tell("news.made")
    path = path_of(mail, "p")
    form = form_of(web.get(path))

    del form["c:news:email"]
    chosen = {"c:club:email": "1", "quiet": "week", "from": "21:30", "until": "06:00", "digest": "daily"}
    answer = web.post(path, data={**form, **chosen, "zone": "Asia/Tokyo"})

    assert "Saved." in answer.text
    assert wishes(stage) == {
        "opt_outs": ["club:sms", "news"],
        "zone": "Asia/Tokyo",
        "quiet": [{"weekdays": ["monday:friday"], "from": "21:30", "until": "06:00"}],
        "digests": {"*": {"gather": "accumulate", "at": ["08:00"]}},
        "opt_ins": ["club:email"],
    }
    assert stage.suppressed() == {("news", "unsubscribed")}
    assert stage.tell("news.made") is None
    assert stage.tell("password.reset") is not None
    assert stage.flow.query("SELECT how, refused, wanted, fields FROM preference_change") == [
        ("preferences", ["news"], ["club:email"], ["quiet", "digest", "zone"])
    ]
    assert CHECKED.findall(web.get(path).text) == ["c:club:email"]


def test_a_category_comes_back(stage: Stage, web: httpx.Client) -> None:
    """Though it was refused by one click before."""
    mail = stage.tell("news.made")
    web.post(path_of(mail), data={"List-Unsubscribe": "One-Click"})
    path = path_of(mail, "p")

    form = form_of(web.get(path))
    web.post(path, data={**form, "c:news:email": "1"})

    assert "c:news:email" not in form
    assert stage.suppressed() == set()
    assert stage.tell("news.made") is not None


def test_quiet_hours_that_cannot_be_are_refused(stage: Stage, web: httpx.Client) -> None:
    """With the reason, and nothing else of the form is taken either."""
    path = path_of(stage.tell("news.made", locale="en"), "p")
    form = form_of(web.get(path))
    del form["c:news:email"]

    answers = [
        web.post(path, data={**form, "quiet": "all", "from": at, "until": at}) for at in ("07:00", "00:00")
    ]

    assert ['role="alert">Not saved' in answer.text for answer in answers] == [True, True]
    assert wishes(stage) == {"opt_outs": [], "zone": "Europe/Berlin"}
    assert stage.tell("news.made") is not None


def test_who_is_in_no_address_book_chooses_for_the_address(stage: Stage, web: httpx.Client) -> None:
    """Only by mail, and nothing about times: there is no place to keep it."""
    path = path_of(stage.tell("news.made", to="bob@example.org"), "p")
    shown = web.get(path)
    form = form_of(shown)
    del form["c:news:email"]

    answer = web.post(path, data=form)

    assert re.findall(r"<legend>(.*?)</legend>", shown.text) == ["News"]
    assert "<select" not in shown.text
    assert "Saved." in answer.text
    assert stage.tell("news.made", to="bob@example.org") is None
    assert stage.tell("news.made") is not None


def test_consent_is_kept_with_its_proof(stage: Stage, web: httpx.Client) -> None:
    """The words it was asked in, sealed; withdrawing closes it; who was erased has none."""
    path = path_of(stage.tell("news.made", locale="de"), "p")
    form = form_of(web.get(path))
    services = stage.flow.services
    person, key = stage.flow.query("SELECT id, data_key FROM person")[0]

    given = web.post(path, data={**form, "consent:tracking:opens": "1"})
    with services.database.connection() as connection:
        allowed = consents.current(connection, "default", person)
        (row,) = consents.history(connection, "default", person)
    web.post(path, data=form)
    with services.database.connection() as connection:
        after = consents.current(connection, "default", person)
        (closed,) = consents.history(connection, "default", person)
    Eraser(services.database, services.keyring, services.catalog).erase("default", ANN)

    assert 'name="consent:tracking:opens" value="1" checked' in given.text
    assert "tracking:clicks" not in given.text
    assert (allowed, after) == ({"tracking:opens"}, frozenset())
    proof = services.keyring.open_data_key(key).unseal(row.proof, b"consent").decode()
    assert "preference page" in proof
    assert "Ich bin einverstanden" in proof
    assert (row.withdrawn_at, closed.withdrawn_at is not None) == (None, True)
    assert stage.flow.query("SELECT count(*) FROM consent") == [(0,)]
    assert stage.flow.query("SELECT count(*) FROM link_ask") == [(0,)]
    assert "Hier ist nichts mehr" in web.get(path).text


def test_nothing_of_it_lies_readable_in_the_database(stage: Stage, web: httpx.Client) -> None:
    """Forms and answers are sealed under a key that only the link's token gives; forms go once they are read."""
    path = path_of(stage.tell("news.made"), "p")
    web.post(path, data={**form_of(web.get(path)), "zone": "Asia/Tokyo"})

    rows = stage.flow.query("SELECT form, answer, ask::text FROM link_ask ask")

    assert len(rows) == 2
    assert [row[0] for row in rows] == [None, None]
    assert not any(b"rows" in row[1] or "Tokyo" in row[2] for row in rows)


def test_a_form_that_is_none_of_ours_changes_nothing(stage: Stage, web: httpx.Client) -> None:
    """What it does not show stays as it is; what is locked stays locked."""
    stage.tell("law.changed")
    path = path_of(stage.tell("news.made"), "p")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    bodies = (b"", b"zone=../../etc/passwd", b"%ff", b"shown:x=1&c:x:email=1", b"shown:law=1", b"x=1&" * 3000)

    codes = {web.post(path, content=body, headers=kind).status_code for body in bodies}

    assert codes == {200}
    assert wishes(stage) == {"opt_outs": [], "zone": "Europe/Berlin"}
    assert stage.suppressed() == set()


def test_looking_sets_nothing(stage: Stage, web: httpx.Client) -> None:
    """Nor does HEAD even ask for the page."""
    path = path_of(stage.tell("news.made"), "p")

    head = web.head(path)
    asked = stage.flow.query("SELECT count(*) FROM link_ask")
    web.get(path)

    assert (head.status_code, asked) == (200, [(0,)])
    assert wishes(stage) == {"opt_outs": [], "zone": "Europe/Berlin"}
    assert stage.flow.query("SELECT 1 FROM preference_change") == []


def test_a_wrong_link_shows_nothing(stage: Stage, web: httpx.Client) -> None:
    """And an expired one says so."""
    path = path_of(stage.tell("news.made", locale="en"), "p")
    forged = "/p/" + ("A" if path[3] != "A" else "B") + path[4:]

    unknown = web.get(forged)
    with stage.flow.services.database.connection() as connection:
        connection.execute("UPDATE person_link SET expires_at = now()")
    expired = web.get(path)

    assert (unknown.status_code, expired.status_code) == (404, 410)
    assert "<form" not in unknown.text + expired.text
