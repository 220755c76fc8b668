"""What operators do: dead letters, tenants, contacts, suppression, keys, migration, doctor (O8, O9, O10)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from notifier.bootstrap import Services
from notifier.client.sealing import open_private, seal_private
from notifier.crypto import MasterKeys
from notifier.embedded.postgres import PostgresServer
from notifier.events import Urgency
from notifier.setting_tables import Relay
from notifier.store.keyrings import load_keyring
from notifier.store.migrate import newest
from notifier.store.roles import MIGRATOR, WORKER
from tests.command import CUSTOMER, Run, command, document, lines, shipped
from tests.conftest import ROLE_PASSWORD
from tests.contracts.smtp_server import At, Say, SmtpServer
from tests.services import Flow

pytestmark = pytest.mark.servers


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(flow.services)


@pytest.fixture
def changed(flow: Flow) -> Iterator[Callable[..., Flow]]:
    """Make the same notifier with other settings."""
    made: list[Services] = []

    def change(**settings: object) -> Flow:
        services = Services(flow.services.settings.model_copy(update=settings))
        vars(services)["templates"] = flow.services.templates
        made.append(services)
        return Flow(services, flow.smtp, flow.sms)

    yield change
    for services in made:
        services.close()


def refused(flow: Flow, number: str) -> None:
    """Ingest an event with a field its schema does not know."""
    event = shipped(flow, number)
    flow.ingest({**event, "data": {**event["data"], "surplus": number}})


def test_dead_letters_are_listed_and_shown(flow: Flow, run: Run) -> None:
    """Newest first with field and reason, a page at a time; the content when asked."""
    for number in ("A-1", "A-2", "A-3"):
        refused(flow, number)

    first = lines(run("dead", "list", "--json"))
    page = run("dead", "list", "--limit", 2)
    rest = lines(run("dead", "list", "--after", first[1]["id"], "--json"))
    letter = document(run("dead", "show", first[0]["id"], "--json"))

    assert [one["external_id"] for one in first] == ["A-3", "A-2", "A-1"]
    assert first[0]["error"] == "unknown: surplus"
    assert f"--after {first[1]['id']}" in page.stdout
    assert [one["external_id"] for one in rest] == ["A-1"]
    assert letter["event"]["data"]["surplus"] == "A-3"
    assert "unknown: surplus" in run("dead", "show", first[0]["id"]).stdout


def test_a_dead_letter_goes_back_into_its_lane(flow: Flow, run: Run) -> None:
    """As it came; once given back it no longer waits, and a second time is refused."""
    event = shipped(flow, "A-1")
    flow.ingest({**event, "data": {**event["data"], "surplus": 1}}, lane=Urgency.BULK)
    letter = flow.one_id("dead_letter")

    result = run("dead", "retry", letter, "--json")
    again = run("dead", "retry", letter)
    (entry,) = flow.services.intake.read(Urgency.BULK, 10)

    assert document(result) == {"retried": [str(letter)], "refused": []}
    assert json.loads(entry.payload)["id"] == "A-1"
    assert again.exit_code == 1
    assert "was given back before" in again.stderr
    assert run("dead", "list").stdout == "no dead letters\n"


def test_all_dead_letters_go_back_at_once(flow: Flow, run: Run) -> None:
    """Those that fail again come back, each once."""
    for number in ("A-1", "A-2"):
        refused(flow, number)

    result = run("dead", "retry", "--all", "--kind", "refused")
    flow.services.ingest.run(Urgency.NORMAL)

    assert result.stdout == "given back to the intake: 2\n"
    assert [one["seen"] for one in lines(run("dead", "list", "--json"))] == [2, 2]
    assert run("dead", "retry").exit_code == 2
    assert run("dead", "retry", "--all", flow.one_id("dead_letter")).exit_code == 2


def test_a_tenant_is_added_paused_and_resumed(flow: Flow, run: Run) -> None:
    """A paused tenant's messages wait; resumed, they go out."""
    added, twice = run("tenant", "add", "acme", "--title", "ACME"), run("tenant", "add", "acme")
    flow.ingest({**shipped(flow, "A-1"), "tenant": "acme"})

    run("tenant", "pause", "acme")
    flow.deliver()
    paused = len(flow.smtp.received)
    run("tenant", "resume", "acme")
    flow.make_due()
    flow.deliver()

    assert (added.exit_code, twice.exit_code) == (0, 1)
    assert (paused, len(flow.smtp.received)) == (0, 1)
    tenants = lines(run("tenant", "list", "--json"))
    assert {"id": "acme", "name": "ACME", "is_paused": False} in tenants
    assert run("tenant", "pause", "nobody").stderr.startswith("error: there is no tenant 'nobody'")


def test_a_contact_is_kept_changed_and_listed(run: Run) -> None:
    """Only the given fields change; a wrong one changes nothing and is named."""
    run("contact", "set", "c-1", "--email", CUSTOMER, "--phone", "+4930123456", "--locale", "de")
    changed = run(
        "contact", "set", "c-1", "--name", "Jo Winter", "--channel", "sms", "--channel", "email",
        "--opt-out", "orders:sms", "--clear", "locale", "--json",
    )  # fmt: skip
    wrong = {
        ("--email", "jo@@example"): "--email",
        ("--phone", "030123456"): "--phone: must be a number in E.164",
        ("--zone", "Mars/Base"): "--zone: is no IANA time zone",
        ("--opt-out", "nothing"): "--opt-out: 'nothing' is no category",
    }

    for option, said in wrong.items():
        result = run("contact", "set", "c-1", *option)
        assert result.exit_code == 2
        assert said in result.stderr
    shown = document(run("contact", "show", "c-1", "--json"))
    assert shown == document(changed)
    assert shown == {
        "reference": "c-1", "email": CUSTOMER, "phone": "+4930123456", "name": "Jo Winter", "locale": None,
        "zone": None, "channels": ["sms", "email"], "opt_outs": ["orders:sms"], "wishes": {},
    }  # fmt: skip
    assert lines(run("contact", "list", "--json")) == [shown]
    assert run("contact", "show", "c-2").exit_code == 1


def test_suppression_keeps_mail_back_until_released(flow: Flow, run: Run) -> None:
    """The list holds a hash, a reason and a scope, never an address."""
    run("suppression", "add", CUSTOMER, "--reason", "complained")
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()

    (entry,) = lines(run("suppression", "list", CUSTOMER, "--json"))
    shown = run("suppression", "list").stdout
    released, again = run("suppression", "remove", CUSTOMER), run("suppression", "remove", CUSTOMER)

    assert not flow.smtp.received
    assert (entry["scope"], entry["reason"]) == ("*", "complained")
    assert entry["address_hash"] in shown
    assert CUSTOMER not in shown
    assert (released.exit_code, again.exit_code) == (0, 1)
    assert run("suppression", "add", CUSTOMER, "--scope", "nothing").exit_code == 2


def test_the_inbox_shows_what_the_portal_got(flow: Flow, run: Run) -> None:
    """Entries of one person; asking for a stranger makes nobody."""
    flow.smtp.always(At.RCPT, Say("550 5.1.1 unknown user"))
    sample = flow.services.catalog["returns.approved"].sample
    customer = {"email": CUSTOMER, "name": "Jo"}
    flow.ingest(flow.sample("returns.approved", data={**sample, "customer": customer}))
    flow.deliver()

    entries = lines(run("inbox", CUSTOMER, "--json"))
    empty = run("inbox", "stranger@example.org")

    assert len(entries) == 1
    assert entries[0]["text"].strip()
    assert entries[0]["text"].split("\n")[0] in run("inbox", CUSTOMER).stdout
    assert empty.stdout == "the inbox is empty\n"
    assert flow.query("SELECT count(*) FROM person") == [(1,)]


def test_clients_seal_to_the_published_key(flow: Flow, run: Run) -> None:
    """What is sealed to it opens with the keyring's private key."""
    key = document(run("keys", "public", "--json"))["public_key"]

    sealed = seal_private({"data": {"n": 1}}, key, ("default", "shop", "1"))

    private = flow.services.keyring.intake_key
    assert open_private(sealed, private, ("default", "shop", "1")) == {"data": {"n": 1}}
    assert run("keys", "public").stdout.strip() == key


def test_keys_are_made_once_and_rotated_without_losing_anything(flow: Flow, run: Run) -> None:
    """After a rotation the new master key alone opens everything old and new (O10)."""
    flow.ingest(shipped(flow, "A-1"))
    flow.deliver()
    line = run("keys", "new", "second").stdout.strip()
    old = flow.services.settings.master_key
    assert old is not None

    made = document(run("keys", "init", "--json"))
    vars(flow.services)["master_keys"] = MasterKeys.parse(f"{line}\n{old.get_secret_value()}")
    rotated = document(run("keys", "rotate", "--json"))
    with flow.services.database.connection() as connection:
        vars(flow.services)["keyring"] = load_keyring(connection, MasterKeys.parse(line))

    assert made["made"] == 0
    assert (rotated["rewrapped"], rotated["master"]) == (4, "second")
    (row,) = lines(run("log", "--to", CUSTOMER, "--json"))
    assert row["to"] == CUSTOMER
    assert run("keys", "new", "no spaces").exit_code == 2


def test_migrate_makes_the_tables_and_can_be_repeated(
    postgres_server: PostgresServer, database_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nothing to the newest revision; again, it is there already (O1)."""
    name = "notifier_fresh"
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(MIGRATOR))
        )
    url = make_url(postgres_server.url(name)).set(username=MIGRATOR, password=ROLE_PASSWORD)
    monkeypatch.setenv("NOTIFIER_MIGRATOR_DATABASE_URL", url.render_as_string(hide_password=False))
    run = command(None)

    first, second = run("migrate", "--json"), run("migrate")

    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    assert document(first) == {"before": None, "after": newest()}
    assert second.stdout == f"at {newest()} already\n"


def test_migrate_waits_and_then_says_that_nobody_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4, one line, no password in it."""
    monkeypatch.setenv("NOTIFIER_MIGRATOR_DATABASE_URL", "postgresql://owner:hush@127.0.0.1:1/nowhere")

    result = command(None)("migrate", "--wait", "0.2")

    assert result.exit_code == 4
    assert "no answer from the database in 0.2 s" in result.stderr
    assert "hush" not in result.stderr


def test_the_outbox_is_installed_without_repeating_the_password(database_url: str) -> None:
    """The table is there; the URL's credentials are not printed."""
    result = command(None)("outbox", "install", database_url)
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT count(*) FROM notifier_outbox").fetchall()

    assert result.exit_code == 0
    assert found == [(0,)]
    assert str(make_url(database_url).password) not in result.stdout


def test_the_database_away_is_exit_code_four(changed: Callable[..., Flow]) -> None:
    """One line that says so; nothing of the password, no traceback."""
    away = changed(database_url=SecretStr(f"postgresql://{WORKER}:hush@127.0.0.1:1/nowhere"))

    with capture_logs():
        result = command(away.services)("log")

    assert result.exit_code == 4
    assert result.stderr.startswith("error: the database cannot be reached")
    assert result.stderr.count("\n") == 1
    assert "hush" not in result.stderr


def test_doctor_finds_nothing_wrong_where_nothing_is(flow: Flow, run: Run) -> None:
    """Every check passes; a sender at a domain for examples is not looked up, and that is said."""
    flow.services.sweep.run()

    checks = {one["name"]: one for one in lines(run("doctor", "--json"))}

    assert checks.pop("DNS")["state"] == "warn"
    assert {one["state"] for one in checks.values()} == {"pass"}
    assert {
        "database", "schema", "clock", "partitions", "keyring", "redis", "redis persistence", "redis memory",
        "intake", "sweep", "due work", "held", "dead letters", "relay default", "sms", "retention",
        "reports",
    } == set(checks)  # fmt: skip
    assert "1 warn, 0 fail" in run("doctor").stdout


def test_doctor_names_what_is_wrong_and_the_mend(changed: Callable[..., Flow]) -> None:
    """A sweep that never ran, late work, dead letters, a relay away, one that sends us off (O9)."""
    with SmtpServer() as odd:
        odd.always(At.GREETING, Say("554 5.7.1 go away"))
        fields = {"security": "none", "connect_timeout": "1s"}
        relays = {
            "default": Relay(host="127.0.0.1", port=1, **fields),
            "odd": Relay(host="127.0.0.1", port=odd.port, **fields),
        }
        flow = changed(relays=relays, sms=None)
        flow.ingest(shipped(flow, "A-1"))
        refused(flow, "A-2")
        with flow.services.database.connection() as connection:
            connection.execute("UPDATE work SET due_at = now() - interval '20 minutes'")

        with capture_logs():
            result = command(flow.services)("doctor", "--json")

    checks = {one["name"]: one for one in map(json.loads, result.stdout.splitlines())}
    states = {name: one["state"] for name, one in checks.items() if one["state"] != "pass"}
    assert result.exit_code == 1
    assert states == {
        "sweep": "fail", "due work": "fail", "dead letters": "warn", "relay default": "fail",
        "relay odd": "fail", "DNS": "warn", "retention": "fail",
    }  # fmt: skip
    assert all(checks[name]["mend"] for name in states)
    assert "554" in checks["relay odd"]["detail"]
    assert "connect: unreachable" in checks["relay default"]["detail"]


def test_doctor_goes_on_where_the_database_and_redis_are_away(changed: Callable[..., Flow]) -> None:
    """Each is a finding; the rest is checked all the same."""
    away = f"postgresql://{WORKER}@127.0.0.1:1/x"
    flow = changed(database_url=SecretStr(away), redis_url=SecretStr("redis://127.0.0.1:1/0"))

    with capture_logs():
        result = command(flow.services)("doctor", "--json")

    states = {one["name"]: one["state"] for one in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 1
    assert states == {
        "database": "fail", "keyring": "fail", "redis": "fail", "intake": "fail", "queue": "fail",
        "reports": "fail", "relay default": "pass", "sms": "pass", "DNS": "warn",
    }  # fmt: skip


def test_a_preview_is_what_would_go_out(run: Run, tmp_path: Path) -> None:
    """Subject and text; the HTML in a file; the language asked for; wrong data is refused."""
    page = tmp_path / "approved.html"

    english = run("template", "preview", "returns/approved", "--out", page)
    german = document(run("template", "preview", "returns/approved", "--locale", "de", "--json"))
    sms = run("template", "preview", "returns/approved", "--channel", "sms")
    wrong = run("template", "preview", "returns/approved", "--data", '{"surplus": 1}')
    typo = run("template", "preview", "returns/aproved")

    assert english.stdout.startswith("Subject: ")
    assert '<html lang="en"' in page.read_text(encoding="utf-8")
    assert 'lang="de"' in german["html"]
    assert 0 < len(sms.stdout.strip()) <= 160
    assert (wrong.exit_code, typo.exit_code) == (3, 2)
    assert "did you mean 'returns/approved'" in typo.stderr
