"""Answers to SMS: a code takes charge, STOP ends it, nobody can pretend; over real HTTP with real signatures."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4
from xml.etree import ElementTree as ET

import httpx
import orjson
import pytest

from notifier.inbound.callbacks.twilio_signature import sign
from notifier.pipeline.alerting.alert_states import open_alert
from notifier.pipeline.alerting.inbound_sms import InboundSms
from notifier.recipients.safe_mode import SafeMode
from notifier.store.alerts import firing_alerts
from notifier.store.sms_in import SmsDesk
from tests.alerting import RULES, Stage
from tests.contracts.sms_server import ACCOUNT, TOKEN
from tests.services import MakeFlow
from tests.web import served_keyless, sweeping

pytestmark = pytest.mark.servers

PUBLIC = "https://notifier.example.com"
ANN, BOB, STRANGER = "+4915550001", "+4915550002", "+4915559999"
TEXTS = RULES.replace("channels: [email]", "channels: [sms]").replace("group_by: [site]", "group_by: [host]")
CODE = re.compile(r"(?:Reply|Antworten Sie) ([0-9][A-Z])\b")

Answer = Callable[..., str | None]


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier that tells two people by SMS, each host in a group of its own; one reads German."""
    lists = {
        "operators": [
            {"phone": ANN, "name": "Ann"},
            {"phone": BOB, "name": "Bob", "locale": "de"},
        ]
    }
    return Stage(make_flow, tmp_path, TEXTS, public_url=PUBLIC, lists=lists)


@pytest.fixture
def web(stage: Stage) -> Iterator[httpx.Client]:
    """The web process, without the master key and under its own role; the sweep runs beside."""
    reader = stage.flow.services.inbound_sms
    assert reader is not None
    with served_keyless(stage.flow.services.settings) as client, sweeping(reader.run):
        yield client


@pytest.fixture
def answer(web: httpx.Client) -> Answer:
    """Send an SMS as the gateway does, and return the text of its reply."""

    def send(number: str, text: str, **fields: str) -> str | None:
        response = posted(web, number, text, **fields)
        assert response.status_code == 200, response.status_code
        assert response.headers["content-type"].startswith("text/xml")
        (*messages,) = ET.fromstring(response.text)  # noqa: S314 - our own
        assert len(messages) <= 1
        return messages[0].text if messages else None

    return send


def posted(
    web: httpx.Client,
    number: str,
    text: str,
    *,
    path: str = "/inbound/sms",
    token: str = TOKEN,
    **fields: Any,
) -> httpx.Response:
    """POST an SMS, signed as the gateway signs."""
    form = {"MessageSid": f"SM{uuid4().hex}", "AccountSid": ACCOUNT, "From": number, "To": "+15005550006",
            "Body": text, **fields}  # fmt: skip
    signature = sign(token, f"{PUBLIC}{path}", list(form.items()))
    return web.post(
        path,
        content=urlencode(form),
        headers={"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature},
    )


def texts(stage: Stage, number: str) -> list[str]:
    """Return what was sent to a number."""
    return [one["Body"] for one in stage.flow.sms.received if one["To"] == number]


def code(stage: Stage, number: str) -> str:
    """Return the code of the newest SMS to a number."""
    found = CODE.search(texts(stage, number)[-1])
    assert found is not None, texts(stage, number)
    return found[1]


def down(stage: Stage, *hosts: str) -> None:
    """Let hosts go down, one after the other, each told by itself."""
    for host in hosts:
        stage.feed("server.down", host)
        stage.told(seconds=30)


def takers(stage: Stage) -> dict[str, str | None]:
    """Return who has what in hand."""
    services = stage.flow.services
    with services.database.connection() as connection:
        states = [open_alert(services.keyring, row) for row in firing_alerts(connection, "default")]
    return {one.newest.subject: one.acknowledged_by for one in states if one.newest is not None}


def test_each_sms_of_an_alert_says_what_to_answer(stage: Stage) -> None:
    """One code per phone and alert; a reminder has the same one."""
    down(stage, "web-1", "web-2")
    first = texts(stage, ANN)
    stage.told(hours=1)

    codes = [CODE.findall(one) for one in texts(stage, ANN)]
    assert len(first) == 2
    assert first[0].endswith(" to take it.")
    assert texts(stage, BOB)[0].endswith("um es zu übernehmen.")
    assert codes[0] != codes[1]
    assert codes[2:] in ([codes[0], codes[1]], [codes[1], codes[0]])


def test_a_code_takes_charge_of_its_alert(stage: Stage, answer: Answer) -> None:
    """Of that one alone; the record says who."""
    down(stage, "web-1", "web-2")

    reply = answer(ANN, f" {code(stage, ANN).lower()}.")

    assert reply == "You are on it: web-2. Nobody else is called."
    assert takers(stage) == {"web-1": None, "web-2": "Ann"}
    assert stage.flow.query("SELECT kind, outcome, tenant, sealed FROM sms_in") == [
        ("ack", "taken", "default", None)
    ]


def test_ack_alone_is_enough_where_one_is_open(stage: Stage, answer: Answer) -> None:
    """Where several are, they are listed; where none is, that is said."""
    down(stage, "web-1", "web-2")

    which = answer(ANN, "ACK") or ""
    answer(ANN, code(stage, ANN))
    taken = answer(ANN, "a")
    none = answer(ANN, "ack")

    assert "web-1" in which
    assert "web-2" in which
    assert len(re.findall(r"\b[0-9][A-Z]\b", which)) == 2
    assert taken == "You are on it: web-1. Nobody else is called."
    assert none == "Nothing is open for you right now."
    assert takers(stage) == {"web-1": "Ann", "web-2": "Ann"}


def test_who_comes_second_or_late_is_told_so(stage: Stage, answer: Answer) -> None:
    """In their language."""
    down(stage, "web-1")
    mine, theirs = code(stage, ANN), code(stage, BOB)

    replies = [answer(ANN, mine), answer(BOB, theirs)]
    stage.feed("server.recovered", "web-1")
    replies += [answer(BOB, theirs)]

    assert replies[1:] == ["Es kümmert sich schon jemand: web-1.", "Es ist schon vorbei: web-1."]
    assert stage.statuses() == {"web-1": "resolved"}


def test_a_code_is_its_phones_own(stage: Stage, answer: Answer) -> None:
    """Another's phone cannot use it, nor anybody after its end; a code nobody was given is not open."""
    down(stage, "web-1", "web-2")
    first, second = (CODE.findall(one)[0] for one in texts(stage, ANN))
    with stage.flow.services.database.connection() as connection:
        connection.execute(
            "DELETE FROM reply_code WHERE group_id IN (SELECT id FROM alert_group LIMIT 1) AND code = %s",
            [second],
        )
        connection.execute("UPDATE reply_code SET expires_at = now() WHERE code = %s", [first])

    replies = [answer(STRANGER, second), answer(ANN, first), answer(ANN, "9Y")]

    assert replies[0] is None
    assert (replies[1] or "").startswith(f"The code {first} is not open.")
    assert (replies[2] or "").startswith("The code 9Y is not open.")
    assert set(takers(stage).values()) == {None}


def test_a_staging_system_acts_on_texts_and_answers_nobody_but_those_it_names(stage: Stage) -> None:
    """Safe mode holds for replies, too: an SMS is an SMS, whoever wrote first."""
    down(stage, "web-1")
    services = stage.flow.services
    keys = services.sms_keys
    assert keys is not None
    reader = InboundSms(
        services.database, services.ack_requests, services.keyring, keys, locale="en",
        safe_mode=SafeMode(allow=frozenset({BOB}), redirect={}),
    )  # fmt: skip
    desk = SmsDesk(services.database)

    asked = [
        desk.hand_in(number, keys.seal(orjson.dumps({"from": number, "body": "STOP"})))
        for number in (ANN, BOB)
    ]
    reader.run()

    replies = [desk.reply(one) for one in asked]
    assert replies[0] == (True, None)
    assert replies[1][0]
    assert replies[1][1] is not None
    assert stage.flow.query("SELECT count(*) FROM suppression WHERE cause = 'stop'") == [(2,)]


def test_stop_ends_texts_and_start_begins_them_again(stage: Stage, answer: Answer) -> None:
    """Confirmed, for that phone alone; the alert still goes to the others."""
    down(stage, "web-1")
    replies = [answer(ANN, "Stop"), answer(ANN, "stop")]
    down(stage, "web-2")
    counts = len(texts(stage, ANN)), len(texts(stage, BOB))

    replies += [answer(ANN, "START")]
    down(stage, "web-3")

    assert replies[0] == replies[1] == "You get no more texts from us. Answer START to get them again."
    assert replies[2] == "You get texts from us again. Answer STOP to end them."
    assert counts == (1, 2)
    assert len(texts(stage, ANN)) == 2


def test_start_does_not_lift_what_somebody_else_decided(stage: Stage, answer: Answer) -> None:
    """An operator's suppression stays."""
    from notifier.crypto import blind_index
    from notifier.store.suppressions import suppress

    down(stage, "web-1")
    services = stage.flow.services
    with services.database.connection() as connection:
        suppress(connection, "default", blind_index(services.keyring.index_key, "default", ANN), "by hand")

    answer(ANN, "STOP")
    answer(ANN, "START")

    assert stage.flow.query("SELECT reason FROM suppression") == [("by hand",)]


def test_words_nobody_can_act_on_get_help(stage: Stage, answer: Answer) -> None:
    """With what is open; strangers get nothing, whatever they write."""
    down(stage, "web-1")

    replies = [answer(ANN, "who is this?") or "", answer(BOB, "Hilfe") or ""]
    silent = [answer(STRANGER, text) for text in ("hello", "STOP", "START", "ACK", "4A", "")]

    assert f"{code(stage, ANN)} web-1" in replies[0]
    assert "STOP" in replies[0]
    assert replies[1].startswith("Antworten Sie mit dem Code")
    assert silent == [None] * 6
    assert stage.counts("suppression") == [0]


def test_a_replay_is_harmless(stage: Stage, web: httpx.Client) -> None:
    """The same SMS again has the same reply, and is not acted on again."""
    down(stage, "web-1")
    once = {"MessageSid": "SM00000000000000000000000000000001"}
    first = posted(web, ANN, code(stage, ANN), **once)
    (alert,) = stage.flow.query("SELECT id FROM alert")[0]
    stage.acknowledger.unacknowledge(alert)

    again = posted(web, ANN, code(stage, ANN), **once)

    assert first.text == again.text
    assert stage.statuses() == {"web-1": "firing"}
    assert stage.counts("sms_in") == [1]


def test_what_is_not_signed_by_the_gateway_is_refused(stage: Stage, web: httpx.Client) -> None:
    """Another token, a changed body, another URL, another account; nothing is kept of it."""
    down(stage, "web-1")
    mine = code(stage, ANN)
    genuine = posted(web, ANN, "hello").request
    signed = {name: genuine.headers[name] for name in ("content-type", "x-twilio-signature")}

    answers = [
        posted(web, ANN, mine, token="x" * 32),
        web.post("/inbound/sms", content=genuine.content + b"&Extra=1", headers=signed),
        web.post("/inbound/sms?x=1", content=genuine.content, headers=signed),
        web.post("/inbound/sms", data={"From": ANN, "Body": mine, "MessageSid": "SM1"}),
        posted(web, ANN, mine, path="/inbound/sms/AC99999999999999999999999999999999"),
        posted(web, ANN, mine, AccountSid="AC99999999999999999999999999999999"),
    ]

    assert [one.status_code for one in answers] == [403] * 6
    assert takers(stage) == {"web-1": None}
    assert stage.counts("sms_in") == [1]


def test_the_account_may_stand_in_the_path(stage: Stage, web: httpx.Client) -> None:
    """As the gateway's console has it."""
    down(stage, "web-1")

    answer = posted(web, ANN, code(stage, ANN), path=f"/inbound/sms/{ACCOUNT}")

    assert "You are on it" in answer.text


@pytest.mark.parametrize(
    ("fields", "status"), [({"MessageSid": ""}, 400), ({"From": ""}, 400), ({"Body": "x" * 70_000}, 413)]
)
def test_what_is_no_sms_is_refused(web: httpx.Client, fields: dict[str, str], status: int) -> None:
    """Though the gateway signed it."""
    assert posted(web, ANN, "hello", **fields).status_code == status


def test_where_the_gateway_answers_itself_nothing_is_said_twice(stage: Stage, answer: Answer) -> None:
    """It sees to STOP, and says that it did; ours is done all the same."""
    down(stage, "web-1")

    assert answer(ANN, "STOP", OptOutType="STOP") is None
    assert stage.counts("suppression") == [1]


def test_number_and_words_are_never_kept_in_clear(stage: Stage, answer: Answer) -> None:
    """Sealed on their way, gone when they were read."""
    down(stage, "web-1")
    answer(ANN, "my dog is ill")

    dump = repr(
        [stage.flow.query(f"SELECT t::text FROM {name} t") for name in ("sms_in", "reply_code", "ack_link")]
    )

    assert "dog" not in dump
    assert ANN.removeprefix("+49") not in dump


def test_codes_go_round(stage: Stage) -> None:
    """One that was just free is not given again at once, and all in use means none."""
    from notifier.store.reply_codes import CODES, CodeRequest, issue_code

    services, now = stage.flow.services, stage.clock.now()
    with services.database.transaction() as connection:
        connection.execute(
            "INSERT INTO ack_link (digest, tenant, message_id, group_id, told_until, rule, subject, locale, expires_at)"
            " VALUES ('d', 'default', gen_random_uuid(), gen_random_uuid(), now(), 'r', 's', 'en', now())"
        )

        def issue(seconds: int) -> str | None:
            at = now + timedelta(seconds=seconds)
            return issue_code(
                connection,
                CodeRequest(
                    phone_index=b"p", tenant="default", group_id=uuid4(), link=b"d", made_at=at,
                    expires_at=at + timedelta(hours=1),
                ),
            )  # fmt: skip

        given = [issue(number) for number in range(len(CODES))]
        full = issue(len(CODES))
        later = [issue(3600 + number) for number in (1, 2)]

    assert given == list(CODES)
    assert full is None
    assert later == [CODES[0], CODES[1]]


def test_after_stop_an_sms_that_a_worker_has_at_hand_is_not_sent(stage: Stage, answer: Answer) -> None:
    """It was claimed and judged before; the claim is taken back."""
    from uuid import uuid4

    down(stage, "web-1")
    with stage.flow.services.database.connection() as connection:
        connection.execute(
            """INSERT INTO work (message_id, tenant, channel, lane, relay, state, token, lease_until, due_at,
                                 expires_at)
               SELECT id, tenant, channel, lane, 'sms', 1, %s, now() + interval '1 minute', now(),
                      now() + interval '1 hour'
               FROM message WHERE channel = 'sms' ON CONFLICT DO NOTHING""",
            [uuid4()],
        )

    answer(ANN, "STOP")

    states = stage.flow.query(
        """SELECT DISTINCT work.state FROM work JOIN message ON message.id = message_id
           JOIN suppression USING (address_index)"""
    )
    assert states == [(0,)]
