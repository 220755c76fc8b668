"""A staging system writes to nobody but those it names, and says so."""

from dataclasses import replace
from email import message_from_bytes, policy

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from notifier.messages import ChannelName
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.recipients.safe_mode import SafeMode, spelling
from notifier.setting_tables import SafeModeSettings
from notifier.store.database import Database
from notifier.store.reports import ReportDesk
from tests.command import command
from tests.integration.test_web import metrics, served
from tests.services import Flow, MakeFlow
from tests.tracking import Tracking, bounced, told

pytestmark = pytest.mark.servers

CUSTOMER = {"name": "Ada", "email": "Ada@Customer.example", "phone": "+4915112345678"}


def ship(flow: Flow) -> None:
    """Let an order of the customer's be shipped, and send what is due."""
    flow.ingest(flow.sample("order.shipped", data={"customer": CUSTOMER}))
    flow.deliver()


def test_what_is_for_others_goes_to_somebody_of_ours(make_flow: MakeFlow) -> None:
    """It is marked, and names the recipient in no header."""
    flow = make_flow(safe_mode={"redirect_email": "staging@ours.example"})

    ship(flow)

    (received,) = flow.smtp.received
    mail = message_from_bytes(received.data, policy=policy.default)
    assert received.recipient == "staging@ours.example"
    assert mail["Subject"].startswith("[safe mode] ")
    assert "customer.example" not in str(mail["To"]).lower()


@pytest.mark.parametrize("allowed", ["ada@customer.example", "@customer.example"])
def test_who_is_on_the_list_is_written_to(make_flow: MakeFlow, allowed: str) -> None:
    """By address, or by domain, in whatever case."""
    flow = make_flow(safe_mode={"allow": [allowed]})

    ship(flow)

    (received,) = flow.smtp.received
    assert received.recipient.lower() == "ada@customer.example"
    assert b"[safe mode]" not in received.data


@pytest.mark.parametrize("allowed", ["Ada@Bücher.example", "@xn--bcher-kva.example", "@BÜCHER.example"])
@pytest.mark.parametrize("address", ["ada@bücher.example", "ADA@XN--bcher-kva.example"])
def test_an_international_domain_is_known_in_both_its_forms(allowed: str, address: str) -> None:
    """As people write it, and as it goes on the wire; nobody else's is."""
    mode = SafeMode(allow=frozenset([spelling(allowed)]), redirect={})

    assert mode.is_allowed(ChannelName.EMAIL, address)
    assert not mode.is_allowed(ChannelName.EMAIL, "ada@bucher.example")


def test_without_a_place_nothing_leaves(make_flow: MakeFlow) -> None:
    """Neither by mail nor by SMS; the reason stands in the log, and the portal has it."""
    flow = make_flow(safe_mode={"allow": ["@ours.example"]})

    ship(flow)

    assert flow.smtp.received == []
    assert flow.sms.received == []
    reasons = {channel: (status, reason or "") for channel, status, reason in flow.messages()}
    assert reasons["email"][0] == "suppressed"
    assert "safe mode" in reasons["email"][1]


@pytest.mark.parametrize(
    "report",
    [
        bounced(None, BounceClass.HARD),
        bounced(None, BounceClass.SOFT),
        bounced(None, BounceClass.HARD, recipient="staging@ours.example"),
        told(ReceiptKind.COMPLAINED),
        told(ReceiptKind.UNSUBSCRIBED),
    ],
    ids=["hard", "soft", "of our own mailbox", "complaint", "unsubscribed"],
)
def test_what_comes_back_of_redirected_mail_blames_nobody(
    make_flow: MakeFlow, web_url: str, report: Receipt
) -> None:
    """The customer was never written to: also once safe mode is over, and a late report is read without it."""
    flow = make_flow(safe_mode={"redirect_email": "staging@ours.example"})
    ship(flow)
    message = flow.query("SELECT id FROM message WHERE channel = 'email'")[0][0]
    database = Database(web_url, size=1)
    tracking = Tracking(make_flow(suppression={"soft_bounces": 1}), ReportDesk(database))

    tracking.report(replace(report, message=message))
    database.dispose()

    assert flow.query("SELECT kind FROM receipt") == [(report.kind.value,)]
    assert flow.query("SELECT count(*) FROM suppression") == [(0,)]
    assert flow.query("SELECT count(*) FROM soft_bounce") == [(0,)]


def test_the_story_says_that_it_went_elsewhere(make_flow: MakeFlow) -> None:
    """Who looks at a staging system's log does not believe that a customer was told."""
    flow = make_flow(safe_mode={"redirect_email": "staging@ours.example", "allow": ["@ours.example"]})
    ship(flow)
    flow.ingest(flow.sample("order.shipped", data={"customer": {**CUSTOMER, "email": "ada@ours.example"}}))
    flow.deliver()
    redirected, own = flow.query("SELECT id FROM message WHERE channel = 'email' ORDER BY id")

    with capture_logs():
        run = command(flow.services)
        shown, other = (run("show", str(one[0])).stdout for one in (redirected, own))

    assert "to Ada@Customer.example (safe mode sent it to somebody of ours instead): sent" in shown
    assert "safe mode" not in other


def test_metrics_say_that_it_is_on(make_flow: MakeFlow) -> None:
    """Production with the settings of staging is an alert, not a discovery."""
    shown = []
    for mode in (None, {"allow": ["@ours.example", "+4915112345678"]}):
        with served(make_flow(safe_mode=mode).services.settings) as web:
            shown.append(metrics(web.get("/metrics"))["notifier_safe_mode",])

    assert shown == [0, 1]


@pytest.mark.parametrize(
    ("allowed", "problem"),
    [
        ("ours.example", "nobody's address"),
        ("+49 151 12345678", "not E.164"),
        ("*@ours.example", "nobody's address"),
        ("QA <qa@ours.example>", "nobody's address"),
        ("qa@ours.example, qb@ours.example", "nobody's address"),
        ("qa@", "nobody's address"),
    ],
)
def test_what_would_allow_nobody_is_refused(allowed: str, problem: str) -> None:
    """A domain without its sign, a number as people write it, a pattern, a name: nothing would ever match."""
    with pytest.raises(ValidationError, match=problem):
        SafeModeSettings.model_validate({"allow": [allowed]})
