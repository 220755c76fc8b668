"""Events that were refused hold personal data too: erasing a person reaches them (B7, C8)."""

import base64
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from structlog.testing import capture_logs

from notifier.client.sealing import seal_private
from notifier.crypto import blind_index
from notifier.decisions import Contact
from notifier.events import Urgency
from notifier.pipeline.incoming import Arrival
from notifier.pipeline.people.erase import Eraser
from notifier.store.contacts import save_contact
from notifier.store.tenants import add_tenant
from tests.command import CUSTOMER, Run, command, document, lines
from tests.services import Flow

pytestmark = pytest.mark.servers

BOB = "bob@example.org"


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(flow.services)


def refused(flow: Flow, **data: object) -> UUID:
    """Refuse an event with this data, and return its letter."""
    flow.ingest({"type": "no.such", "subject": "S-1", "data": data})
    return flow.one_id("dead_letter")


def sealed_entry(flow: Flow, name: str, email: str) -> dict[str, Any]:
    """Return an event a client sealed, of a type nobody knows."""
    key = X25519PrivateKey.from_private_bytes(flow.services.keyring.intake_key).public_key()
    secret = seal_private(
        {"data": {"email": email}},
        base64.b64encode(key.public_bytes_raw()).decode(),
        ("default", "test", name),
    )
    return {"type": "no.such", "subject": "S-1", "id": name, "sealed": secret}


def test_dead_letters_that_speak_of_the_person_are_erased(flow: Flow, run: Run) -> None:
    """Wherever the address stands, also where the producer misspelled the field, or sealed it."""
    gone = {
        refused(flow, costumer={"mail": CUSTOMER.upper()}),
        refused(flow, text=f"please write to {CUSTOMER}, soon"),
    }
    flow.ingest(sealed_entry(flow, "sealed", CUSTOMER))
    gone.add(flow.one_id("dead_letter"))
    flow.ingest({"type": "no.such", "subject": "S", "tenant": "nobody", "to": CUSTOMER, "data": {}})
    gone.add(flow.one_id("dead_letter"))
    broken = b'{"no json": "' + CUSTOMER.encode()
    flow.services.ingest.arrivals([Arrival(payload=broken, lane=Urgency.BULK, at=flow.services.clock.now())])
    gone.add(flow.one_id("dead_letter"))
    kept = {refused(flow, email=BOB)}
    flow.ingest(sealed_entry(flow, "kept", BOB))
    kept.add(flow.one_id("dead_letter"))

    done = document(run("erase", CUSTOMER, "--yes", "--json"))
    listed = {one["id"]: one for one in lines(run("dead", "list", "--json"))}

    assert done["dead_letters"] == len(gone)
    assert {row[0] for row in flow.query("SELECT id FROM dead_letter WHERE sealed = ''")} == gone
    assert {row[0] for row in flow.query("SELECT id FROM dead_letter WHERE data_key IS NOT NULL")} == kept
    assert {one for one, row in listed.items() if row["error"] == "[erased]"} == {str(one) for one in gone}
    letter = gone.pop()
    assert document(run("dead", "show", letter, "--json"))["event"] == "[erased]"
    assert "[erased]" in run("dead", "list").stdout
    again = run("dead", "retry", letter)
    assert (again.exit_code, "is gone" in again.stderr) == (1, True)


def test_an_erased_letter_waits_for_nobody(flow: Flow, web_url: str) -> None:
    """It cannot be retried, so /metrics does not count it; the same event may come in again."""
    event = {"type": "no.such", "subject": "S-1", "id": "e-1", "data": {"email": CUSTOMER}}
    flow.ingest(event, {**event, "id": "e-2", "data": {}})

    services = flow.services
    done = Eraser(services.database, services.keyring, services.catalog).erase("default", CUSTOMER)

    assert done is not None
    assert done.dead_letters == 1
    with psycopg.connect(web_url) as web:
        counted = web.execute("SELECT * FROM notifier_dead_letters()").fetchall()
    flow.ingest(event)
    assert counted == [("refused", 1)]
    assert flow.query("SELECT count(*) FROM dead_letter WHERE data_key IS NOT NULL") == [(2,)]


def test_a_letter_is_found_by_any_name_of_the_address_book(flow: Flow, run: Run) -> None:
    """Erased by address; the letter has the number only. Another tenant's letters are another tenant's."""
    services = flow.services
    with services.database.transaction() as connection:
        add_tenant(connection, "acme", "Acme")
        key = ("default", blind_index(services.keyring.index_key, "default", BOB))
        person = services.persons.hold(connection, [key])[key]
        contact = Contact(reference="C-1", email=BOB, phone="+4989123456", name="Bob Roe")
        save_contact(connection, services.keyring, "default", contact, person)
    gone = {refused(flow, phone="+49 89 123456"), refused(flow, who="Bob Roe"), refused(flow, customer="C-1")}
    flow.ingest({"type": "no.such", "subject": "S", "tenant": "acme", "data": {"email": BOB}})

    done = document(run("erase", BOB, "--yes", "--json"))

    assert (done["dead_letters"], done["contacts"]) == (3, 1)
    assert {row[0] for row in flow.query("SELECT id FROM dead_letter WHERE data_key IS NULL")} == gone
