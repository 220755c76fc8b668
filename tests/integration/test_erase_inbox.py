"""Nobody reads the portal's entry of a person who was erased while it was being written (C8)."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from notifier.crypto import blind_index
from notifier.errors import TemporaryFailure
from notifier.messages import Rendered
from notifier.store import inbox, persons
from tests.command import CUSTOMER, shipped
from tests.contracts.smtp_server import At, Say
from tests.services import Flow

pytestmark = pytest.mark.servers


def index_of(flow: Flow, address: str) -> bytes:
    """Return an address's blind index."""
    return blind_index(flow.services.keyring.index_key, "default", address)


def erase(flow: Flow, address: str) -> None:
    """Destroy the person's key."""
    with flow.services.database.transaction() as connection:
        assert persons.erase(connection, "default", index_of(flow, address))


def reader_of(flow: Flow) -> tuple[UUID, str]:
    """Ingest something for the portal, and return its message and reader."""
    flow.ingest(shipped(flow, "A-1"))
    return flow.one_id(), CUSTOMER


def test_a_reader_erased_before_the_write_gets_no_entry(flow: Flow) -> None:
    """Whether they stayed away or have come back since."""
    message, reader = reader_of(flow)
    content = Rendered(subject="S", text="T")
    erase(flow, reader)

    with pytest.raises(TemporaryFailure) as away:
        flow.services.inbox.put(message, "default", reader, content)
    key = ("default", index_of(flow, reader))
    with flow.services.database.transaction() as connection:
        flow.services.persons.hold(connection, [key])
    with pytest.raises(TemporaryFailure) as back:
        flow.services.inbox.put(message, "default", reader, content)

    assert (away.value.reason, back.value.reason) == ("erased", "erased")
    assert flow.query("SELECT count(*) FROM inbox") == [(0,)]


def test_a_portal_message_whose_reader_is_erased_while_it_is_sent_ends_as_suppressed(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the message and the write of the entry."""
    flow.smtp.always(At.RCPT, Say("550 5.1.1 unknown user"))
    customer = {**flow.services.catalog["invoice.issued"].sample["customer"], "email": CUSTOMER}
    flow.ingest(flow.sample("invoice.issued", data={"customer": customer}))
    real = flow.services.inbox.put

    def late(*args: Any) -> None:
        erase(flow, CUSTOMER)
        real(*args)

    monkeypatch.setattr(flow.services.inbox, "put", late)
    flow.deliver()
    flow.make_due()
    monkeypatch.setattr(flow.services.inbox, "put", real)
    flow.deliver()

    assert flow.query("SELECT count(*) FROM attempt WHERE reason = 'erased'") == [(1,)]
    assert flow.messages()[1:] == [("portal", "suppressed", "the person's data was erased")]
    assert flow.query("SELECT count(*) FROM inbox") == [(0,)]


def test_an_erasure_waits_for_an_entry_that_is_being_written_and_takes_it_along(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is locked from the look-up to the commit."""
    message, reader = reader_of(flow)
    real, seen = inbox.put, []

    def slow(*args: Any) -> None:
        with flow.services.database.connection() as other:
            other.execute("SET lock_timeout = 100")
            with pytest.raises(psycopg.errors.LockNotAvailable) as blocked:
                persons.erase(other, "default", index_of(flow, reader))
            seen.append(blocked)
            other.execute("RESET lock_timeout")
        real(*args)

    monkeypatch.setattr(inbox, "put", slow)
    flow.services.inbox.put(message, "default", reader, Rendered(subject="S", text="T"))
    flow.services.inbox.put(message, "default", reader, Rendered(subject="S", text="T"))
    entries = flow.services.inbox.read("default", reader)
    erase(flow, reader)

    assert len(seen) == 2
    assert [entry.text for entry in entries] == ["T"]
    assert flow.query("SELECT count(*) FROM inbox") == [(0,)]
