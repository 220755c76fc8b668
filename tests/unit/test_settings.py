"""Settings come from a file, from variables, and from files that variables name; a mistake names its source."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.documents import ConfigErrors
from notifier.embedded.__main__ import catcher
from notifier.errors import ConfigError
from notifier.mime import validate_address
from notifier.setting_tables import Mail
from notifier.settings import Settings, load_settings

_PASSWORD = "with special characters of the password as %XX"
ADDRESS = "write it as no-reply@example.com"
POSTGRESQL = f"write postgresql://user:password@host:5432/database, {_PASSWORD}"
REDIS = f"write redis://:password@host:6379/0, {_PASSWORD}"
SOURCE = f"write postgresql://user@host/database or https://host, {_PASSWORD}"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours from outside."""
    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        monkeypatch.delenv(name)


def read(folder: Path, text: str = "") -> Settings:
    """The settings with a file of this text."""
    (folder / "notifier.yaml").write_text(text)
    return load_settings(folder / "notifier.yaml")


def wrong(folder: Path, text: str = "") -> list[ConfigError]:
    """What is wrong with them."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return list(caught.value.errors) if isinstance(caught.value, ConfigErrors) else [caught.value]


def test_each_source_wins_over_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default, file of settings, variable, file that a variable names."""
    text = "redis_url: redis://yaml\n"
    assert read(tmp_path).redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
    assert read(tmp_path, text).redis_url.get_secret_value() == "redis://yaml"

    monkeypatch.setenv("NOTIFIER_REDIS_URL", "redis://variable")
    assert read(tmp_path, text).redis_url.get_secret_value() == "redis://variable"

    (tmp_path / "secret").write_text("redis://secret\n")
    monkeypatch.setenv("NOTIFIER_REDIS_URL_FILE", str(tmp_path / "secret"))
    assert read(tmp_path, text).redis_url.get_secret_value() == "redis://secret"


def test_sources_are_merged_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable sets one field of a relay, a secret's file another; the file of settings the rest."""
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("NOTIFIER_RELAYS__DEFAULT__PORT", "2525")
    monkeypatch.setenv("NOTIFIER_RELAYS__DEFAULT__PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("NOTIFIER_RELAYS__DEFAULT__CA_FILE", "/etc/ca.pem")

    relay = read(tmp_path, "relays: {default: {host: mail.example, username: u, port: 25}}").relays["default"]

    assert (relay.host, relay.port, relay.username) == ("mail.example", 2525, "u")
    assert relay.password is not None
    assert relay.password.get_secret_value() == "s3cret"
    assert relay.ca_file == Path("/etc/ca.pem")


def test_all_can_come_from_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested fields, an optional table, lists and tables as JSON."""
    (tmp_path / "token").write_text("t0ken")
    (tmp_path / "header").write_text("Bearer s3cret")
    for name, value in {
        "LOOKUPS__SHOP__HEADERS__AUTHORIZATION_FILE": str(tmp_path / "header"),
        "SMS__BASE_URL": "https://sms.example", "SMS__ACCOUNT_SID": "AC1", "SMS__SENDER": "+491",
        "SMS__AUTH_TOKEN_FILE": str(tmp_path / "token"), "SMS__READ_TIMEOUT": "7s",
        "LISTS": '{"ops": ["ops@example.com"]}', "OUTBOXES": '["postgresql://a"]',
        "TUNING__DELIVER_CHUNK": "7", "LOG_LEVEL": "debug", "LOOKUPS__SHOP__URL": "https://shop.example",
        "DELIVERY__URGENT__FIRST": "1s", "RELAYS__DEFAULT__HOST": "mail.example",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"NOTIFIER_{name}", value)

    settings = read(tmp_path)

    assert settings.sms is not None
    assert settings.sms.auth_token.get_secret_value() == "t0ken"
    assert settings.sms.read_timeout == timedelta(seconds=7)
    assert settings.lists == {"ops": ("ops@example.com",)}
    assert [url.get_secret_value() for url in settings.outboxes] == ["postgresql://a"]
    assert settings.tuning.deliver_chunk == 7
    assert settings.log_level == "DEBUG"
    assert settings.lookups["shop"].url.get_secret_value() == "https://shop.example"
    assert settings.lookups["shop"].headers["authorization"].get_secret_value() == "Bearer s3cret"
    assert settings.delivery == {"urgent": {"first": "1s"}}
    assert settings.relays["default"].verify


def test_an_empty_variable_or_secret_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes on what is not set as an empty text."""
    (tmp_path / "empty").write_text("\n")
    monkeypatch.setenv("NOTIFIER_REDIS_URL", "")
    monkeypatch.setenv("NOTIFIER_MASTER_KEY_FILE", str(tmp_path / "empty"))
    monkeypatch.setenv("NOTIFIER_WEB_DATABASE_URL_FILE", "")

    settings = read(tmp_path, "redis_url: redis://yaml")

    assert settings.redis_url.get_secret_value() == "redis://yaml"
    assert settings.master_key is None
    assert settings.web_database_url is None


@pytest.mark.parametrize("variable", ["NOTIFIER_MASTER_KEY_FILE", "NOTIFIER_RELAYS__DEFAULT__PASSWORD_FILE"])
def test_a_secret_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The variable and its file."""
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    (error,) = wrong(tmp_path)
    assert (error.field, str(error.file)) == (variable, str(tmp_path / "none"))
    assert "cannot be read: No such file" in error.problem

    (tmp_path / "none").write_bytes(b"\xff\xfe")
    assert wrong(tmp_path)[0].problem == "the file is not text"


@pytest.mark.parametrize(
    ("variable", "mend"),
    [
        ("NOTIFIER_REDIS", "did you mean NOTIFIER_REDIS_URL?"),
        ("NOTIFIER_DATABSE_URL_FILE", "did you mean NOTIFIER_DATABASE_URL_FILE?"),
        ("NOTIFIER_RELAY__DEFAULT__PORT", "did you mean NOTIFIER_RELAYS__DEFAULT__PORT?"),
        ("NOTIFIER_RELAYS__DEFAULT__PASWORD_FILE", "did you mean NOTIFIER_RELAYS__DEFAULT__PASSWORD_FILE?"),
        ("NOTIFIER_TUNNING__INGEST_BATCH", "did you mean NOTIFIER_TUNING__INGEST_BATCH?"),
        ("NOTIFIER_MAIL__SENDR", "did you mean NOTIFIER_MAIL__SENDER?"),
        ("NOTIFIER_XYZZY", "remove it; docs/operations.md has the known ones"),
    ],
)
def test_a_variable_that_sets_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, mend: str
) -> None:
    """A mistyped secret must not be missed in silence; its value is not shown."""
    monkeypatch.setenv(variable, "s3cret")

    (error,) = wrong(tmp_path)

    assert (error.field, error.problem, error.mend) == (variable, "sets nothing", mend)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    "variable",
    [
        "NOTIFIER_URL", "NOTIFIER_CONFIG_DIR", "NOTIFIER_LIBRARY_LOG_LEVEL", "NOTIFIER_ADMIN_DATABASE_URL",
        "NOTIFIER_ADMIN_DATABASE_URL_FILE", "NOTIFIER_RESULTS_URL", "NOTIFIER_SOURCE", "NOTIFIER_TEST_KEEP",
        "NOTIFIER_SERVICE_HOST", "NOTIFIER_WEB_SERVICE_PORT_HTTP", "NOTIFIER_PORT",
        "NOTIFIER_PORT_8000_TCP_ADDR",
    ],
)  # fmt: skip
def test_variables_of_others_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Of the client, the tests, the provisioning, and those Kubernetes makes for a service."""
    monkeypatch.setenv(variable, "tcp://10.0.0.1:80")

    assert read(tmp_path).relay == "default"


@pytest.mark.parametrize(
    ("text", "line", "field", "said"),
    [
        ("redis: x", 1, "redis", "did you mean 'redis_url'?"),
        ("mail:\n  sendr: x", 2, "mail.sendr", "did you mean 'sender'?"),
        ("relays:\n  default:\n    hots: x\n    host: y", 3, "relays.default.hots", "did you mean 'host'?"),
        ("relays:\n  default: {port: 25}", 2, "relays.default", "'host' is required"),
        (
            "relays: {default: {host: a, port: 70000}}",
            1,
            "relays.default.port",
            "less than or equal to 65535",
        ),
        ("relays: {default: {host: a, dot_timeout: 0s}}", 1, "relays.default.dot_timeout", "longer than 0s"),
        ("tuning:\n  deliver_chunk: 0", 2, "tuning.deliver_chunk", "greater than or equal to 1"),
        ("tuning:\n  claim_lease: 60", 2, "tuning.claim_lease", "such as 90s"),
        ("tuning:\n  claim_lease: 99999999999d", 2, "tuning.claim_lease", "too long"),
        ("log_level: loud", 1, "log_level", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("lists:\n  ops: a@example.com", 2, "lists.ops", "tuple"),
        ("web_port: eighty", 1, "web_port", "integer"),
        ("mail: {sender: [}", 1, None, "not YAML"),
        ("- a", 1, None, "mapping of settings"),
        ("relay: other\nrelays: {default: {host: a}}", 1, "relay", "no relay 'other'"),
        (
            "relays: {default: {host: a}}\nroutes:\n  - {channel: email, use: [defualt]}",
            3,
            "routes[0].use",
            "nothing is called 'defualt' (mend: one of default)",
        ),
        ("routes:\n  - {channel: email, use: {a: 0}}", 2, "routes[0].use.a", "greater than or equal to 1"),
        ("routes:\n  - {channel: email, use: []}", 2, "routes[0].use", "at least 1 item"),
        ("relays: {default: {host: a, limits: {rate: 14}}}", 1, "relays.default.limits.rate", "such as 14/s"),
        (
            "relays: {default: {host: a, username: u, password: p, security: none}}",
            1,
            "relays.default",
            "without TLS",
        ),
    ],
)
def test_a_mistake_in_the_file_is_shown_where_it_stands(
    tmp_path: Path, text: str, line: int, field: str | None, said: str
) -> None:
    """File, line, field, and the mend."""
    error = wrong(tmp_path, text)[0]

    assert (str(error.file), error.line, error.field) == (str(tmp_path / "notifier.yaml"), line, field)
    assert said in str(error)


@pytest.mark.parametrize(
    ("variables", "field", "said"),
    [
        ({"WEB_PORT": "s3cret"}, "NOTIFIER_WEB_PORT", "integer"),
        ({"LISTS": "s3cret"}, "NOTIFIER_LISTS", "is not JSON"),
        ({"RELAYS": '{"default": {"port": 25}}'}, "NOTIFIER_RELAYS", "is required"),
        ({"RELAYS__DEFAULT__PORT": "25"}, "NOTIFIER_RELAYS__DEFAULT__HOST", "is required"),
        ({"TUNING__CLAIM_LEASE": "s3cret"}, "NOTIFIER_TUNING__CLAIM_LEASE", "such as 90s"),
        (
            {"RELAYS__DEFAULT__HOST": "a", "RELAYS__DEFAULT__SECURITY": "s3cret"},
            "NOTIFIER_RELAYS__DEFAULT__SECURITY", "'starttls'",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_variable_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], field: str, said: str
) -> None:
    """And never its value, which may be a secret."""
    for name, value in variables.items():
        monkeypatch.setenv(f"NOTIFIER_{name}", value)

    error = wrong(tmp_path, "web_port: 80")[0]

    assert error.field == field
    assert said in error.problem
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("brand.color", "red", "write it as '#1d4ed8', in quotes"),
        ("brand.url", "javascript:x", "write https://www.example.com"),
        ("zone", "Mars/X", "write it as UTC or Europe/Berlin"),
        ("zone", "America", "write it as UTC or Europe/Berlin"),
        ("locale", "xx-!!", "write it as en, de or de-AT"),
        ("mail.domain", "a b", "write it as mail.example.com"),
        ("mail.sender", "s3cret", ADDRESS),
        ("mail.sender", "Shop <shop@a.example>", ADDRESS),
        ("mail.sender", "a..b@a.example", ADDRESS),
        ("mail.sender", "kö@a.example", ADDRESS),
        ("mail.reply_to", "a@b@c d", ADDRESS),
        ("mail.reply_to", "a@b.example\r\nBcc: x@y.example", ADDRESS),
        ("mail.envelope_sender", "<>", ADDRESS),
        ("mail.envelope_sender", f"{'a' * 65}@a.example", ADDRESS),
        ("mail.sender_name", "Shop\nBcc: x", "write the name alone"),
        ("database_url", "mysql://x", POSTGRESQL),
        ("database_url", "postgresql://s3cret:hush@h:bad/x", POSTGRESQL),
        ("database_url", "postgresql://h:65536/x", POSTGRESQL),
        ("web_database_url", "h/x", POSTGRESQL),
        ("redis_url", "amqp://x", REDIS),
        ("redis_url", "sentinel://a:26379,b:x/main", REDIS),
        ("lookups.x.url", "ftp://a", SOURCE),
        ("lookups.x.url", "https:///path", SOURCE),
    ],
)
def test_a_wrong_form_is_told_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, mend: str
) -> None:
    """At its line in the file, or by its variable; the value itself is not repeated."""
    text = "\n".join("  " * depth + f"{key}:" for depth, key in enumerate(name.split(".")))
    in_file = wrong(tmp_path, f"{text} {json.dumps(value)}\n")[0]
    variable = "NOTIFIER_" + name.upper().replace(".", "__")
    monkeypatch.setenv(variable, value)
    in_variable = wrong(tmp_path)[0]

    line = name.count(".") + 1
    assert (str(in_file.file), in_file.line) == (str(tmp_path / "notifier.yaml"), line)
    assert (in_file.field, in_file.mend) == (name, mend)
    assert (in_variable.field, in_variable.mend) == (variable, mend)
    assert value not in f"{in_file} {in_variable}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BRAND__COLOR", "#abc"), ("BRAND__COLOR", "#1F4E8C"), ("BRAND__URL", "mailto:a@example.com"),
        ("ZONE", "America/Argentina/Ushuaia"), ("LOCALE", "zh-Hant-TW"), ("MAIL__DOMAIN", "localhost"),
        ("MAIL__SENDER", "notifier@localhost"), ("MAIL__SENDER", "o'neil+a.b@shop.example"),
        ("MAIL__REPLY_TO", "post@bücher.example"), ("MAIL__ENVELOPE_SENDER", '"a..b"@a.example'),
        ("MAIL__SENDER_NAME", "Müller & Söhne"),
        ("DATABASE_URL", "postgresql://u:p%40:/?#s3@/x?host=/run/postgresql"),
        ("DATABASE_URL", "postgres://u:p/a?b@[::1]:5432/x?options=-c%20a"),
        ("MIGRATOR_DATABASE_URL", "postgresql+psycopg://h/x"),
        ("REDIS_URL", "rediss://:p@h:6380/0"), ("REDIS_URL", "sentinel://:p@a:26379,b,[::1]:1/main?db=0"),
        ("LOOKUPS__X__URL", "http://127.0.0.1:8080/base"), ("LOOKUPS__X__URL", "postgresql://h/x"),
        ("OUTBOXES", '["postgresql://h/x"]'), ("DATABASE_URL", "postgresql://u@one,two/x"),
    ],
)  # fmt: skip
def test_what_is_right_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The forms are no narrower than what reads them."""
    monkeypatch.setenv(f"NOTIFIER_{name}", value)

    assert read(tmp_path).model_fields_set


def test_a_sender_of_the_settings_can_stand_in_a_mail() -> None:
    """The settings take no address that the writer of mails refuses."""
    for address in (
        "notifier@localhost",
        "o'neil+a.b@shop.example",
        "post@bücher.example",
        '"a..b"@a.example',
    ):
        assert Mail(sender=address).sender == address
        assert validate_address(address)


def test_a_wrong_outbox_is_told_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the list of the file; from a variable, the variable that holds all."""
    in_file = wrong(tmp_path, "outboxes:\n  - postgresql://a/b\n  - mysql://s3cret\n")[0]
    monkeypatch.setenv("NOTIFIER_OUTBOXES", '["mysql://s3cret"]')
    in_variable = wrong(tmp_path)[0]

    assert (in_file.line, in_file.field, in_file.mend) == (3, "outboxes[1]", POSTGRESQL)
    assert (in_variable.field, in_variable.mend) == ("NOTIFIER_OUTBOXES", POSTGRESQL)
    assert "s3cret" not in f"{in_file} {in_variable}"


def test_all_mistakes_come_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of file and variables together."""
    monkeypatch.setenv("NOTIFIER_XYZZY", "1")
    monkeypatch.setenv("NOTIFIER_WEB_PORT", "x")

    found = {error.field for error in wrong(tmp_path, "redis: 1\nlocal: de")}

    assert found == {"NOTIFIER_XYZZY", "NOTIFIER_WEB_PORT", "redis", "local"}


def test_web_and_catcher_run_beside_each_other(tmp_path: Path) -> None:
    """On one machine, with the defaults of both."""
    (port,) = (one.default for one in catcher.params if one.name == "http_port")

    assert read(tmp_path).web_port != port


def test_secrets_are_not_shown_by_accident(tmp_path: Path) -> None:
    """In a log or a traceback."""
    settings = read(tmp_path, "redis_url: redis://:s3cret@a\nmaster_key: s3cret")

    assert "s3cret" not in f"{settings!r} {settings}"


def test_the_folder_of_the_file_is_the_folder_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a variable names another; one that names none is told by its readers."""
    assert read(tmp_path).config_path == tmp_path

    monkeypatch.setenv("NOTIFIER_CONFIG_DIR", str(tmp_path / "other"))
    assert load_settings().config_path == tmp_path / "other"
