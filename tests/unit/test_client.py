"""The client without a server: what it writes, refuses, imports, and says about a wrong URL."""

import base64
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import notifier
from notifier.client import (
    Attachment,
    Client,
    EventSpec,
    Limits,
    NotificationResult,
    Recipient,
    Result,
    Urgency,
    event,
    outbox,
    wire,
)
from notifier.client.addresses import SentinelAddress, place, read_sentinel
from notifier.client.command import enqueue
from notifier.client.patience import try_again
from notifier.client.sealing import fingerprint, open_private, seal_private, sealed_for
from notifier.client.writing import Writer
from notifier.errors import CannotUnseal, ConfigError, EventRefused, NotifierError
from notifier.events import Event

ROOT = Path(notifier.__file__).parents[1]
HEAVY = ("sqlalchemy", "jinja2", "premailer", "celery", "kombu", "pydantic", "yaml", "structlog", "psycopg",
         "cryptography", "redis")  # fmt: skip
KEY = ("default", "shop", "e-1")


def imported_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the top-level modules it ends with."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return {name.partition(".")[0] for name in done.stdout.split()}


def writer(**limits: int) -> Writer:
    """Return a writer of the shop's events."""
    return Writer("shop", limits=Limits(**limits))


def written(**given: Any) -> dict[str, Any]:
    """Return the JSON the server would read."""
    spec = event(given.pop("type", "return.approved"), **{"subject": "RMA-1", "data": {}, **given})
    value: dict[str, Any] = json.loads(writer().write(spec).payload)
    return value


@pytest.mark.parametrize("module", ["notifier", "notifier.client", "notifier.client.command"])
def test_importing_the_client_loads_nothing_heavy(module: str) -> None:
    """A producer pays for what it uses only."""
    assert imported_after(f"import {module}").isdisjoint(HEAVY)


def test_a_client_on_redis_loads_redis_and_no_other_heavy_package() -> None:
    """The intake stream needs redis; redis itself looks whether cryptography is there, without its parts."""
    code = "from notifier import Client; Client('redis://localhost', source='shop')"

    loaded = imported_after(code)

    assert "redis" in loaded
    assert loaded.isdisjoint(set(HEAVY) - {"redis", "cryptography"})
    assert "hazmat" not in subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    ).stdout  # fmt: skip


def test_a_client_on_an_outbox_loads_no_driver_before_it_writes() -> None:
    """A producer that writes on its own session needs no psycopg."""
    code = "from notifier import Client; Client('postgresql://localhost/shop', source='shop')"

    assert imported_after(code).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("package", "code", "extra"),
    [
        ("cryptography", f"Client('redis://x', source='s', seal_to='{'A' * 43}=')", "notifier[seal]"),
        (
            "psycopg",
            "Client('postgresql://x', source='s').enqueue('t', subject='s', data={})",
            "notifier[outbox]",
        ),
    ],
)
def test_a_missing_extra_is_named(package: str, code: str, extra: str) -> None:
    """The error says what to install."""
    block = f"import sys; sys.modules['{package}'] = None"

    done = subprocess.run(
        [sys.executable, "-c", f"{block}\nfrom notifier import Client\n{code}"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip

    assert f"pip install '{extra}'" in done.stderr.splitlines()[-1]


def test_the_version_is_the_packages() -> None:
    """One number in two places that agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert notifier.__version__ == project["version"]


def test_the_packages_say_that_they_are_typed() -> None:
    """Type checkers read our annotations (PEP 561)."""
    assert all((ROOT / package / "py.typed").exists() for package in ("notifier", "workers"))


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    """The lazy export hides no typo."""
    with pytest.raises(AttributeError, match="Clint"):
        _ = notifier.Clint


def test_what_is_written_is_what_the_server_reads() -> None:
    """Every argument arrives in the event, with nothing lost in the JSON."""
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)

    value = written(
        id="e-1", data={"näme": "Ünal 🎉", "lines": [1, 2.5, None, True]}, tenant="acme", time=moment,
        to=["ada@example.org", {"phone": "+4915112345678"}, Recipient(contact="c-7")], urgency="urgent",
        attachments=[Attachment(name="label.pdf", media_type="application/pdf", content=b"%PDF")],
    )  # fmt: skip

    assert Event.from_json(value) == Event(
        id="e-1", source="shop", type="return.approved", subject="RMA-1", time=moment, tenant="acme",
        data={"näme": "Ünal 🎉", "lines": [1, 2.5, None, True]}, urgency=Urgency.URGENT,
        to=(Recipient(email="ada@example.org"), Recipient(phone="+4915112345678"), Recipient(contact="c-7")),
        attachments=(Attachment(name="label.pdf", media_type="application/pdf", content=b"%PDF"),),
    )  # fmt: skip
    assert value == Event.from_json(value).to_json()


def test_ids_are_minted_once_and_differ() -> None:
    """An event without an id gets one when it is written, before anything is sent."""
    ids = {written()["id"] for _ in range(100)}

    assert len(ids) == 100


class _Order:
    """Something a producer might leave in its data."""


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": ""}, "type"),
        ({"subject": "a\r\nBcc: x"}, "subject"),
        ({"subject": 7}, "subject"),
        ({"id": "x" * 513}, "id"),
        ({"id": "\ud800"}, "id"),
        ({"tenant": None}, "tenant"),
        ({"tenant": ""}, "tenant"),
        ({"urgency": "now"}, "urgency"),
        ({"time": datetime(2026, 3, 1)}, "time"),  # noqa: DTZ001 - the mistake under test
        ({"time": "yesterday"}, "time"),
        ({"data": []}, "data"),
        ({"data": {"order": {"total": Decimal("1.5")}}}, "data.order.total"),
        ({"data": {"orders": [1, _Order()]}}, "data.orders[1]"),
        ({"data": {"rate": float("nan")}}, "data.rate"),
        ({"data": {"name": "a\0b"}}, "data.name"),
        ({"data": {"name": "\udc00"}}, "data.name"),
        ({"data": {"a": {"\0": 1}}}, "data.a"),
        ({"data": {"a": {(1, 2): 1}}}, "data.a"),
        ({"to": {"mail": "a@b.org"}}, "to.mail"),
        ({"to": ["a@b.org", {}]}, "to[1]"),
        ({"to": 7}, "to"),
        ({"attachments": [Attachment(name="x")]}, "attachments[0]"),
        ({"attachments": [{"name": "x"}]}, "attachments[0]"),
        ({"attachments": [Attachment(name="", content=b"")]}, "attachments[0].name"),
        ({"attachments": [Attachment(name="a", content="text")]}, "attachments[0].content"),  # type: ignore[arg-type]
        ({"attachments": [Attachment(name="a", content=b"", media_type="pdf")]}, "attachments[0].media_type"),
        (
            {"attachments": [Attachment(name="a", content=b"", media_type="a/b\r\nBcc: x")]},
            "attachments[0].media_type",
        ),
        ({"attachments": [Attachment(name="a", url="file:///etc/passwd")]}, "attachments[0].url"),
        ({"attachments": [Attachment(name="a", content=b"", cid="<logo>")]}, "attachments[0].cid"),
    ],
)
def test_what_can_never_be_accepted_is_refused_with_its_field(given: Mapping[str, Any], field: str) -> None:
    """The producer learns at once which field is wrong."""
    with pytest.raises(EventRefused) as refused:
        written(**given)

    assert refused.value.field == field


def test_data_that_holds_itself_is_refused() -> None:
    """A circle has no JSON."""
    data: dict[str, Any] = {}
    data["self"] = data

    with pytest.raises(EventRefused, match="holds itself"):
        written(data=data)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    """Only the character is refused, not a text about it."""
    assert written(data={"regex": r"\u0000"})["data"] == {"regex": r"\u0000"}


def test_an_unknown_key_of_a_spec_is_refused() -> None:
    """A typo in a mapping is not passed over."""
    spec: Any = {"type": "t", "subject": "s", "data": {}, "tenent": "acme"}

    with pytest.raises(EventRefused, match="tenent: unknown key"):
        writer().write(spec)


def test_data_counts_against_the_small_limit_and_files_against_the_large_one() -> None:
    """Each limit names what is over it."""
    small = writer(event=1_000, with_files=4_000)
    pdf = Attachment(name="a.pdf", content=b"x" * 2_000)

    small.write(event("t", subject="s", data={}, attachments=[pdf]))
    with pytest.raises(EventRefused) as data:
        small.write(event("t", subject="s", data={"text": "x" * 1_000}, attachments=[pdf]))
    with pytest.raises(EventRefused) as to:
        small.write(event("t", subject="s", data={}, to=[f"{n}@example.org" for n in range(99)]))
    with pytest.raises(EventRefused) as files:
        small.write(event("t", subject="s", data={}, attachments=[pdf, pdf]))

    assert [error.value.field for error in (data, to, files)] == ["data", "to", "attachments"]
    assert {error.value.code for error in (data, to, files)} == {"too_large"}


def test_a_large_limit_is_the_one_the_server_knows() -> None:
    """256 KiB of JSON, 15 MiB with files."""
    assert (Limits().event, Limits().with_files) == (262_144, 15_728_640)


@given(st.text(), st.text(min_size=1))
def test_any_text_is_either_written_faithfully_or_refused(value: str, subject: str) -> None:
    """Nothing is altered on the way: the server reads what was meant, or nothing."""
    try:
        read = written(data={"value": value}, subject=subject)
    except EventRefused:
        return

    assert Event.from_json(read).data == {"value": value}
    assert Event.from_json(read).subject == subject


def test_sealed_data_opens_with_the_private_key_only_for_its_event() -> None:
    """What was sealed for one event cannot be passed off as another's (law 10)."""
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    content = {"data": {"name": "Ada"}, "to": [{"email": "ada@example.org"}]}

    sealed = seal_private(content, base64.b64encode(public).decode(), KEY)

    assert open_private(sealed, private.private_bytes_raw(), KEY) == content
    assert sealed_for(sealed) == fingerprint(public)
    with pytest.raises(CannotUnseal, match="another event"):
        open_private(sealed, private.private_bytes_raw(), ("default", "shop", "e-2"))
    with pytest.raises(CannotUnseal, match="another key"):
        open_private(sealed, X25519PrivateKey.generate().private_bytes_raw(), KEY)


def test_a_changed_byte_anywhere_keeps_the_seal_shut() -> None:
    """Version, fingerprint, keys, nonce and text are all covered."""
    private = X25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    raw = base64.b64decode(seal_private({"data": {}}, public, KEY))

    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 0x01
        with pytest.raises(CannotUnseal):
            open_private(base64.b64encode(changed).decode(), private.private_bytes_raw(), KEY)
    for damaged in ("", "no base64!", base64.b64encode(raw[:40]).decode()):
        with pytest.raises(CannotUnseal):
            open_private(damaged, private.private_bytes_raw(), KEY)


@pytest.mark.parametrize("key", ["", "short", "!" * 44, base64.b64encode(bytes(31)).decode()])
def test_a_wrong_public_key_is_refused_at_once(key: str) -> None:
    """Not at the first event."""
    with pytest.raises(ConfigError, match="seal_to"):
        Client("redis://localhost", source="shop", seal_to=key)


@pytest.mark.parametrize("url", ["http://x", "amqp://user:hunter2@x", "localhost:6379", "postgres://x"])
def test_an_unknown_scheme_lists_the_known_ones(url: str) -> None:
    """And repeats no password."""
    with pytest.raises(ConfigError) as error:
        Client(url, source="shop")

    message = str(error.value)
    assert all(f"{name}://" in message for name in ("redis", "rediss", "sentinel", "postgresql"))
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["redis://:hunter2@host:port", "redis://:hunter2@host/0?tiemout=3"])
def test_a_wrong_redis_url_is_refused_at_once(url: str) -> None:
    """Not at the first event, and without its password."""
    with pytest.raises(ConfigError) as error:
        Client(url, source="shop")

    assert "hunter2" not in str(error.value)


def test_without_a_url_the_environment_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """NOTIFIER_URL, or an error that names it."""
    monkeypatch.delenv("NOTIFIER_URL", raising=False)
    with pytest.raises(ConfigError, match="NOTIFIER_URL"):
        Client(source="shop")

    monkeypatch.setenv("NOTIFIER_URL", "redis://localhost")
    Client(source="shop").close()


def test_a_sentinel_url_is_read_in_full() -> None:
    """Hosts with and without port, IPv6, service and login."""
    address = read_sentinel(
        "sentinel://a:1,b,[::1]:3,[::2]/main?db=2&username=u&password=p%2Fw&sentinel_password=s&ssl=true"
    )

    assert address == SentinelAddress(
        sentinels=(("a", 1), ("b", 26379), ("::1", 3), ("::2", 26379)), service="main", db=2,
        username="u", password="p/w", sentinel_password="s", is_tls=True,
    )  # fmt: skip
    assert read_sentinel("sentinel://:p%40w@a/main").password == "p@w"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sentinel://a:1", "names no service"),
        ("sentinel://a:1/x/y", "more than one service"),
        ("sentinel://a:one/main", "port is not a number"),
        ("sentinel://a,,b/main", "without a host"),
        ("sentinel://a/main?db=x", "db is not a number"),
        ("sentinel://a/main?databse=1", "unknown option 'databse'"),
    ],
)
def test_a_wrong_sentinel_url_says_what_is_wrong(url: str, problem: str) -> None:
    """With the form to write."""
    with pytest.raises(ConfigError, match=problem) as error:
        Client(url, source="shop")

    assert "sentinel://host:26379" in str(error.value)


def test_errors_show_where_without_the_login() -> None:
    """User, password and options stay out."""
    assert place("redis://u:p@h:1/0?password=x") == "redis://h:1/0"


def test_a_result_survives_its_json() -> None:
    """Keys of newer servers are passed over, nonsense is not."""
    told = NotificationResult(id="n", rule="r", channel="sms", status="sent", reason="fallback", attempts=3)
    result = Result(state="settled", verdict="notify", reasons=("because",), notifications=(told,))

    assert Result.from_json({**json.loads(json.dumps(result.to_json())), "new": 1}) == result
    wrong: list[Any] = [{}, [], {"state": "settled", "notifications": [{}]}]
    for nonsense in wrong:
        with pytest.raises(NotifierError, match="upgrade the client"):
            Result.from_json(nonsense)


def test_a_request_for_a_result_survives_its_json() -> None:
    """The server reads what the client pushes, and nothing else."""
    ask = wire.Ask(tenant="t", source="s", id="i", until="decided", reply="r", expires_at=1.5)

    assert wire.Ask.loads(ask.dumps()) == ask
    for nonsense in ("{}", '{"a":1}', ask.dumps().replace("decided", "soon")):
        with pytest.raises(ValueError, match="not a request"):
            wire.Ask.loads(nonsense)


def test_asking_an_outbox_for_results_names_the_missing_url() -> None:
    """Results come over Redis."""
    with pytest.raises(ConfigError, match="results_url"):
        Client("postgresql://x", source="shop", results_url="postgresql://x")


def test_writing_on_something_else_than_a_session_is_refused() -> None:
    """The error says what to pass; over Redis there is no such thing at all."""
    with pytest.raises(ConfigError, match="pass a SQLAlchemy Session"):
        Client("postgresql://x", source="shop").enqueue("t", subject="s", data={}, on=object())
    with pytest.raises(ConfigError, match="only an outbox"):
        Client("redis://x", source="shop").enqueue("t", subject="s", data={}, on=object())


def test_the_outboxs_table_has_the_name_the_server_drains() -> None:
    """One name on the wire."""
    assert f"EXISTS {wire.OUTBOX_TABLE} (" in outbox.DDL


def test_trying_again_ends_with_success_a_lasting_error_or_the_limit() -> None:
    """Only passing errors are tried again, and not for ever."""
    outcomes: Iterator[Exception | int] = iter([OSError("1"), OSError("2"), 3])

    def act() -> int:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def refuse() -> int:
        raise ValueError("never")

    def stay_away() -> int:
        raise OSError("still away")

    assert try_again(act, passing=lambda error: isinstance(error, OSError), limit=5) == 3
    with pytest.raises(ValueError, match="never"):
        try_again(refuse, passing=lambda error: isinstance(error, OSError), limit=5)
    with pytest.raises(OSError, match="still away"):
        try_again(stay_away, passing=lambda _error: True, limit=0.05)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--data", "@{folder}/bad.json"], 2, "bad.json:2:8: not JSON"),
        (["--data", "@{folder}/none.json"], 2, "none.json: No such file"),
        (["--data", "{{"], 2, "--data:1:2: not JSON"),
        (["--data", "-"], 2, "standard input:1:1: not JSON"),
        (["--data", "{{}}", "--url", "http://x"], 2, "unknown scheme 'http'"),
        (["--data", "[]"], 3, "data: must be an object"),
        (["--data", "{{}}", "--to", ""], 3, "to[0]: must not be empty"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    """Usage errors end with 2, refused events with 3."""
    (tmp_path / "bad.json").write_text('{\n  "a": nope\n}')
    filled = [argument.format(folder=tmp_path) for argument in arguments]
    url = [] if "--url" in filled else ["--url", "redis://127.0.0.1:1"]

    outcome = CliRunner().invoke(
        enqueue, ["return.approved", "--subject", "RMA-1", *filled, *url], env=dict(os.environ)
    )

    assert outcome.exit_code == code
    assert said in outcome.stderr


def test_specs_and_events_are_the_same() -> None:
    """A plain mapping needs no import."""
    spec: EventSpec = {"type": "t", "subject": "s", "data": {}, "id": "e-1", "time": datetime.now(UTC)}

    assert writer().write(spec) == writer().write(
        event("t", subject="s", data={}, id="e-1", time=spec["time"])
    )
