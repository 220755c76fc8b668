"""Messages over providers of the settings, through the whole of the pipeline (S5, B3, O7)."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from notifier.events import LANES
from notifier.messages import ChannelName
from tests.contracts import postmark_server, vonage_server, webhook_server
from tests.contracts.apprise_server import AppriseServer
from tests.contracts.http_server import Answer
from tests.services import ROOT, Flow, MakeFlow

pytestmark = pytest.mark.servers

RULE = """
rules:
  - notify: gates
    on: order.shipped
    recipients: [{list: gates}]
    channels: [CHANNELS]
    reason: it is your gate
"""


def notifier(make_flow: MakeFlow, folder: Path, channels: str, **settings: Any) -> Flow:
    """Return a notifier with one rule that tells the list ``gates``."""
    shutil.copytree(ROOT / "config", folder, ignore=shutil.ignore_patterns("rules", "tests"))
    (folder / "rules").mkdir()
    (folder / "rules" / "gates.yaml").write_text(RULE.replace("CHANNELS", channels), encoding="utf-8")
    one = {"email": "ann@example.org", "phone": "+491701234567", "endpoint": "crm", "locale": "en"}
    return make_flow(config_dir=folder, lists={"gates": [one]}, **settings)


def deliver(flow: Flow) -> None:
    """Send all that is due, in whatever order the channels follow each other."""
    for _ in range(2):
        for channel in ChannelName:
            for lane in LANES:
                flow.services.deliver.run(channel, lane.value)


def attempts(flow: Flow) -> list[tuple[Any, ...]]:
    """Return (relay, outcome) of all tries, oldest first."""
    return flow.query("SELECT relay, outcome FROM attempt ORDER BY id, number")


def test_an_endpoint_is_told_what_a_person_would_read(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Subject and text of the type's template, under the message's own id; it is one attempt on record."""
    with webhook_server.WebhookServer() as server:
        hook = {"kind": "webhook", **webhook_server.endpoint(server.url, webhook_server.SECRET)}
        flow = notifier(make_flow, tmp_path / "config", "webhook, email", providers={"hook": hook})

        flow.ingest(flow.sample("order.shipped"))
        deliver(flow)

        [told] = server.received
        assert told["type"] == "order.shipped"
        assert told["webhook-id"] == str(flow.one_id())
        assert told["data"]["subject"]
        assert told["data"]["text"]
        assert flow.messages() == [("webhook", "sent", None)]
        assert attempts(flow)[0][0] == "hook"
        assert flow.smtp.received == []


def test_an_endpoint_that_is_gone_leaves_the_turn_to_the_next_channel(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """410 is for good: the person gets a mail."""
    with webhook_server.WebhookServer() as server:
        server.always(Answer(410))
        hook = {"kind": "webhook", **webhook_server.endpoint(server.url, webhook_server.SECRET)}
        flow = notifier(make_flow, tmp_path / "config", "webhook, email", providers={"hook": hook})

        flow.ingest(flow.sample("order.shipped"))
        deliver(flow)

        assert [one[:2] for one in flow.messages()] == [("webhook", "failed"), ("email", "sent")]
        assert len(flow.smtp.received) == 1


def test_mail_goes_over_a_provider_that_has_a_relays_place(make_flow: MakeFlow, tmp_path: Path) -> None:
    """With our id in what its callbacks quote."""
    with postmark_server.PostmarkServer() as server:
        post = {"kind": "postmark", "server_token": postmark_server.TOKEN, "base_url": server.url}
        flow = notifier(make_flow, tmp_path / "config", "email", providers={"post": post}, relay="post")

        flow.ingest(flow.sample("order.shipped"))
        deliver(flow)

        [mail] = server.received
        assert mail["Metadata"]["notifier-message"].startswith(flow.one_id().hex)
        assert flow.messages() == [("email", "sent", None)]
        assert attempts(flow)[0][0] == "post"
        assert flow.smtp.received == []


def test_an_account_that_may_not_send_rests_and_nothing_is_lost(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Every mail would meet it: the provider rests, no recipient is blamed, and the mail goes out later."""
    with postmark_server.PostmarkServer() as server:
        server.on(postmark_server.error(422, 412, "Account is pending"))
        post = {"kind": "postmark", "server_token": postmark_server.TOKEN, "base_url": server.url}
        flow = notifier(make_flow, tmp_path / "config", "email", providers={"post": post}, relay="post")

        flow.ingest(flow.sample("order.shipped"))
        deliver(flow)
        resting = flow.query("SELECT count(*) FROM relay_pause WHERE relay = 'post' AND until > now()")
        flow.make_due()
        deliver(flow)

        assert resting == [(1,)]
        assert [one[:2] for one in flow.messages()] == [("email", "sent")]


def test_texts_and_alerts_go_over_the_provider_of_their_channel(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Without a gateway of its own: Vonage for SMS, Apprise for operators."""
    with vonage_server.VonageServer() as sms, AppriseServer() as chat:
        providers = {
            "texts": {"kind": "vonage", "base_url": sms.url, **vonage_server.CASE.settings},
            "pager": {"kind": "apprise", "targets": {"crm": [chat.url.replace("http", "json")]}},
        }
        flow = notifier(make_flow, tmp_path / "config", "sms, apprise", providers=providers, sms=None)

        sms.on(vonage_server.error("7"))
        flow.ingest(flow.sample("order.shipped"))
        deliver(flow)

        assert [one[:2] for one in flow.messages()] == [("sms", "failed"), ("apprise", "sent")]
        assert len(chat.received) == 1
        assert [relay for relay, _ in attempts(flow)] == ["texts", "pager"]
