"""Opens and clicks: off unless tenant, class and the reader's consent allow it; consent counts at each hit (C8)."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from notifier.clock import VirtualClock
from notifier.messages import MessageClass
from notifier.pipeline.composing.engagement import Tracker
from notifier.pipeline.people.erase import Eraser
from notifier.receipts import Receipt, ReceiptKind
from notifier.setting_tables import Tracking
from notifier.store import consents
from notifier.store.database import Database
from notifier.store.messages import unpack
from notifier.store.reports import ReportDesk
from tests.command import command
from tests.consent import ANN, PUBLIC, Stage, path_of
from tests.services import MakeFlow
from tests.web import served_keyless

pytestmark = pytest.mark.servers

BOTH = {"default": {"opens": True, "clicks": True}}
SHOP = "https://shop.example/a?b=1&c=2"
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0"
}
BRAND = {"name": "Shop", "url": ""}
PURPOSES = ("tracking:opens", "tracking:clicks")


class Tracked(Stage):
    """A notifier that may track, with Ann, who may have agreed."""

    def agree(self, *purposes: str, is_given: bool = True, reader: str = ANN) -> None:
        """Record what somebody allows."""
        services = self.flow.services
        key = ("default", self.index(reader))
        person = services.persons.get([key])[key]
        with services.database.connection() as connection:
            for purpose in purposes:
                act = consents.give if is_given else consents.withdraw
                act(
                    connection, "default", person.id, purpose,
                    proof=person.key.seal(b"{}", b"consent"), at=datetime.now(UTC),
                )  # fmt: skip

    def receipts(self) -> list[tuple[str, str]]:
        """Let what was reported be read; return kind and verdict of all receipts."""
        services = self.flow.services
        services.track.run()
        rows = self.flow.query(
            """SELECT receipt.kind, receipt.sealed, person.data_key FROM receipt
               JOIN message ON message.id = receipt.message_id JOIN person ON person.id = message.person_id
               WHERE kind IN ('opened', 'clicked', 'unsubscribed') ORDER BY receipt.id"""
        )
        found = []
        for kind, sealed, key in rows:
            text = services.keyring.open_data_key(key).unseal(sealed, b"receipt") if sealed else b"{}"
            found.append((kind, orjson.loads(text).get("detail", {}).get("verdict", "")))
        return found

    def read_later(self) -> None:
        """Let an hour pass since the mails went out."""
        with self.flow.services.database.connection() as connection:
            connection.execute("UPDATE message SET settled_at = settled_at - interval '1 hour'")


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Tracked:
    """A notifier whose tenant wants to know both."""
    stage = Tracked(make_flow, tmp_path, tracking=BOTH, brand=BRAND)
    stage.flow.services.track.publish_key()
    return stage


@pytest.fixture
def web(stage: Tracked) -> Iterator[httpx.Client]:
    """The web process: as it is run, without the master key and under its own role."""
    with served_keyless(stage.flow.services.settings) as client:
        yield client


def html_of(mail: EmailMessage | None) -> str:
    """Return a mail's HTML."""
    assert mail is not None
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def link_of(mail: EmailMessage | None, kind: str) -> str:
    """Return the path of a mail's picture, first link or trap."""
    pattern = {"open": r"/o/[\w-]+\.gif", "click": r"/c/[\w-]+\.0", "trap": r"/c/[\w-]+\.x"}[kind]
    found = re.search(rf'"{PUBLIC}({pattern})"', html_of(mail))
    assert found is not None
    return found[1]


CASES = (
    ({}, PURPOSES, "news.made", (False, False)),
    ({"acme": {"opens": True, "clicks": True}}, PURPOSES, "news.made", (False, False)),
    (BOTH, (), "news.made", (False, False)),
    (BOTH, PURPOSES, "disk.full", (False, False)),
    (BOTH, PURPOSES, "password.reset", (False, False)),
    (BOTH, PURPOSES[:1], "news.made", (True, False)),
    (BOTH, PURPOSES[1:], "news.made", (False, True)),
    (BOTH, PURPOSES, "news.made", (True, True)),
    ({"default": {"opens": True}}, PURPOSES, "news.made", (True, False)),
)
"""What the tenant wants, what the reader agreed to, the type; then whether opens and clicks are told."""


def test_a_mail_is_tracked_where_all_three_allow_it(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Tenant, class, and the reader; who is tracked is told so in the footer, others are not."""
    for number, (tracking, agreed, type_, expected) in enumerate(CASES):
        folder, reader = tmp_path / str(number), f"reader{number}@example.org"
        folder.mkdir()
        stage = Tracked(make_flow, folder, tracking=tracking, brand=BRAND)
        stage.agree(*agreed, reader=reader)

        mail = stage.tell(type_, to=reader, reset_url="https://shop.example/reset?token=s3cret")

        assert mail is not None
        html, text = html_of(mail), str(mail.get_body(("plain",)))
        assert ("/o/" in html, "/c/" in html) == expected, number
        assert ("You agreed" in html) == ("You agreed" in text) == any(expected)
        assert ('href="https://shop.example/a?b=1&amp;c=2"' in html) != expected[1]
        assert "/c/" not in text
        assert ("<img" in html) == expected[0]


def test_secrets_and_our_own_links_lead_straight(stage: Tracked) -> None:
    """A reset link, a link to unsubscribe and an address to write to are never passed on."""
    stage.agree(*PURPOSES)

    mail = stage.tell("news.made", reset_url="https://shop.example/reset?token=s3cret")

    html = html_of(mail)
    assert 'href="https://shop.example/reset?token=s3cret"' in html
    assert f'href="{PUBLIC}{path_of(mail)}"' in html
    assert f'href="{PUBLIC}{path_of(mail, "p")}"' in html
    assert 'href="mailto:x@example.org"' in html
    assert html.count("/c/") == 2  # one link, one trap


def test_a_secret_is_known_in_the_form_links_have_it(stage: Tracked) -> None:
    """Percent-encoded in the address of a link, it is no less a secret: neither passed on nor kept."""
    stage.agree(*PURPOSES)

    mail = stage.tell("news.made", code="a b+c/ü==")

    services = stage.flow.services
    ((sealed, key),) = stage.flow.query(
        """SELECT body.sealed, person.data_key FROM body JOIN message ON message.id = body.message_id
           JOIN person ON person.id = message.person_id"""
    )
    kept = unpack(services.keyring.open_data_key(key).unseal(sealed, b"body"))
    assert 'href="https://shop.example/in?code=a%20b%2Bc/%C3%BC%3D%3D"' in html_of(mail)
    assert b"code=[secret]" in kept
    assert b"%C3%BC" not in kept


def test_an_open_and_a_click_are_told(stage: Tracked, web: httpx.Client) -> None:
    """Once each a minute, with who it seems to have been; the link leads on to where it led."""
    stage.agree(*PURPOSES)
    mail = stage.tell("news.made")
    stage.read_later()

    minute = datetime.now(UTC).minute
    pictures = [web.get(link_of(mail, "open"), headers=BROWSER) for _ in range(2)]
    minutes = {minute, datetime.now(UTC).minute}
    answer = web.get(link_of(mail, "click"), headers=BROWSER)
    web.head(link_of(mail, "click"), headers=BROWSER)

    assert {one.headers["content-type"] for one in pictures} == {"image/gif"}
    assert pictures[0].content.startswith(b"GIF89a")
    assert (answer.status_code, answer.headers["location"]) == (302, SHOP)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    first, *receipts = stage.receipts()
    assert first == ("opened", "human")
    if len(minutes) > 1:  # the second picture may count in the next minute
        receipts = [one for one in receipts if one != first]
    assert receipts == [("clicked", "human"), ("clicked", "machine")]


def test_an_operator_sees_who_it_seems_to_have_been(stage: Tracked, web: httpx.Client) -> None:
    """In the message's story, with where the link led; what a provider's own link holds is nobody's to read."""
    stage.agree(*PURPOSES)
    mail = stage.tell("news.made")
    assert mail is not None
    stage.read_later()
    web.get(link_of(mail, "click"), headers=BROWSER)
    web.head(link_of(mail, "open"))
    stage.receipts()
    report = partial(Receipt, source="ses", at=datetime.now(UTC), message_id=mail["Message-ID"])
    reports = [
        report(kind=ReceiptKind.CLICKED, key="1", detail={"link": "https://shop.example/in?code=s3cret"}),
        report(kind=ReceiptKind.COMPLAINED, key="2", detail={"feedback_type": "abuse"}),
    ]
    ReportDesk(stage.flow.services.database).hand_in("ses", reports)
    stage.receipts()

    with capture_logs():
        run = command(stage.flow.services)
        shown = " ".join(run("show", mail["Message-ID"]).stdout.split())
        listed = orjson.loads(run("show", mail["Message-ID"], "--json").stdout)

    (receipts,) = [message["receipts"] for one in listed["notifications"] for message in one["messages"]]
    assert f"receipt.clicked human {SHOP}: reported by tracking" in shown
    assert "receipt.opened machine: reported by tracking" in shown
    assert "receipt.complained abuse: reported by ses" in shown
    assert "s3cret" not in shown + repr(listed)
    assert sorted(str(one["verdict"]) for one in receipts) == ["None", "None", "human", "machine"]


def test_who_follows_what_nobody_sees_is_a_machine(stage: Tracked, web: httpx.Client) -> None:
    """It leads nowhere, and what is followed right after it counts as the machine's."""
    stage.agree(*PURPOSES)
    mail = stage.tell("news.made")
    stage.read_later()

    trap = web.get(link_of(mail, "trap"), headers=BROWSER)
    web.get(link_of(mail, "click"), headers=BROWSER)

    assert trap.status_code == 404
    assert stage.receipts() == [("clicked", "machine")]


def test_a_withdrawal_holds_for_mails_already_sent(stage: Tracked, web: httpx.Client) -> None:
    """Links go on leading where they led; nothing is recorded. So it is once the person was erased."""
    stage.agree(*PURPOSES)
    mail = stage.tell("news.made")
    stage.read_later()
    stage.agree(*PURPOSES, is_given=False)

    answers = [
        web.get(link_of(mail, "open"), headers=BROWSER),
        web.get(link_of(mail, "click"), headers=BROWSER),
    ]
    services = stage.flow.services
    Eraser(services.database, services.keyring, services.catalog).erase("default", ANN)
    answers.append(web.get(link_of(mail, "click"), headers=BROWSER))

    assert [one.status_code for one in answers] == [200, 302, 302]
    assert answers[2].headers["location"] == SHOP
    assert stage.flow.query("SELECT 1 FROM report") == []
    assert stage.flow.query("SELECT person_id, message_id FROM tracked") == [(None, None)]


def test_a_tenant_that_tracks_no_more_is_told_nothing_of_mails_already_sent(stage: Tracked) -> None:
    """The settings are asked at each hit, as consent is; the links go on leading where they led."""
    stage.agree(*PURPOSES)
    mail = stage.tell("news.made")
    stage.read_later()
    settings = stage.flow.services.settings
    only_opens = {"default": Tracking(opens=True)}

    with served_keyless(settings.model_copy(update={"tracking": only_opens})) as web:
        answer = web.get(link_of(mail, "click"), headers=BROWSER)
        web.get(link_of(mail, "open"), headers=BROWSER)

    assert answer.headers["location"] == SHOP
    assert [kind for kind, _ in stage.receipts()] == ["opened"]


def test_no_link_leads_where_a_stranger_wants(stage: Tracked, web: httpx.Client) -> None:
    """Only to what stood in the mail: nothing a visitor writes into the address counts."""
    stage.agree(*PURPOSES)
    mail = stage.tell("news.made")
    link = link_of(mail, "click")
    tried = [
        link[:-1] + "1", link[:-1] + "999", link + "?url=https://evil.example", link + "/https://evil.example",
        link.replace(link[3:5], "zz"), "/c/https://evil.example", "/c/" + "A" * 24 + ".0", "/c/%0d%0aLocation:x",
    ]  # fmt: skip

    answers = [web.get(one, headers=BROWSER) for one in tried]

    locations = {one.headers.get("location") for one in answers}
    assert locations == {None, SHOP}
    assert [one.status_code for one in answers] == [404, 404, 302, 404, 404, 404, 404, 404]
    assert web.get("/o/nothing.gif").status_code == 200


def test_what_lies_in_the_database_leads_nobody_on(stage: Tracked, web: httpx.Client) -> None:
    """Only a hash of the token, the addresses sealed; what is kept of the mail has its own links."""
    stage.agree(*PURPOSES)
    mail = stage.tell("news.made")
    token = link_of(mail, "click")[3:27]

    (digest, targets, shown) = stage.flow.query("SELECT digest, targets, t::text FROM tracked t")[0]
    services = stage.flow.services
    (sealed, key) = stage.flow.query("SELECT body.sealed, data_key FROM body, person")[0]
    kept = services.keyring.open_data_key(key).unseal(sealed, b"body")

    assert token not in shown
    assert b"shop" not in digest + targets
    assert token.encode() not in kept
    assert web.get(link_of(mail, "click")).headers["location"] == SHOP


def test_unsubscribing_is_told_of_its_message(stage: Tracked, web: httpx.Client) -> None:
    """Once; and undoing it is not undone by the report."""
    mail = stage.tell("news.made")
    for _ in range(2):
        web.post(path_of(mail), data={"List-Unsubscribe": "One-Click"})
        stage.flow.services.link_requests.run()
    web.post(path_of(mail), data={"do": "undo"})
    stage.flow.services.link_requests.run()

    assert stage.receipts() == [("unsubscribed", "")]
    assert stage.suppressed() == set()


def test_consent_that_cannot_be_asked_for_costs_no_mail(stage: Tracked) -> None:
    """It goes out, and tells nothing."""
    away = Database("postgresql://nobody@127.0.0.1:1/nothing")
    tracker = Tracker(
        away, stage.flow.services.keyring, stage.flow.services.settings.tracking,
        public_url=PUBLIC, lifetime=timedelta(days=1),
    )  # fmt: skip

    with capture_logs() as told:
        plan = tracker.plan("default", uuid4(), MessageClass.SUBSCRIPTION)
    away.dispose()

    assert plan is None
    assert [one["event"] for one in told] == ["consent.unasked"]


def test_tracking_costs_no_look_at_the_database_where_it_is_off(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Nor is there anything to ask without an address people can reach."""
    off = Stage(make_flow, tmp_path, clock=VirtualClock(datetime.now(UTC)))

    assert off.flow.services.tracker is None
