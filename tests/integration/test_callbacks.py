"""Callbacks over real HTTP into a real database: believed, kept once, answered when they are on disk (B3, O8)."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from notifier.messages import ChannelName, Outgoing, Rendered
from notifier.receipts import Receipt, ReceiptKind
from notifier.store.database import Database
from notifier.store.reports import ReportDesk, open_report
from notifier.tokens import message_id_of, message_id_of_reference, mint_message_id
from notifier.web.believing import callback_desk
from notifier.web.callbacks import BODY_LIMIT, callbacks_router
from tests.callbacks import (
    CERTIFICATE_URL,
    SUBSCRIBE_URL,
    TOPIC,
    SnsSigner,
    basic,
    mailgun,
    postmark,
    ses_bounce,
    ses_event,
    twilio,
    vonage,
)
from tests.contracts.sms_server import ACCOUNT, TOKEN
from tests.integration.test_web import metrics
from tests.services import Flow, MakeFlow
from tests.web import running, served_keyless

pytestmark = pytest.mark.servers

PUBLIC = "https://notifier.example.com"
KEY = "0123456789abcdef" * 2
REFERENCE = re.compile(r"[0-9a-f]{32}-[a-z2-7]{16}")
PROVIDERS = {
    "mg": {"kind": "mailgun", "domain": "mg.example.com", "api_key": "k", "webhook_signing_key": KEY},
    "pm": {"kind": "postmark", "server_token": "t", "webhook_user": "hook", "webhook_password": KEY},
    "vo": {"kind": "vonage", "api_key": "k", "api_secret": "s", "sender": "Shop", "signature_secret": KEY,
           "signature_method": "sha256"},
    "aws": {"kind": "ses", "region": "eu-central-1", "access_key_id": "k", "secret_access_key": "s",
            "topic_arns": [TOPIC]},
    "deaf": {"kind": "mailgun", "domain": "mg.example.com", "api_key": "k"},
}  # fmt: skip


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """A notifier with one provider of each kind."""
    made = make_flow(public_url=PUBLIC, providers=PROVIDERS)
    made.services.keyring  # noqa: B018 - whoever opens it publishes the key reports are sealed to
    return made


@pytest.fixture
def web(flow: Flow) -> Iterator[httpx.Client]:
    """The web process, without the master key and under its own role."""
    with served_keyless(flow.services.settings) as client:
        yield client


@pytest.fixture
def signer() -> SnsSigner:
    """A certificate of SNS's kind."""
    return SnsSigner()


def kept(flow: Flow) -> list[Receipt]:
    """Return what waits for the worker, opened."""
    keys = flow.services.keyring.intake_keys()
    rows = flow.query("SELECT sealed, source, key FROM report ORDER BY id")
    return [open_report(sealed, keys[-1], source, name) for sealed, source, name in rows]


def now() -> datetime:
    """Return the time of the clock that the web process has."""
    return datetime.now(UTC)


def posted(web: httpx.Client, **changed: Any) -> list[httpx.Response]:
    """POST one callback of each provider that needs no certificate."""
    sms = twilio(
        changed.get("token", TOKEN), url=f"{PUBLIC}/callbacks/sms", AccountSid=ACCOUNT, MessageStatus="sent"
    )
    key = changed.get("key", KEY)
    body = postmark("Delivery", Recipient="a@example.com", DeliveredAt=now().isoformat())
    return [
        web.post("/callbacks/sms", content=sms.body, headers=dict(sms.headers)),
        web.post("/callbacks/mg", content=mailgun(key, {"event": "delivered"}, at=now())),
        web.post("/callbacks/pm", content=body, headers={"authorization": basic("hook", key)}),
        web.post("/callbacks/vo", content=urlencode(vonage(key, at=now()))),
    ]


def test_each_provider_s_callback_is_on_disk_when_it_is_answered(web: httpx.Client, flow: Flow) -> None:
    """Sealed, in the row of its provider; told again it is known."""
    first, again = posted(web), posted(web)

    assert [answer.status_code for answer in first] == [200] * 4
    assert [(one.source, one.kind) for one in kept(flow)][:4] == [
        ("sms", ReceiptKind.SENT),
        ("mg", ReceiptKind.DELIVERED),
        ("pm", ReceiptKind.DELIVERED),
        ("vo", ReceiptKind.DELIVERED),
    ]
    # Two deliveries to Postmark's recipient at two moments are two events; the rest is what it was.
    assert [answer.status_code for answer in again] == [200] * 4
    assert len(kept(flow)) == 5


def test_nothing_is_kept_of_what_is_not_believed(web: httpx.Client, flow: Flow) -> None:
    """It is counted, and logged without a word of it."""
    with capture_logs() as logs:
        answers = posted(web, token="x" * 32, key="wrong")
        answers.append(web.post("/callbacks/mg", content=b"secret@example.com"))
        answers.append(web.post("/callbacks/nobody", content=b"{}"))
        answers.append(web.post("/callbacks/deaf", content=mailgun("", {"event": "delivered"}, at=now())))
        answers.append(web.post("/callbacks/pm", content=b"x" * (BODY_LIMIT + 1)))

    assert [answer.status_code for answer in answers] == [403, 403, 401, 403, 422, 404, 404, 413]
    assert answers[2].headers["www-authenticate"].startswith("Basic")
    assert flow.query("SELECT count(*) FROM report") == [(0,)]
    refused = [entry for entry in logs if entry["event"] == "web.refused"]
    assert " ".join(entry["reason"].replace(" ", "-") for entry in refused) == (
        "signature signature password signature no-JSON too-large"
    )
    assert "example.com" not in json.dumps(logs)
    counted = metrics(web.get("/metrics"))
    assert counted["notifier_callbacks_total", "refused: signature", "mg"] == 1
    assert counted["notifier_callbacks_total", "refused: password", "pm"] == 1


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "%00", "notifier.example.com:99999999"])
def test_a_host_nobody_has_is_refused_like_any_stranger(web: httpx.Client, host: str) -> None:
    """The URL is compared, never taken apart."""
    form = {
        "content": "MessageSid=SM1&MessageStatus=sent",
        "headers": {"host": host, "x-twilio-signature": "x"},
    }

    assert web.post("/callbacks/sms?bodySHA256=1", **form).status_code == 403


def test_a_mailgun_token_counts_once_whatever_comes_with_it(web: httpx.Client, flow: Flow) -> None:
    """Its signature does not cover the event."""
    genuine = json.loads(mailgun(KEY, {"event": "delivered"}, at=now()))
    forged = genuine | {"event-data": genuine["event-data"] | {"event": "complained", "id": "another"}}

    answers = [web.post("/callbacks/mg", json=body) for body in (genuine, forged)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [one.kind for one in kept(flow)] == [ReceiptKind.DELIVERED]


def test_what_does_not_concern_a_message_is_answered_and_forgotten(web: httpx.Client, flow: Flow) -> None:
    """Or the provider would repeat it for hours."""
    answer = web.post("/callbacks/mg", content=mailgun(KEY, {"event": "stored"}, at=now()))

    assert answer.status_code == 200
    assert flow.query("SELECT count(*) FROM report") == [(0,)]
    assert metrics(web.get("/metrics"))["notifier_callbacks_total", "ignored", "mg"] == 1


def test_the_web_role_can_hand_in_and_no_more(web: httpx.Client, flow: Flow, web_url: str) -> None:
    """It cannot read what it handed in."""
    posted(web)

    with psycopg.connect(web_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM report")
    assert len(kept(flow)) == 4


def test_without_a_key_to_seal_to_the_provider_is_asked_to_wait(web: httpx.Client, flow: Flow) -> None:
    """No worker has ever run: nothing is thrown away."""
    flow.query("DELETE FROM sealing_key RETURNING 1")

    answer = web.post("/callbacks/mg", content=mailgun(KEY, {"event": "delivered"}, at=now()))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


def test_a_flood_is_kept_once_each(web: httpx.Client, flow: Flow) -> None:
    """Two thousand callbacks, each twice and in no order, many to a commit."""
    bodies = [mailgun(KEY, {"event": "delivered"}, at=now(), token=f"{number:050}") for number in range(1000)]
    order = [bodies[number * 7 % 1000] for number in range(2000)]

    def post(body: bytes) -> int:
        return web.post("/callbacks/mg", content=body).status_code

    with ThreadPoolExecutor(16) as threads:
        codes = list(threads.map(post, order))

    assert set(codes) == {200}
    assert flow.query(
        "SELECT count(*), count(DISTINCT key), count(DISTINCT xmin::text) < 900 FROM report"
    ) == [(1000, 1000, True)]
    assert metrics(web.get("/metrics"))["notifier_callbacks_total", "taken", "mg"] == 2000


@pytest.fixture
def sns(flow: Flow, web_url: str, signer: SnsSigner) -> Iterator[tuple[httpx.Client, list[str]]]:
    """The endpoint whose fetches of SNS end at a web server of the test's own; and what was fetched."""
    asked: list[str] = []

    def serve(url: str) -> bytes:
        asked.append(url)
        if url.endswith("broken.pem"):
            raise OSError("away")
        return signer.pem if url.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"

    database = Database(web_url, size=2)
    app = FastAPI()
    app.include_router(callbacks_router(callback_desk(flow.services, ReportDesk(database), fetch=serve)))
    with running(app) as client:
        yield client, asked
    database.dispose()


def test_ses_is_believed_by_a_certificate_fetched_once(
    sns: tuple[httpx.Client, list[str]], flow: Flow, signer: SnsSigner
) -> None:
    """Each recipient is a row; a stranger's topic is not asked for anything."""
    client, asked = sns
    said = {"diagnosticCode": "550 5.1.1 no such user"}
    two = [{"emailAddress": f"{name}@example.com", **said} for name in ("ann", "bob")]
    bounce = signer.message(ses_bounce("Permanent", "General", *two), at=now())
    delivery = signer.message(
        ses_event("Delivery", {"recipients": ["c@example.com"]}), at=now(), MessageId="2"
    )
    strange = signer.message(ses_event("Send", {}), at=now(), TopicArn="arn:aws:sns:eu-central-1:9:x",
                             SigningCertURL=CERTIFICATE_URL.replace("-01", "-02"))  # fmt: skip

    codes = [
        client.post("/callbacks/aws", json=body).status_code for body in (bounce, delivery, bounce, strange)
    ]

    assert codes == [200, 200, 200, 403]
    assert [one.recipient for one in kept(flow)] == ["ann@example.com", "bob@example.com", "c@example.com"]
    assert asked == [CERTIFICATE_URL]


def test_a_subscription_is_confirmed_for_our_topic_alone(
    sns: tuple[httpx.Client, list[str]], signer: SnsSigner
) -> None:
    """And only where SNS takes confirmations."""
    client, asked = sns
    elsewhere = {"SubscribeURL": "https://evil.example/?Action=ConfirmSubscription"}

    codes = [
        client.post("/callbacks/aws", json=message).status_code
        for message in (
            signer.confirmation(**elsewhere, Timestamp=now().isoformat()),
            signer.confirmation(TopicArn="arn:aws:sns:eu-central-1:9:x", Timestamp=now().isoformat()),
            signer.confirmation(Timestamp=now().isoformat()),
        )
    ]

    assert codes == [403, 403, 200]
    assert asked == [CERTIFICATE_URL, SUBSCRIBE_URL]


def test_while_sns_is_away_the_callback_must_come_again(
    sns: tuple[httpx.Client, list[str]], flow: Flow, signer: SnsSigner
) -> None:
    """Nothing is believed meanwhile."""
    client, _ = sns
    url = CERTIFICATE_URL.replace("01d088a6f77103d0fe307c0069e40ed6", "broken")
    message = signer.message(ses_event("Send", {}), at=now(), SigningCertURL=url)

    answer = client.post("/callbacks/aws", json=message)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert kept(flow) == []


def test_our_id_travels_with_its_mac_and_an_sms_says_where_its_status_goes(flow: Flow) -> None:
    """Whatever the provider calls it; what comes back can be checked by whoever has the key."""
    services, message = flow.services, uuid4()
    ours = mint_message_id(services.keyring.token_key, message, "notifier.example")
    wires = {}
    for name, channel, to in [("aws", "email", "a@example.com"), ("mg", "email", "a@example.com"),
                              ("pm", "email", "a@example.com"), ("vo", "sms", "+4915550001"),
                              ("sms", "sms", "+4915550001")]:  # fmt: skip
        adapter = services.flows.adapter(name)
        outgoing = Outgoing(
            id=message, channel=ChannelName(channel), tenant="default", to=to, sender="no-reply@notifier.example",
            content=Rendered(text="hi", subject="hi"), message_id=ours,
        )  # fmt: skip
        prepared = adapter.prepare(outgoing)
        dialect = getattr(adapter, "_dialect", None)
        wires[name] = dialect.request(prepared).body.decode() if dialect else prepared.wire.decode()

    found = {name: REFERENCE.search(wire) for name, wire in wires.items()}
    back = {name: message_id_of_reference(match[0]) for name, match in found.items() if match}

    assert set(back) == {"aws", "mg", "pm", "vo"}
    assert {message_id_of(services.keyring.token_key, one) for one in back.values()} == {message}
    assert "StatusCallback=https%3A%2F%2Fnotifier.example.com%2Fcallbacks%2Fsms" in wires["sms"]


def test_what_a_provider_reports_is_the_fate_of_its_message(web: httpx.Client, flow: Flow) -> None:
    """From sending over the callback to the log; in the order of the facts, not of the requests."""
    flow.ingest(flow.sample("order.shipped", data={"customer": {"email": "ann@example.com", "name": "Ann"}}))
    flow.ingest(flow.sample("order.shipped", data={"customer": {"email": "bob@example.com", "name": "Bob"}}))
    flow.deliver()
    keys, domain = flow.services.keyring, flow.services.settings.mail.domain
    ids = [row[0] for row in flow.query("SELECT id FROM message ORDER BY id")]
    told = ["delivered", "bounced"], ["bounced", "delivered"]

    for message, steps in zip(ids, told, strict=True):
        ours = mint_message_id(keys.token_key, message, domain).strip("<>")
        for step in steps:
            event: dict[str, Any] = {"event": step, "message": {"headers": {"message-id": ours}}}
            if step == "bounced":
                event |= {"event": "failed", "severity": "permanent", "reason": "bounce",
                          "delivery-status": {"code": 550, "message": "5.1.1 no such user"}}  # fmt: skip
            web.post("/callbacks/mg", content=mailgun(KEY, event, at=now(), token=f"{message.hex}{step}"))
    forged = {
        "event": "complained",
        "message": {"headers": {"message-id": f"{ids[0].hex}.{'a' * 16}@{domain}"}},
    }
    web.post("/callbacks/mg", content=mailgun(KEY, forged, at=now(), token="forged"))
    flow.services.track.run()

    assert (
        flow.query("SELECT fate, fate_reason FROM message WHERE channel = 'email' ORDER BY id LIMIT 2")
        == [("bounced", "hard: userunknown")] * 2
    )


def test_without_an_address_the_world_knows_no_sms_names_one(make_flow: MakeFlow) -> None:
    """A gateway refuses a message whose callback leads nowhere."""
    settings = make_flow().services.settings
    known = [
        settings.model_copy(update={"public_url": url}) for url in (None, "http://localhost:8000", PUBLIC)
    ]

    assert [one.callbacks_url for one in known] == ["", "", f"{PUBLIC}/callbacks"]
