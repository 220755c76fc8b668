"""The DKIM settings: which keys are taken, which are refused, and what is only advised against."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from notifier.bootstrap import Services
from notifier.channels.signing import signer, weaknesses
from notifier.crypto.dkim_keys import new_key, read_key, record, record_line
from notifier.documents import ConfigErrors
from notifier.settings import Settings, load_settings
from tests.contracts.mails import mail
from tests.dkim_verifier import records_of, verdicts

NOW = datetime(2026, 11, 22, tzinfo=UTC)
RSA_PEM, ED25519_PEM = new_key(), new_key("ed25519")
TURN = """\
dkim:
  example.com:
    selector: n
    key_file: a
    rotation:
      - selector: n2
        key_file: b
        active_from: 2027-01-01T00:00:00
"""


def pem(key: Any, passphrase: bytes | None = None) -> bytes:
    """Return a private key as PEM."""
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(serialization.Encoding.PEM, form, lock))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Return key files by name."""
    contents = {
        "rsa": RSA_PEM,
        "ed25519": ED25519_PEM,
        "rsa1024": pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - what is warned of
        "short": pem(short_key()),
        "locked": pem(read_key(RSA_PEM), b"secret"),
        "curve": pem(ec.generate_private_key(ec.SECP256R1())),
        "text": b"v=DKIM1; p=",
        "public": RSA_PEM.replace(b"PRIVATE", b"PUBLIC"),
        "empty": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in [*contents, "missing"]} | {"folder": str(tmp_path)}


def _prime(bits: int, start: int) -> int:
    """Return a prime of so many bits; the same each time."""
    number = (1 << (bits - 1)) | (1 << (bits - 2)) | start | 1
    while any(pow(base, number - 1, number) != 1 for base in (2, 3, 5, 7, 11)) or number % 65537 == 1:
        number += 2
    return number


def short_key() -> Any:
    """Return an RSA key of 768 bits, which the library would not make."""
    p, q, e = _prime(384, 1 << 100), _prime(384, 1 << 200), 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    ).private_key()  # fmt: skip


def with_dkim(**dkim: Any) -> Settings:
    """Return settings with one domain's keys, which sends from that domain."""
    return Settings(dkim={"example.com": dkim}, mail={"sender": "shop@example.com"})  # type: ignore[arg-type]


def test_the_configured_keys_sign(files: dict[str, str]) -> None:
    """RSA and Ed25519 from files, as the channel sends them."""
    settings = with_dkim(
        selector="n1", key_file=files["rsa"], ed25519={"selector": "n1e", "key_file": files["ed25519"]}
    )
    made = signer(settings)
    assert made is not None
    keys = made.keys_for("shop@example.com", NOW)

    assert [key.selector for key in keys] == ["n1", "n1e"]


def test_the_channel_of_a_configured_relay_signs(files: dict[str, str]) -> None:
    """The wiring, down to the bytes; nothing is connected for it."""
    settings = Settings(
        dkim={"example.com": {"selector": "n1", "key_file": files["rsa"]}},  # type: ignore[dict-item]
        relays={"default": {"host": "127.0.0.1", "security": "none"}},  # type: ignore[dict-item]
    )
    services = Services(settings)
    vars(services)["inbox"] = None
    channel = services.flows.adapter("default")

    prepared = channel.prepare(mail())

    assert services.signer is not None
    keys = services.signer.keys_for("shop@example.com", NOW)
    assert verdicts(prepared.wire, records_of(*keys)) == [True]


def test_a_key_may_come_as_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole table in the file NOTIFIER_DKIM_FILE names, as orchestrators hand secrets over."""
    secret = tmp_path / "dkim.json"
    table = {"example.com": {"selector": "n1", "key": RSA_PEM.decode()}}
    secret.write_text(json.dumps(table), encoding="utf-8")
    monkeypatch.setenv("NOTIFIER_DKIM_FILE", str(secret))

    settings = load_settings(tmp_path / "notifier.yaml")

    made = signer(settings)
    assert made is not None
    assert [key.selector for key in made.keys_for("shop@example.com", NOW)] == ["n1"]
    assert "PRIVATE" not in repr(settings)


def test_without_keys_nothing_signs() -> None:
    """And nothing is missing."""
    assert signer(Settings()) is None
    assert list(weaknesses(Settings())) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("short", "must have 1024 to 4096 bits, this one has 768"),
        ("locked", "locked with a passphrase"),
        ("curve", "RSA and Ed25519 keys only"),
        ("text", "no private key in PEM"),
        ("public", "no private key in PEM"),
        ("empty", "no private key in PEM"),
        ("missing", "cannot be read"),
        ("folder", "cannot be read"),
        ("ed25519", "must be an RSA key"),
    ],
)
def test_a_key_that_cannot_sign_is_refused(files: dict[str, str], name: str, problem: str) -> None:
    """With its setting, what is wrong, and the mend; never with what the file holds."""
    with pytest.raises(ConfigErrors) as refused:
        signer(with_dkim(selector="n1", key_file=files[name]))

    (error,) = refused.value.errors
    assert problem in error.problem
    assert error.field == "dkim.example.com.key_file"
    assert error.mend
    assert "PRIVATE" not in str(error)


def test_every_wrong_key_of_a_domain_is_told_at_once(files: dict[str, str]) -> None:
    """The second one and those that follow too, each at its place."""
    turn = {"selector": "n2", "key_file": files["text"], "active_from": "2027-01-01T00:00:00Z"}
    second = {"selector": "e", "key_file": files["rsa"]}

    with pytest.raises(ConfigErrors) as refused:
        signer(with_dkim(selector="n1", key_file=files["missing"], ed25519=second, rotation=[turn]))

    assert [error.field for error in refused.value.errors] == [
        "dkim.example.com.key_file", "dkim.example.com.ed25519.key_file", "dkim.example.com.rotation[0].key_file",
    ]  # fmt: skip


def test_the_keys_that_follow_take_over_in_time(files: dict[str, str]) -> None:
    """Before that, the first ones sign."""
    turn = {"selector": "n2", "key_file": files["rsa"], "active_from": "2026-12-01T00:00:00+01:00"}
    made = signer(with_dkim(selector="n1", key_file=files["rsa"], rotation=[turn]))
    assert made is not None

    def selector(at: datetime) -> str:
        return made.keys_for("shop@example.com", at)[0].selector

    assert selector(datetime(2026, 11, 30, 22, 59, tzinfo=UTC)) == "n1"
    assert selector(datetime(2026, 11, 30, 23, tzinfo=UTC)) == "n2"
    assert selector(NOW + timedelta(days=999)) == "n2"


def test_a_short_key_works_and_is_advised_against(files: dict[str, str]) -> None:
    """RFC 8301: 1024 bits must be taken, 2048 should be used."""
    settings = with_dkim(selector="n1", key_file=files["rsa1024"])

    (weakness,) = weaknesses(settings)

    assert signer(settings) is not None
    assert "1024 bits" in weakness.problem


def test_a_sender_that_no_key_signs_for_is_told(files: dict[str, str]) -> None:
    """Once per sender; a domain below one that has keys is covered."""
    settings = Settings(
        dkim={"example.com": {"selector": "n1", "key_file": files["rsa"]}},  # type: ignore[dict-item]
        mail={  # type: ignore[arg-type]
            "sender": "shop@example.org",
            "senders": {
                "marketing": {"sender": "news@news.example.com"},
                "subscription": {"sender": "list@example.net"},
                "operational": {"sender_name": "Ops"},
            },
        },
    )

    found = {one.field: one.mend for one in weaknesses(settings)}

    assert set(found) == {"mail.sender", "mail.senders.subscription.sender"}
    assert found["mail.sender"] == "add dkim.example.org, or send from example.com"


@pytest.mark.parametrize(
    ("text", "line", "field", "problem"),
    [
        ("dkim:\n  example.com:\n    selector: n1\n", 2, "dkim.example.com", "needs either key_file or key"),
        ("dkim:\n  example.com:\n    key_file: a\n", 2, "dkim.example.com", "'selector' is required"),
        ("dkim:\n  example.com:\n    selector: -n\n    key_file: a\n", 3, "dkim.example.com.selector", "DNS"),
        ("dkim:\n  example.com:\n    selector: n\n    keyfile: a\n", 4, "dkim.example.com.keyfile", "unknown key"),
        (
            TURN,
            8, "dkim.example.com.rotation[0].active_from", "time zone",
        ),
        ("mail:\n  feedback_id: abc\n", 2, "mail.feedback_id", "5 to 15"),
        ("mail:\n  senders:\n    bulk: {sender: a@b.example}\n", 3, "mail.senders.bulk", "Input should be"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, field: str, problem: str
) -> None:
    """By file, line and field."""
    file = tmp_path / "notifier.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigErrors) as refused:
        load_settings(file)

    told = [(error.line, error.field) for error in refused.value.errors if problem in error.problem]
    assert told == [(line, field)]


def test_a_record_is_what_verifiers_read() -> None:
    """The public half only, in strings DNS can hold."""
    text = record(read_key(RSA_PEM))

    line = record_line("n1", "example.com", text)

    assert line.startswith('n1._domainkey.example.com. IN TXT "v=DKIM1; k=rsa; p=')
    strings = line.partition(" IN TXT ")[2].removeprefix('"').removesuffix('"').split('" "')
    assert "".join(strings) == text
    assert len(strings) == 2
    assert max(map(len, strings)) <= 255
    assert record(read_key(ED25519_PEM)).startswith("v=DKIM1; k=ed25519; p=")
