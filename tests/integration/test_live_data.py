"""Live data is fetched when the message is rendered, and kept with it (S2)."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from notifier.catalog import Lookup
from notifier.errors import PermanentFailure, TemporaryFailure
from notifier.events import Attachment
from notifier.pipeline.composing.attachments import fetch_files
from notifier.pipeline.composing.lookups import Lookups
from notifier.setting_tables import Limits, LookupSource
from notifier.store.messages import unpack
from tests.contracts.smtp_server import At, Say
from tests.services import ROOT, MakeFlow


class _Shop(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = {
            "/orders/A%2F1": (200, b'{"eta": "tomorrow"}'),
            "/returns/R-1": (200, b'{"ship_by": "2026-12-24"}'),
            "/broken": (200, b"not json"),
            "/file.pdf": (200, b"%PDF"),
            "/moved": (302, b""),
        }.get(self.path, (500, b"no"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def shop() -> Iterator[str]:
    """A service that knows orders."""
    _Shop.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def http(url: str, **source: str) -> Lookups:
    """Look-ups over one HTTP source."""
    return Lookups({"shop": LookupSource(url=url, **source)})  # type: ignore[arg-type]


def test_an_http_look_up_escapes_its_parameters(shop: str) -> None:
    """A value cannot leave its place in the path."""
    lookup = Lookup(url="orders/{id}", source="shop")

    assert http(shop).fetch(lookup, {"id": "A/1"}) == {"eta": "tomorrow"}


@pytest.mark.parametrize("path", ["broken", "missing"])
def test_a_source_that_answers_nonsense_delays_the_message(shop: str, path: str) -> None:
    """Temporary: the mail waits for true data rather than going out wrong."""
    with pytest.raises(TemporaryFailure, match="shop"):
        http(shop).fetch(Lookup(url=path, source="shop"), {})


def test_a_source_that_hangs_is_given_up_after_its_timeout(unanswered_port: int) -> None:
    """No look-up holds a worker."""
    lookup = Lookup(url="x", source="shop", timeout="100ms")  # type: ignore[arg-type]

    with pytest.raises(TemporaryFailure):
        http(f"http://127.0.0.1:{unanswered_port}").fetch(lookup, {})


@pytest.fixture
def unanswered_port() -> Iterator[int]:
    """A port that accepts and says nothing."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_sql_parameters_are_bound_and_the_source_is_read_only(database_url: str) -> None:
    """A value is never SQL, and a look-up never writes."""
    lookups = Lookups({"shop": LookupSource(url=database_url)})  # type: ignore[arg-type]
    hostile = "'; DROP TABLE tenant; --"

    row = lookups.fetch(Lookup(sql="SELECT CAST(:x AS text) AS said, 1 AS n", source="shop"), {"x": hostile})

    assert row == {"said": hostile, "n": 1}
    with pytest.raises(TemporaryFailure):
        lookups.fetch(Lookup(sql="DELETE FROM tenant RETURNING id", source="shop"), {})


def live_config(folder: Path) -> Path:
    """A copy of the configuration whose order.shipped asks the shop."""
    shutil.copytree(ROOT / "config", folder)
    orders = folder / "events" / "orders.yaml"
    import yaml

    document = yaml.safe_load(orders.read_text())
    entry = next(one for one in document["events"] if one["type"] == "order.shipped")
    entry["lookup"] = {"order": {"url": "orders/{id}", "source": "shop", "params": {"id": "event.subject"}}}
    orders.write_text(yaml.safe_dump(document))
    return folder


def test_live_data_reaches_the_mail_is_asked_once_per_chunk_and_is_kept(
    make_flow: MakeFlow, shop: str, tmp_path: Path
) -> None:
    """The template says what the shop says now; the snapshot stays with the message."""
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    (templates / "order/shipped/subject.txt.j2").write_text("Arrives {{ live.order.eta }}")
    flow = make_flow(
        config_dir=live_config(tmp_path / "config"), templates_dir=templates, lookups={"shop": {"url": shop}}
    )
    event = {**flow.sample("order.shipped"), "subject": "A/1"}

    flow.ingest(event, event)
    flow.deliver()

    assert [b"Subject: Arrives tomorrow" in mail.data for mail in flow.smtp.received] == [True, True]
    assert _Shop.asked == ["/orders/A%2F1"]
    (sealed, key), *_ = flow.query(
        """SELECT b.sealed, p.data_key FROM body b JOIN message m ON m.id = b.message_id
           JOIN person p ON p.id = m.person_id"""
    )
    kept = json.loads(unpack(flow.services.keyring.open_data_key(key).unseal(sealed, b"body")))
    assert kept["live"] == {"order": {"eta": "tomorrow"}}


@pytest.mark.parametrize(
    ("returned", "day"),
    [
        (("R-1", "en"), "24 December 2026"),
        (("R-1", "de"), "24. Dezember 2026"),
        (("R-unknown", "en"), "30 November 2026"),
    ],
)
def test_an_approved_return_names_the_day_the_shop_says(
    returned: tuple[str, str], day: str, make_flow: MakeFlow, shop: str, tmp_path: Path
) -> None:
    """The look-up that config/events/returns.yaml has as a comment, with the marks taken away; shipped templates."""
    number, locale = returned
    shutil.copytree(ROOT / "config", tmp_path / "config")
    file = tmp_path / "config" / "events" / "returns.yaml"
    text, marks = re.subn(r"^    # (lookup:$|  +\S.*)", r"    \1", file.read_text(), flags=re.MULTILINE)
    assert marks == 7
    file.write_text(text)
    flow = make_flow(config_dir=tmp_path / "config", lookups={"shop": {"url": shop}})
    customer = {"name": "Ada", "email": "ada@example.org", "locale": locale}

    flow.ingest({**flow.sample("returns.approved", data={"customer": customer}), "subject": number})
    flow.deliver()

    (mail,) = flow.smtp.received
    body = message_from_bytes(mail.data, policy=policy.default).get_body(("plain",))
    assert body is not None
    assert day in body.get_content()


def test_a_look_up_that_fails_leaves_the_mail_waiting(make_flow: MakeFlow, shop: str, tmp_path: Path) -> None:
    """Nothing half-true goes out; the reason is on record."""
    flow = make_flow(config_dir=live_config(tmp_path / "config"), lookups={"shop": {"url": shop}})

    flow.ingest({**flow.sample("order.shipped"), "subject": "unknown"})
    flow.deliver()

    assert flow.smtp.received == []
    assert flow.messages()[0][1] == "deferred"
    assert "lookup" in (flow.messages()[0][2] or "")


def test_a_file_by_content_goes_with_the_mail(make_flow: MakeFlow) -> None:
    """Attachments arrive with their names, whatever is in them."""
    import base64
    from email.policy import default

    flow = make_flow()
    content = bytes(range(256)) * 10
    files = [{"name": "R\u00e4nge.bin", "content": base64.b64encode(content).decode()}]

    flow.ingest({**flow.sample("order.shipped"), "attachments": files})
    flow.deliver()

    mail = message_from_bytes(flow.smtp.received[0].data, policy=default)
    (part,) = mail.iter_attachments()
    assert (part.get_filename(), part.get_content()) == ("R\u00e4nge.bin", content)


def test_files_by_reference_come_from_allowed_places_only(shop: str) -> None:
    """A producer cannot make us fetch what we can reach and it cannot."""
    one = Attachment(name="a.pdf", url=f"{shop}/file.pdf")
    moved = Attachment(name="b.pdf", url=f"{shop}/moved")
    allowed = Limits(attachment_urls=(f"{shop}/",))

    (file,) = fetch_files([one], allowed)

    assert file.content == b"%PDF"
    with pytest.raises(PermanentFailure, match="attachment_urls"):
        fetch_files([one], Limits())
    with pytest.raises(TemporaryFailure, match="302"):
        fetch_files([moved], allowed)
    with pytest.raises(PermanentFailure, match="larger"):
        fetch_files([one], Limits(attachment_urls=(f"{shop}/",), attachment_bytes=2))


def test_too_many_bytes_of_attachments_are_refused_at_the_door(make_flow: MakeFlow) -> None:
    """The event is refused with the field, not the mail with a mystery."""
    import base64

    flow = make_flow(limits={"attachment_bytes": 10})
    files = [{"name": "a", "content": base64.b64encode(b"x" * 11).decode()}]

    assert flow.ingest({**flow.sample("order.shipped"), "attachments": files})["refused"] == 1
    assert flow.query("SELECT field FROM dead_letter") == [("attachments",)]


def test_a_refused_rcpt_does_not_delay_the_others_of_its_chunk(make_flow: MakeFlow) -> None:
    """One bad address, one failure; the rest of the chunk goes on over the same connection."""
    flow = make_flow()
    flow.smtp.on(At.RCPT, Say("550 5.1.1 no"))

    sample = flow.services.catalog["order.shipped"].sample
    people = [{**sample["customer"], "email": f"ann{number}@example.org"} for number in range(5)]
    flow.ingest(*[flow.sample("order.shipped", data={**sample, "customer": one}) for one in people])
    flow.deliver()

    assert (
        sorted(status for channel, status, _ in flow.messages() if channel == "email")
        == ["failed"] + ["sent"] * 4
    )
