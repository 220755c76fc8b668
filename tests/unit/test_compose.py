"""The production shape, as far as it can be proved without a container engine.

The schema is the Compose Specification's own, of 2021; what is newer in our file is named in one test.
"""

import json
import re
import shlex
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from sqlalchemy.engine import make_url

from notifier.cli.group import cli
from notifier.crypto import MasterKeys
from notifier.settings import Settings
from workers.config import QUEUES

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?\}")
ONE_SHOT = {"migrate", "certificate"}
NEWER_THAN_THE_SCHEMA = ("name",)


@pytest.fixture(scope="module")
def text() -> str:
    """The file as it stands."""
    return (ROOT / "docker-compose.yml").read_text("utf-8")


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    """The file as Compose sees it where .env says nothing."""
    return dict(yaml.safe_load(VARIABLE.sub(lambda found: found[2] or "", text)))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services by name."""
    return dict(compose["services"])


def ours(services: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the services that run our image."""
    return ((name, service) for name, service in services.items() if "build" in service)


def argv(service: dict[str, Any]) -> list[str]:
    """Return the command as words."""
    command = service["command"]
    return shlex.split(command) if isinstance(command, str) else command


def test_the_file_is_valid_compose(compose: dict[str, Any]) -> None:
    """By the specification's schema; unknown keys and wrong types are refused."""
    schema = json.loads((ROOT / "tests" / "data" / "compose_spec.json").read_text("utf-8"))
    validator = jsonschema_rs.validator_for(schema)
    known = {key: value for key, value in compose.items() if key not in NEWER_THAN_THE_SCHEMA}

    problems = [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(known)]

    assert problems == []
    assert not validator.is_valid({**known, "services": {"web": {"imagee": "x"}}})
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", compose["name"])


def test_every_process_of_the_architecture_is_there(services: dict[str, dict[str, Any]]) -> None:
    """And the servers they need."""
    assert set(services) == {
        "postgres", "valkey", "migrate", "core", "urgent", "deliver", "beat", "web", "flower", "mailpit",
        "certificate", "mail-in",
    }  # fmt: skip


def test_every_service_restarts_and_says_how_it_is(services: dict[str, dict[str, Any]]) -> None:
    """But the job that runs once."""
    for name, service in services.items():
        if name in ONE_SHOT:
            assert service["restart"].startswith("on-failure"), name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name


def test_every_version_is_pinned(services: dict[str, dict[str, Any]]) -> None:
    """To a patch release; so is the image ours is built on."""
    images = {service["image"] for service in services.values()}
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)

    for image in [*images, *bases]:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-|$)", image), image
    assert len(set(bases)) == 1


def test_ports_are_open_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    """PostgreSQL's not at all."""
    ports = {name: service.get("ports", []) for name, service in services.items()}

    assert all(port.startswith("127.0.0.1:") for found in ports.values() for port in found)
    assert ports["postgres"] == []


def test_every_variable_is_explained_with_its_default(text: str) -> None:
    """In .env.example; and nothing there is out of use."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    explained = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    used = dict(VARIABLE.findall(text))

    assert used == explained


def test_our_processes_run_without_privileges(services: dict[str, dict[str, Any]]) -> None:
    """As a user of their own, on a read-only file system, without capabilities."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert dockerfile.rindex("USER 10001:10001") > dockerfile.rindex("RUN ")
    for name, service in ours(services):
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "user" not in service, name


def test_no_secret_stands_in_the_environment(services: dict[str, dict[str, Any]]) -> None:
    """Passwords, URLs with passwords and keys come from files, and each service gets its own only."""
    for name, service in services.items():
        environment = service.get("environment", {})
        # The catcher's key protects nothing: its service names the file its own way. A gateway's URL has no
        # password, nor has ours.
        others = environment.keys() - {"MP_SMTP_TLS_KEY", "NOTIFIER_SMS__BASE_URL", "NOTIFIER_PUBLIC_URL"}
        secret = [key for key in others if re.search("PASSWORD|URL|KEY|AUTH", key)]
        assert all(key.endswith("_FILE") for key in secret), name
        granted = {f"/run/secrets/{secret}" for secret in service.get("secrets", [])}
        files = {key: value for key, value in environment.items() if key.endswith("_FILE")}
        # Certificates, and the listener's key beside its own, come from a folder.
        named = {
            value for key, value in files.items() if not key.endswith("__CA_FILE") and "__TLS__" not in key
        }
        read = set(re.findall(r"/run/secrets/\w+", json.dumps([service.get("command"), environment])))
        assert named <= read == granted, name


def test_least_privilege_reaches_the_services(services: dict[str, dict[str, Any]]) -> None:
    """Only the one-shot job is a superuser; who shows pages has no key and not the worker's role."""
    holders = {
        secret: {name for name, service in services.items() if secret in service.get("secrets", [])}
        for secret in ("admin_database_url", "migrator_database_url", "master_key", "database_url")
    }

    assert holders["admin_database_url"] == holders["migrator_database_url"] == {"migrate"}
    assert holders["master_key"] == holders["database_url"] == {"migrate", "core", "urgent", "deliver"}


def test_every_setting_named_exists(services: dict[str, dict[str, Any]]) -> None:
    """A variable with a typo would be ignored in silence."""
    names = {
        key.removeprefix("NOTIFIER_").removesuffix("_FILE").lower().partition("__")[0]
        for _, service in ours(services)
        for key in service.get("environment", {})
        if key.startswith("NOTIFIER_")
    }

    assert names - {"admin_database_url"} <= set(Settings.model_fields)


def test_the_workers_consume_every_queue_once(services: dict[str, dict[str, Any]]) -> None:
    """What delivers takes nothing in, and what hurries has workers of its own."""
    queues = {
        name: argv(service)[argv(service).index("-Q") + 1].split(",")
        for name, service in ours(services)
        if "-Q" in argv(service)
    }

    assert sorted(queue for consumed in queues.values() for queue in consumed) == sorted(QUEUES)
    assert queues["urgent"] == ["deliver.urgent"]
    assert not any(queue.startswith("deliver") for queue in queues["core"])
    assert all(argv(services[name])[argv(services[name]).index("-P") + 1] == "threads" for name in queues)


def test_the_commands_exist(services: dict[str, dict[str, Any]]) -> None:
    """Those of notifier, and the files they name."""
    context = cli.make_context("notifier", [], resilient_parsing=True)
    for _, service in ours(services):
        words = argv(service)
        if words[0] == "notifier":
            command = cli.get_command(context, words[1])
            assert command is not None
            command.make_context(words[1], words[2:])
    assert cli.get_command(context, "health") is not None
    conf = next(word for word in argv(services["flower"]) if word.startswith("--conf="))
    assert (ROOT / conf.removeprefix("--conf=")).is_file()


def test_the_catcher_speaks_tls_with_a_certificate_its_clients_trust(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The job's own command makes the file; both ends read it, and wait for it; a second run changes nothing."""
    catcher, worker = services["mailpit"], services["deliver"]
    words = argv(services["certificate"])
    file = tmp_path / "mailpit.pem"
    command = [sys.executable, *words[1:3], words[3], str(file), *words[5:]]
    subprocess.run(command, check=True)
    made = file.read_bytes()
    subprocess.run(command, check=True)

    trusted = ssl.create_default_context(cafile=file).get_ca_certs()
    named = {value for kind, value in trusted[0]["subjectAltName"] if kind == "DNS"}

    assert file.read_bytes() == made
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(file)
    environment = worker["environment"]
    assert named == {environment["NOTIFIER_RELAYS__DEFAULT__HOST"]} == {"mailpit"}
    assert environment["NOTIFIER_RELAYS__DEFAULT__SECURITY"] == "starttls"
    assert environment["NOTIFIER_RELAYS__DEFAULT__CA_FILE"] == words[4]
    assert catcher["environment"]["MP_SMTP_TLS_CERT"] == catcher["environment"]["MP_SMTP_TLS_KEY"] == words[4]
    for service in (catcher, worker):
        assert "catcher:/run/catcher:ro" in service["volumes"]
        assert service["depends_on"]["certificate"]["condition"] == "service_completed_successfully"
    assert "/run/catcher" in (ROOT / "Dockerfile").read_text("utf-8")


def test_redis_keeps_what_it_is_given(services: dict[str, dict[str, Any]]) -> None:
    """Append-only file on, nothing evicted, both on a volume; PostgreSQL 18 wants its volume one level up."""
    command = " ".join(argv(services["valkey"]))

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert services["valkey"]["volumes"] == ["valkey:/data"]
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]


def test_the_image_is_built_with_the_developers_command() -> None:
    """From the locked requirements, and with nothing that is not tracked."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    copied = {word for line in lines for word in line.split()}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}

    assert "make install-server" in dockerfile
    assert "pip install" not in dockerfile
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert "install-server:" in (ROOT / "Makefile").read_text("utf-8")


def test_the_secrets_are_made_once_and_fit(compose: dict[str, Any], tmp_path: Path) -> None:
    """Every file the compose file names, never overwritten, in a folder of the owner's alone."""
    script = tmp_path / "scripts" / "make-secrets.sh"
    script.parent.mkdir()
    script.write_bytes((ROOT / "scripts" / "make-secrets.sh").read_bytes())

    def make() -> dict[str, str]:
        subprocess.run(["sh", str(script)], check=True, capture_output=True)
        return {file.name: file.read_text().strip() for file in (tmp_path / "secrets").iterdir()}

    made, again = make(), make()

    assert again == made
    assert {entry["file"] for entry in compose["secrets"].values()} == {f"./secrets/{name}" for name in made}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert MasterKeys.parse(made["master_key"]).active
    assert make_url(made["redis_url"]).password == made["valkey_password"]
    assert make_url(made["admin_database_url"]).password == made["postgres_password"]
    urls = [make_url(made[name]) for name in ("migrator_database_url", "database_url", "web_database_url")]
    roles = [url.username for url in urls]
    assert roles == ["notifier_migrator", "notifier_worker", "notifier_web"]


def test_rules_and_templates_are_changed_without_building_anew(services: dict[str, dict[str, Any]]) -> None:
    """Whoever reads the configuration reads this folder's, where the image has its own, and cannot write it."""
    workdir = re.findall(r"^WORKDIR (\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)[-1]
    for name in ("core", "urgent", "deliver", "web"):
        for folder in ("config", "templates"):
            assert f"./{folder}:{workdir}/{folder}:ro" in services[name]["volumes"], name
            assert (ROOT / folder).is_dir()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        (
            {"SMS_BASE_URL": "https://sms.example", "SMS_ACCOUNT_SID": "AC1", "SMS_SENDER": "Shop"},
            ("https://sms.example", "AC1", "Shop", "token"),
        ),
    ],
)
def test_sms_is_sent_where_env_names_a_gateway(
    text: str,
    given: dict[str, str],
    expected: tuple[str, ...] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker's own settings, as Compose hands them over; without a gateway they are valid as well."""
    secret = tmp_path / "sms_auth_token"
    secret.write_text(f"{expected[-1] if expected else ''}\n", "utf-8")
    filled = VARIABLE.sub(lambda found: given.get(found[1], found[2] or ""), text)
    environment = yaml.safe_load(filled)["services"]["deliver"]["environment"]
    for name, value in environment.items():
        if name.startswith("NOTIFIER_SMS__"):
            monkeypatch.setenv(name, str(secret) if name.endswith("_FILE") else value or "")

    sms = Settings().sms

    found = sms and (sms.base_url, sms.account_sid, sms.sender, sms.auth_token.get_secret_value())
    assert found == expected


@pytest.mark.parametrize("file", ["", "/run/certificates/fullchain.pem"])
def test_the_listener_encrypts_where_env_names_a_certificate(
    text: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are in the folder it mounts, which it cannot write; without any its settings are valid as well."""
    key = file.replace("fullchain", "privkey")
    given = {
        "MAIL_IN_CERTIFICATES": "/etc/tls",
        "MAIL_IN_CERT_FILE": file,
        "MAIL_IN_KEY_FILE": key,
        "MAIL_IN_REQUIRE_TLS": "true" if file else "false",
        "MAIL_IN_ADDRESS": "192.0.2.1",
    }
    filled = VARIABLE.sub(lambda found: given.get(found[1], found[2] or ""), text)
    service = yaml.safe_load(filled)["services"]["mail-in"]
    for name, value in service["environment"].items():
        if name.startswith(("NOTIFIER_MAIL_IN__TLS__", "NOTIFIER_MAIL_IN__REQUIRE")):
            monkeypatch.setenv(name, str(value or "").lower())

    listener = Settings().mail_in

    assert "/etc/tls:/run/certificates:ro" in service["volumes"]
    assert service["ports"] == ["192.0.2.1:2424:2424"]
    found = listener.tls and (str(listener.tls.cert_file), str(listener.tls.key_file))
    assert (found, listener.require_tls) == ((file, key), True) if file else (None, False)
