"""Bad input: the refusal or failure names the field, is on record once, and all good input beside it goes out."""

import shutil
from collections import Counter
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.reports.timeline import tried
from tests.command import CUSTOMER, command, shipped
from tests.contracts.smtp_server import Say
from tests.integration.stories import (
    Story,
    hit_and_others,
    notifier_with,
    smtp_relay,
    stories,
)
from tests.services import ROOT, Flow, MakeFlow

pytestmark = pytest.mark.servers

OTHERS = ("ann@example.org", "ben@example.org")
INJECTED = "x\r\nBcc: eve@example.net"
_CONTROL = "holds control characters"
_NO_ADDRESS = "must be an email address"

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown-type": (
        {"type": "order.shiped"},
        "type", "unknown event type 'order.shiped'; `notifier events` lists the known ones",
    ),
    "wrong-kind": ({"data": {"carrier": 7}}, "data.carrier", "must be of type string"),
    "too-small": (
        {"data": {"items": [{"name": "A", "quantity": 0}]}}, "data.items[0].quantity", "must be at least 1",
    ),
    "unknown-key": ({"data": {"surplus": 1}}, "data", "unknown: surplus"),
    "no-address": (
        {"data": {"customer": {"name": "A", "email": "nobody"}}}, "data.customer.email", _NO_ADDRESS,
    ),
    "address-with-header": (
        {"data": {"customer": {"name": "A", "email": f"a@b.example{INJECTED}"}}},
        "data.customer.email", _NO_ADDRESS,
    ),
    "oversize": ({"data": {"address": "x" * 262_144}}, "data", "bytes, the limit is 262144"),
    "recipient-with-header": ({"to": [CUSTOMER, f"a@b.example{INJECTED}"]}, "to[1]", _CONTROL),
    "name-with-header": ({"to": [{"email": CUSTOMER, "name": INJECTED}]}, "to[0].name", _CONTROL),
    "subject-with-header": ({"subject": INJECTED}, "subject", _CONTROL),
    "unknown-tenant": (
        {"tenant": "nobody"}, "tenant", "unknown tenant; `notifier tenant add` makes one",
    ),
    "file-not-base64": (
        {"attachments": [{"name": "a", "content": "%%%"}]}, "attachments[0].content", "must be base64",
    ),
    "file-with-header": (
        {"attachments": [{"name": INJECTED, "content": ""}]}, "attachments[0].name", _CONTROL,
    ),
    "unknown-urgency": ({"urgency": "now"}, "urgency", "must be one of urgent, normal, bulk"),
}  # fmt: skip


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """A notifier."""
    return notifier_with(make_flow, on_call=[{"email": "on-call@notifier.example"}])


def order(flow: Flow, name: str, *, data: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the shipped order of a customer, with some of it changed; the name is its id."""
    event = shipped(flow, name, CUSTOMER)
    return {**event, **changes, "data": {**event["data"], **(data or {})}}


def good(flow: Flow) -> list[dict[str, Any]]:
    """Return good orders of other customers."""
    return [shipped(flow, f"G-{n}", customer) for n, customer in enumerate(OTHERS)]


def take_in(flow: Flow, *events: dict[str, Any]) -> dict[str, int]:
    """Put events into the intake, ingest them in one batch, and send what follows."""
    for event in events:
        flow.services.intake.put(Urgency.NORMAL, flow.payload(event))
    counts = dict(flow.services.ingest.run(Urgency.NORMAL))
    assert flow.services.intake.lengths()[Urgency.NORMAL] == 0
    flow.deliver()
    return counts


def orders(flow: Flow) -> list[Story]:
    """Return the story of each order."""
    return stories(flow, "order.shipped", ChannelName.EMAIL)


def mailed(flow: Flow) -> list[str]:
    """Return to whom mails went, sorted."""
    return sorted(mail.recipient for mail in flow.smtp.received)


@pytest.mark.parametrize(("changes", "field", "error"), REFUSED.values(), ids=REFUSED)
def test_a_bad_event_is_one_dead_letter_that_names_the_field(
    flow: Flow, changes: dict[str, Any], field: str, error: str
) -> None:
    """Refused, kept with what is wrong and where, and the good ones of its batch go out."""
    one, two = good(flow)

    counts = take_in(flow, one, order(flow, "B-1", **changes), two)

    assert (counts["refused"], counts["stored"]) == (1, 2)
    ((kind, name, where, why),) = flow.query("SELECT kind, external_id, field, error FROM dead_letter")
    assert (kind, name, where) == ("refused", "B-1", field)
    assert error in why
    assert mailed(flow) == sorted(OTHERS)
    assert flow.query("SELECT DISTINCT state FROM notification") == [("sent",)]


def test_a_batch_of_nearly_only_bad_events_still_sends_the_good_ones(flow: Flow) -> None:
    """Each bad event is a dead letter of its own; none takes another along, wherever it stands."""
    bad = [order(flow, name, **changes) for name, (changes, _, _) in REFUSED.items()]
    one, two = good(flow)

    counts = take_in(flow, *bad[:7], one, *bad[7:], two)

    assert (counts["refused"], counts["stored"]) == (len(REFUSED), 2)
    letters = flow.query("SELECT external_id, field FROM dead_letter ORDER BY external_id")
    assert letters == sorted((name, field) for name, (_, field, _) in REFUSED.items())
    assert mailed(flow) == sorted(OTHERS)


@pytest.mark.parametrize(
    ("customer", "reason"),
    [
        (
            {"name": "Ada", "email": "jörg@example.org"},
            "smtputf8-not-offered",
        ),
        ({"name": "Ada", "email": "ada@127.0.0.1"}, "address: the domain is not a valid host name"),
        ({"name": INJECTED, "email": CUSTOMER}, "To name: holds a line break or NUL"),
        ({"name": "Ada\0", "email": CUSTOMER}, "To name: holds a line break or NUL"),
    ],
)
def test_an_address_or_name_no_mail_can_carry_fails_that_mail_and_the_next_channel_has_its_turn(
    flow: Flow, customer: dict[str, str], reason: str
) -> None:
    """The schema let it pass, the mail's headers do not: nothing of it reaches the relay, the SMS goes out."""
    bad = order(flow, "B-1", data={"customer": {**customer, "phone": "+491701234567"}})
    one, two = good(flow)

    take_in(flow, one, bad, two)

    hit, others = hit_and_others(orders(flow))
    (attempt,) = hit.tries
    assert (attempt.phase, attempt.outcome, attempt.reason) == ("local", "failed", reason)
    assert "at local" in tried(attempt)
    assert (hit.status, hit.reason) == ("failed", f"{reason} at local, for good")
    assert [other.status for other in others] == ["sent", "sent"]
    assert mailed(flow) == sorted(OTHERS)
    assert all("eve@" not in command for _, command in flow.smtp.commands)
    assert [text["To"] for text in flow.sms.received] == ["+491701234567"]
    assert flow.query("SELECT DISTINCT state FROM notification") == [("sent",)]


@pytest.mark.parametrize("address", ["a,b@example.org", "ann@-example.org"])
def test_an_address_in_to_that_no_mail_can_carry_fails_with_the_field_and_the_others_are_told(
    flow: Flow, address: str
) -> None:
    """Of two whom the event names, the good one gets the mail."""
    take_in(flow, flow.sample("lead.status_changed", to=[address, CUSTOMER]))

    hit, others = hit_and_others(stories(flow, "lead.status_changed", ChannelName.EMAIL))
    (attempt,) = hit.tries
    assert (attempt.phase, hit.status) == ("local", "failed")
    assert (hit.reason or "").startswith("address: the ")
    assert [other.status for other in others] == ["sent", "sent"]
    assert mailed(flow) == sorted([CUSTOMER, "sales@notifier.example"])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ann@", "email address"),
        ("@example.org", "email address"),
        ("a@b@example.org", "email address"),
        ("not-an-address", "phone number"),
        ({"phone": "call me"}, "phone number"),
    ],
)
def test_what_is_no_address_in_to_is_refused_with_its_place(flow: Flow, address: object, words: str) -> None:
    """Nobody could be told; a portal inbox that nobody owns is no help."""
    one, two = good(flow)

    take_in(flow, one, flow.sample("lead.status_changed", to=[CUSTOMER, address]), two)

    field = "to[1].phone" if isinstance(address, dict) else "to[1]"
    ((where, error),) = flow.query("SELECT field, error FROM dead_letter")
    assert (where, words in error) == (field, True)
    assert mailed(flow) == sorted(OTHERS)


@pytest.mark.parametrize(
    "number",
    [
        "1\r\nBcc: eve@example.net",
        "1\nBcc: eve@example.net\n\nhello",
        "1\r\n\r\n.\r\nRCPT TO:<eve@example.net>",
    ],
)
def test_a_header_in_data_that_reaches_the_subject_stays_text(flow: Flow, number: str) -> None:
    """The mail goes out with a subject of one line; no header, recipient or command comes of it."""
    one, two = good(flow)

    take_in(flow, one, order(flow, "B-1", data={"order_number": number}), two)

    assert mailed(flow) == sorted([*OTHERS, CUSTOMER])
    mails = {mail.recipient: message_from_bytes(mail.data, policy=default) for mail in flow.smtp.received}
    bad, usual = mails[CUSTOMER], mails[OTHERS[0]]
    assert " ".join(number.split()) in bad["Subject"]
    assert bad.keys() == usual.keys()
    assert Counter(bad.keys())["Subject"] == 1
    assert "Bcc" not in bad
    verbs = Counter(line.partition(" ")[0] for _, line in flow.smtp.commands)
    assert (verbs["MAIL"], verbs["RCPT"], verbs["DATA"]) == (3, 3, 3)
    assert flow.query("SELECT DISTINCT status FROM message") == [("sent",)]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("{{ data.no_such_field }}", "the variable 'data.no_such_field' is missing"),
        ("{{ 1 / 0 }}", "cannot be rendered: ZeroDivisionError"),
        ("{{ data.items | date }}", "must be an ISO 8601 date or time"),
    ],
)
def test_a_template_error_fails_the_mails_of_its_type_and_no_other(
    make_flow: MakeFlow, tmp_path: Path, mistake: str, words: str
) -> None:
    """The reason names the file and what is wrong; its SMS goes out, and so do other types."""
    for name in ("_layouts", "order"):
        shutil.copytree(ROOT / "templates" / name, tmp_path / name)
    body = tmp_path / "order/delivered/body.txt.j2"
    lines = body.read_text().splitlines()
    start = lines.index("{% block content %}")
    body.write_text("\n".join([*lines[: start + 1], mistake, *lines[start + 1 :]]))
    flow = notifier_with(make_flow, on_call=[{"email": "on-call@notifier.example"}], templates_dir=tmp_path)
    one, two = good(flow)

    take_in(flow, one, flow.sample("order.delivered"), two)

    ((mail, text),) = stories(flow, "order.delivered", ChannelName.EMAIL)
    assert (mail.status, mail.content, mail.tries[0].phase) == ("failed", None, "local")
    assert f"template: order/delivered/body.txt.j2:{start + 2}: " in (mail.reason or "")
    assert words in (mail.reason or "")
    assert words in tried(mail.tries[0])
    assert (text.channel, text.status) == ("sms", "sent")
    assert mailed(flow) == sorted(OTHERS)


@pytest.mark.parametrize(
    ("channel", "relay", "gone"), [("email", "default", {"relays": {}}), ("sms", "sms", {"sms": None})]
)
def test_a_resend_over_a_relay_that_is_gone_from_the_configuration_is_refused(
    flow: Flow, make_flow: MakeFlow, channel: str, relay: str, gone: dict[str, object]
) -> None:
    """It says what is missing and queues nothing; the message stays as it was."""
    flow.smtp.for_recipient(OTHERS[0], Say("550 5.1.1 nobody here"))
    take_in(flow, *good(flow))
    ((message,),) = flow.query("SELECT id FROM message WHERE channel = %s AND status = 'sent'", channel)

    refused = command(make_flow(**gone).services)("resend", message)

    assert refused.exit_code == 3
    assert f"nothing is configured that sends {channel}: no relay '{relay}'" in refused.stderr
    assert refused.stdout == ""
    assert flow.query("SELECT count(*) FROM work") == [(0,)]
    assert flow.query("SELECT count(*) FROM message") == [(3,)]
    assert flow.query("SELECT status FROM message WHERE id = %s", message) == [("sent",)]


def test_a_resend_after_a_relay_was_renamed_goes_over_the_new_one(flow: Flow, make_flow: MakeFlow) -> None:
    """The message knows its channel, and the configuration of today which relay that is."""
    take_in(flow, good(flow)[0])
    renamed = make_flow(relays={"new-name": smtp_relay(flow.smtp.port)}, relay="new-name")

    done = command(renamed.services)("resend", flow.one_id())
    renamed.deliver()

    assert done.exit_code == 0
    assert mailed(flow) == [OTHERS[0], OTHERS[0]]
    assert flow.query("SELECT relay, status FROM message ORDER BY id") == [
        ("default", "sent"),
        ("new-name", "sent"),
    ]
