"""What comes back is handed in by who cannot read it: once, sealed, for a worker alone (B3, O10)."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from notifier.crypto.keyring import public_key
from notifier.errors import CannotUnseal
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.store.database import Database
from notifier.store.reports import RAW_LIMIT, NotReady, ReportDesk, open_raw, open_report, publish_sealing_key
from tests.services import Flow

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def desk(web_url: str) -> Iterator[ReportDesk]:
    """The desk as the web process has it."""
    database = Database(web_url, size=2)
    yield ReportDesk(database)
    database.dispose()


def bounce(key: str, **values: object) -> Receipt:
    """Return a bounce that a provider reports."""
    fields = {"kind": ReceiptKind.BOUNCED, "at": AT, "source": "ses", "key": key, "bounce": BounceClass.HARD}
    return Receipt(**{**fields, **values})  # type: ignore[arg-type]


def test_a_report_is_handed_in_once(desk: ReportDesk, flow: Flow) -> None:
    """Told again, by the same or another request, it is dropped at the door; another provider's id is another."""
    first = desk.hand_in("ses", [bounce("1"), bounce("2"), bounce("1")])
    again = desk.hand_in("ses", [bounce("2"), bounce("3")])
    other = desk.hand_in("mailgun", [bounce("1")])
    none = desk.hand_in("ses", [])

    assert (first, again, other, none) == (2, 1, 1, 0)
    assert flow.query("SELECT source FROM report ORDER BY id") == [("ses",), ("ses",), ("ses",), ("mailgun",)]


def test_a_report_opens_for_workers_in_its_own_place_only(desk: ReportDesk, flow: Flow) -> None:
    """The table holds neither the address nor what was said; its content moved to another row does not open."""
    receipt = bounce("1", recipient="ann@example.org", text="550 no such user ann", remote_id="m-1")
    desk.hand_in("ses", [receipt], raw=b"From: ann@example.org" + bytes(2 * RAW_LIMIT))

    source, name, sealed, raw = flow.query("SELECT source, key, sealed, raw FROM report")[0]
    key = flow.services.keyring.intake_key

    assert open_report(sealed, key, source, name) == receipt
    assert open_raw(raw, key, source, name)[:21] == b"From: ann@example.org"
    assert len(open_raw(raw, key, source, name)) == RAW_LIMIT
    assert "ann" not in f"{source}{name}{sealed}{raw}"
    with pytest.raises(CannotUnseal):
        open_report(sealed, key, source, "another")


def test_what_told_of_several_people_is_not_kept_as_it_came(desk: ReportDesk, flow: Flow) -> None:
    """It could not be forgotten with one of them."""
    desk.hand_in("ses", [bounce("1"), bounce("2")], raw=b"both")

    assert flow.query("SELECT raw FROM report") == [(None,), (None,)]


def test_after_a_new_key_reports_to_the_old_one_still_open(desk: ReportDesk, flow: Flow) -> None:
    """Publishing the key in use again changes nothing; without any, the other side must try again."""
    services = flow.services
    with services.database.connection() as connection:
        publish_sealing_key(connection, services.keyring.sealing_key)
    desk.hand_in("ses", [bounce("1")])
    private = X25519PrivateKey.generate().private_bytes_raw()
    with services.database.connection() as connection:
        publish_sealing_key(connection, public_key(private))
    desk.hand_in("ses", [bounce("2")])
    rows = flow.query("SELECT sealed, source, key FROM report ORDER BY id")

    assert open_report(rows[0][0], services.keyring.intake_keys()[-1], *rows[0][1:]).key == "1"
    assert open_report(rows[1][0], private, *rows[1][1:]).key == "2"
    assert flow.query("SELECT count(*) FROM sealing_key") == [(2,)]
    with services.database.connection() as connection:
        connection.execute("DELETE FROM sealing_key")
    with pytest.raises(NotReady):
        desk.hand_in("ses", [bounce("3")])
