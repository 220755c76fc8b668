"""Who asks to be forgotten is forgotten everywhere, and nobody else loses anything (B7, C8)."""

import functools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from notifier.catalog import Catalog
from notifier.crypto import blind_index
from notifier.decisions import Contact
from notifier.ids import uuid7
from notifier.pipeline.people.erase import Erased, Eraser
from notifier.receipts import BounceClass
from notifier.recipients.mentions import ERASED
from notifier.store import sending, work
from notifier.store.contacts import save_contact
from notifier.store.migrate import current, migrate, newest
from notifier.store.roles import MIGRATOR
from notifier.store.tenants import add_tenant
from tests.command import CUSTOMER, Run, command, document, shipped
from tests.contracts.smtp_server import Say
from tests.services import Flow, MakeFlow, as_role
from tests.tracking import Tracking, bounced

pytestmark = pytest.mark.servers

BOB = "bob@example.org"


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(flow.services)


def erase(flow: Flow, address: str = CUSTOMER, tenant: str = "default") -> Erased:
    """Erase a person somebody knows."""
    services = flow.services
    done = Eraser(services.database, services.keyring, services.catalog).erase(tenant, address)
    assert done is not None
    return done


def private(flow: Flow, table: str = "event") -> list[Any]:
    """Return what the stored rows hold, oldest first; None where their key is destroyed."""
    aad = {"event": b"event", "decision": b"decision", "timer": b"timer"}[table]
    join = "JOIN event ON event.id = event_id" if table == "decision" else ""
    rows = flow.query(f"SELECT data_key, {table}.sealed FROM {table} {join} ORDER BY 2")
    keyring = flow.services.keyring
    return [
        None if key is None else json.loads(keyring.open_data_key(key).unseal(sealed, aad))
        for key, sealed in rows
    ]


def told(flow: Flow) -> dict[str, str]:
    """Return each mail that went out: recipient → text."""
    found = {}
    for mail in flow.smtp.received:
        text = message_from_bytes(mail.data, policy=policy.default).get_body(("plain",))
        assert text is not None
        found[mail.recipient] = text.get_content()
    return found


def statuses(flow: Flow) -> dict[str, str]:
    """Return the status of each message by the recipient's blind index."""
    return {row[0].hex(): row[1] for row in flow.query("SELECT address_index, status FROM message")}


def index_of(flow: Flow, address: str) -> str:
    """Return an address's blind index as text."""
    return blind_index(flow.services.keyring.index_key, "default", address).hex()


def messages_to(flow: Flow, address: str) -> list[UUID]:
    """Return the ids of the messages to an address."""
    index = bytes.fromhex(index_of(flow, address))
    return [row[0] for row in flow.query("SELECT id FROM message WHERE address_index = %s", index)]


def ticket(flow: Flow, *to: str, **attributes: Any) -> dict[str, Any]:
    """Return a new ticket, of which the help desk is told as well."""
    return flow.sample("ticket.changed", data={"status": "new"}, to=list(to), **attributes)


# Events


def test_an_event_others_were_told_of_goes_on_without_the_person(flow: Flow, run: Run) -> None:
    """Their message waits no longer; the others' go out, and their story stays readable."""
    flow.ingest(flow.sample("patch.available", to=[CUSTOMER, BOB]))
    ((key,),) = flow.query("SELECT data_key FROM event")

    done = erase(flow)
    flow.deliver()

    assert set(told(flow)) == {BOB, "operators@notifier.example", "on-call@notifier.example"}
    (story,) = [run("show", one, "--json").stdout for one in messages_to(flow, BOB)]
    assert flow.services.catalog["patch.available"].sample["product"] in story
    assert CUSTOMER not in story
    assert statuses(flow)[index_of(flow, CUSTOMER)] == "suppressed"
    assert statuses(flow)[index_of(flow, BOB)] == "sent"
    (event,) = private(flow)
    assert event["to"] == [{"email": BOB}]
    assert event["data"] == flow.services.catalog["patch.available"].sample
    assert flow.query("SELECT data_key FROM event") != [(key,)]
    assert (done.events, done.events_kept, done.messages, done.messages_cancelled) == (0, 1, 1, 1)


def test_what_a_shared_event_says_of_the_person_is_blank_for_the_others(flow: Flow) -> None:
    """The desk still gets its message; the requester's name and words are nowhere."""
    flow.ingest(ticket(flow, CUSTOMER))

    erase(flow)
    flow.deliver()

    (event,) = private(flow)
    sample = flow.services.catalog["ticket.changed"].sample
    assert event["data"] == {
        **sample, "status": "new", "requester": ERASED, "comment": {"author": ERASED, "text": ERASED}
    }  # fmt: skip
    assert list(told(flow)) == ["helpdesk@notifier.example"]
    text = told(flow)["helpdesk@notifier.example"]
    assert sample["title"] in text
    assert sample["requester"] not in text
    assert sample["comment"]["text"] not in text
    (decision,) = private(flow, "decision")
    assert {rule["verdict"] for rule in decision} == {"fired"}


def test_personal_data_of_somebody_else_stays_for_the_others(flow: Flow) -> None:
    """A colleague who was told of a lead is not the lead."""
    flow.ingest(flow.sample("lead.status_changed", to=[CUSTOMER]))

    erase(flow)
    flow.deliver()

    (event,) = private(flow)
    lead = flow.services.catalog["lead.status_changed"].sample["lead"]
    assert event == {"data": {**event["data"], "lead": lead}}
    assert lead["name"] in told(flow)["sales@notifier.example"]


def test_what_others_were_sent_about_the_person_is_forgotten(flow: Flow) -> None:
    """Their mails are theirs; what we kept of them, and inbox entries, is not. The log keeps that they were."""
    flow.smtp.for_recipient("helpdesk@notifier.example", Say("550 5.1.1 unknown user"))
    flow.ingest(ticket(flow, CUSTOMER, id="about"), flow.sample("patch.available", to=[CUSTOMER], id="other"))
    flow.deliver()
    flow.deliver()
    about = "event_id = (SELECT id FROM event WHERE external_id = 'about')"
    assert flow.query("SELECT count(*) FROM inbox") == [(1,)]

    done = erase(flow)

    left = flow.query(
        f"SELECT count(*) FROM body JOIN message ON id = message_id WHERE {about} AND address_index <> %s",
        bytes.fromhex(index_of(flow, CUSTOMER)),
    )
    others = flow.query("SELECT count(*) FROM body JOIN message ON id = message_id JOIN event ON event.id = event_id "
                        "WHERE external_id = 'other'")  # fmt: skip
    assert left == [(0,)]
    assert others[0][0] > 1
    assert flow.query("SELECT count(*) FROM inbox") == [(0,)]
    assert (done.contents, done.inbox_entries, done.messages, done.messages_cancelled) == (2, 1, 2, 0)
    assert flow.query(f"SELECT DISTINCT status FROM message WHERE {about} ORDER BY 1") == [
        ("failed",),
        ("sent",),
    ]


def test_the_last_one_told_takes_the_event_along(flow: Flow) -> None:
    """Who was erased before is no reason to keep it."""
    flow.ingest(flow.sample("ticket.changed", to=[CUSTOMER, BOB]))

    first, second = erase(flow), erase(flow, BOB)

    assert (first.events, first.events_kept) == (0, 1)
    assert (second.events, second.events_kept) == (1, 0)
    assert private(flow) == [None]


def test_two_erased_at_once_do_not_keep_the_event_for_each_other(flow: Flow) -> None:
    """Erasures wait for each other, so that the second sees the first."""
    flow.ingest(flow.sample("ticket.changed", to=[CUSTOMER, BOB]))

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(functools.partial(erase, flow), [CUSTOMER, BOB]))

    assert sorted((one.events, one.events_kept) for one in done) == [(0, 1), (1, 0)]
    assert private(flow) == [None]


def test_a_person_who_came_back_can_be_erased_again(flow: Flow) -> None:
    """What they were told before is counted once."""
    flow.ingest(shipped(flow, "A-1"))
    erase(flow)
    flow.ingest(shipped(flow, "A-2"))

    done = erase(flow)

    assert (done.events, done.messages) == (1, 1)
    assert private(flow) == [None, None]


def test_every_name_the_person_goes_by_is_looked_for(flow: Flow) -> None:
    """Erased by address, found by the phone number of the address book."""
    flow.ingest(
        flow.sample("lead.status_changed", to=[{"email": CUSTOMER, "phone": "+4989123456"}], id="to"),
        flow.sample(
            "lead.status_changed", id="about", to=[CUSTOMER],
            data={"lead": {"name": "J. W.", "phone": "+4989123456"}},
        ),
    )  # fmt: skip

    erase(flow)

    leads = [event["data"]["lead"]["name"] for event in private(flow)]
    assert sorted(leads) == ["Priya Nair", ERASED]


def test_a_journey_goes_on_for_the_staff(flow: Flow) -> None:
    """The customer's timers go, those of others stay, and the staff's alarm that waits already goes out."""
    sample = flow.services.catalog["returns.stuck"].sample
    customer = {**sample["last"]["customer"], "email": CUSTOMER}
    flow.ingest(
        flow.sample("returns.stuck", data={"last": {**sample["last"], "customer": customer}}),
        {**flow.sample("returns.requested", data={"customer": customer}), "subject": "R-1"},
        {**flow.sample("returns.requested"), "subject": "R-2"},
    )

    done = erase(flow)
    flow.deliver()

    assert done.timers == 1
    assert flow.query("SELECT subject FROM timer WHERE key LIKE 'stuck:%%'") == [("R-2",)]
    assert "returns-staff@notifier.example" in told(flow)
    assert customer["name"] not in told(flow)["returns-staff@notifier.example"]
    assert CUSTOMER not in told(flow)
    assert flow.query("SELECT count(*) FROM journey WHERE stage = 'requested'") == [(2,)]


def test_a_worker_that_has_opened_a_message_does_not_send_it_any_more(flow: Flow) -> None:
    """Neither the person's nor another's who was to be told of them; what is under way cannot be stopped."""
    flow.ingest(ticket(flow, CUSTOMER))
    with flow.services.database.connection() as connection:
        claims = work.claim(
            connection, relay="default", channel="email", lane="normal", limit=10, token=uuid4(),
            lease=timedelta(minutes=1),
        )  # fmt: skip

        erase(flow)
        marked = [sending.mark_sending(connection, claim, timedelta(minutes=1)) for claim in claims]
    flow.deliver()

    assert marked == [False, False]
    assert list(told(flow)) == ["helpdesk@notifier.example"]
    assert statuses(flow)[index_of(flow, CUSTOMER)] == "suppressed"


def test_a_message_held_for_a_person_waits_no_longer(flow: Flow) -> None:
    """Nobody could decide about it: it cannot be opened."""
    flow.ingest(shipped(flow, "A-1"))
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET state = 3")
        connection.execute("UPDATE message SET status = 'unknown'")

    done = erase(flow)

    assert flow.query("SELECT count(*) FROM work") == [(0,)]
    assert flow.messages() == [
        ("email", "unknown", "it may have arrived; the person's data was erased since")
    ]
    assert done.messages_cancelled == 0


def test_an_event_of_a_type_nobody_knows_any_more_is_not_kept(flow: Flow, make_flow: MakeFlow) -> None:
    """Nor could any message of it be written."""
    flow.ingest(flow.sample("patch.available", to=[CUSTOMER, BOB]))
    later = make_flow()
    vars(later.services)["catalog"] = Catalog(
        {one.type: one for one in flow.services.catalog if one.type != "patch.available"}
    )

    done = erase(later)

    assert (done.events, private(flow)) == (1, [None])


def test_what_came_back_is_forgotten_but_not_that_it_did(tracking: Tracking, database_url: str) -> None:
    """Bounces that were counted, and mails nobody could read, go; the suppression stays (ICO)."""
    address = tracking.flow.services.catalog["order.shipped"].sample["customer"]["email"]
    message = tracking.send()
    tracking.report(bounced(message, BounceClass.SOFT), bounced(message, text=f"550 {address}: unknown"))
    with psycopg.connect(database_url) as admin:
        admin.execute(
            "INSERT INTO unreadable_mail VALUES (%s, %s, 1, 'x', 'x'), (%s, %s, 1, 'x', 'x')",
            [b"1", message, b"2", uuid4()],
        )

    erase(tracking.flow, address)

    assert tracking.suppressions() == [("hard_bounce", "*")]
    assert tracking.flow.query("SELECT count(*) FROM soft_bounce") == [(0,)]
    assert tracking.flow.query("SELECT digest FROM unreadable_mail") == [(b"2",)]


def test_other_tenants_are_not_touched(flow: Flow) -> None:
    """The same address is another person there."""
    with flow.services.database.connection() as connection:
        add_tenant(connection, "acme", "Acme")
    flow.ingest(shipped(flow, "A-1"), {**shipped(flow, "A-1"), "tenant": "acme"})

    erase(flow)

    assert flow.query("SELECT tenant FROM event WHERE data_key IS NOT NULL") == [("acme",)]


# The command and the schema


def test_erasing_says_what_it_did(flow: Flow, run: Run) -> None:
    """As a table that names what there was, and as JSON with every count."""
    with flow.services.database.transaction() as connection:
        key = ("default", bytes.fromhex(index_of(flow, BOB)))
        person = flow.services.persons.hold(connection, [key])[key]
        save_contact(
            connection,
            flow.services.keyring,
            "default",
            Contact(reference="C-1", email=BOB, name="Bob Roe"),
            person,
        )
    flow.ingest(shipped(flow, "A-1", BOB), flow.sample("patch.available", to=[BOB]), shipped(flow, "A-2"))

    said = run("erase", CUSTOMER, "--yes")
    counts = document(run("erase", BOB, "--yes", "--json"))
    nobody = run("erase", BOB, "--yes", "--json")

    assert said.stdout.splitlines() == [
        "erased",
        "events made unreadable          1",
        "messages                        1",
        "messages that will not be sent  1",
    ]
    assert counts == {
        "did": "erased", "events": 1, "events_kept": 1, "messages": 2, "messages_cancelled": 2, "contents": 0,
        "timers": 0, "dead_letters": 0, "inbox_entries": 0, "contacts": 1, "alerts": 0,
    }  # fmt: skip
    assert nobody.exit_code == 1
    assert json.loads(nobody.stdout)["messages"] == 0


def test_an_older_schema_is_brought_to_this_one(flow: Flow, database_url: str) -> None:
    """With what it holds; existing and later partitions get the index."""
    url = as_role(database_url, MIGRATOR)
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("DROP SCHEMA public CASCADE")
        admin.execute("CREATE SCHEMA public AUTHORIZATION notifier_migrator")
    migrate(url, "0001")
    with psycopg.connect(url) as owner:
        owner.execute(
            """INSERT INTO event (id, tenant, source, external_id, type, subject, time, received_at, lane, sealed)
               VALUES (%s, 'default', 'test', 'A-1', 'order.shipped', 'A-1', now(), now(), 'normal', '')""",
            [uuid7()],
        )

    before, after = current(url), migrate(url)

    indexed = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%%(person_id, event_id)%%'"
    ((indexes,),) = flow.query(indexed)
    ((partitions,),) = flow.query(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'notification'::regclass"
    )
    assert (before, after) == ("0001", newest())
    assert indexes == partitions + 1
    assert flow.query("SELECT count(*) FROM event") == [(1,)]
