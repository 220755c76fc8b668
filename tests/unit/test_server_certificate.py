"""The certificate of a server of ours: what is wrong with its files is told by field, renewed ones are taken over."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from notifier.clock import VirtualClock
from notifier.crypto.server_certificate import ServerCertificate
from notifier.errors import ConfigError
from notifier.pipeline.checks.returns import check_certificate
from notifier.pipeline.checks.verdict import State
from notifier.setting_tables import MailIn
from tests.contracts.certificate import write_certificate

FIELD = "mail_in.tls"


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """One file with key and certificate."""
    return write_certificate(tmp_path)


def parts(both: Path) -> tuple[bytes, bytes]:
    """Return the certificate and the key of a file that has both."""
    key, mark, certificate = both.read_bytes().partition(b"-----BEGIN CERTIFICATE")
    return mark + certificate, key


def written(folder: Path, name: str, content: bytes) -> Path:
    """Write a file."""
    (folder / name).write_bytes(content)
    return folder / name


def test_certificate_and_key_may_stand_in_one_file_or_two(both: Path, tmp_path: Path) -> None:
    """In either order."""
    certificate, key = parts(both)
    turned = written(tmp_path, "turned.pem", certificate + key)
    chain, own = written(tmp_path, "chain.pem", certificate), written(tmp_path, "key.pem", key)

    found = [
        ServerCertificate(both, field=FIELD),
        ServerCertificate(turned, field=FIELD),
        ServerCertificate(chain, own, field=FIELD),
    ]

    assert len({one.expires_at for one in found}) == 1
    assert found[0].expires_at.tzinfo is not None


def _locked(key: bytes) -> bytes:
    return load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )


def _other() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("cert_file", "the file cannot be read: No such file or directory"),
        ("cert_file", "holds no certificate in PEM"),
        ("key_file", "the file cannot be read: No such file or directory"),
        ("key_file", "holds no private key in PEM"),
        ("key_file", "is locked with a passphrase"),
        ("key_file", "is not the key of the certificate"),
    ],
)
def test_what_is_wrong_names_its_field(both: Path, tmp_path: Path, field: str, problem: str) -> None:
    """And how to mend it; nothing of what is in the files."""
    certificate, key = parts(both)
    files = {
        "cert_file": written(tmp_path, "c.pem", certificate),
        "key_file": written(tmp_path, "k.pem", key),
    }
    spoilt = {"holds no": b"x", "is locked": _locked(key), "is not the": _other()}
    content = next((bad for start, bad in spoilt.items() if problem.startswith(start)), None)
    if content is None:
        files[field].unlink()
    else:
        files[field].write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        ServerCertificate(files["cert_file"], files["key_file"], field=FIELD)

    assert (caught.value.field, caught.value.problem) == (f"{FIELD}.{field}", problem)
    assert caught.value.mend


def test_renewed_files_are_taken_over(both: Path, tmp_path: Path) -> None:
    """Once; files that are half written are told once, and the certificate that was read before goes on."""
    used = written(tmp_path, "used.pem", both.read_bytes())
    found = ServerCertificate(used, field=FIELD)
    before = found.expires_at

    assert not found.renew()
    used.write_bytes(b"half")
    os.utime(used, (1, 1))
    with pytest.raises(ConfigError):
        found.renew()
    assert not found.renew()
    used.write_bytes(write_certificate(tmp_path, "other").read_bytes())
    os.utime(used, (2, 2))
    assert found.renew()
    assert found.expires_at >= before


@pytest.mark.parametrize(
    ("left", "state"),
    [(timedelta(days=30), State.PASS), (timedelta(days=3), State.WARN), (timedelta(0), State.FAIL)],
)
def test_the_doctor_tells_before_it_ends(both: Path, left: timedelta, state: State) -> None:
    """Two weeks before."""
    ends = ServerCertificate(both, field=FIELD).expires_at

    (found,) = check_certificate(MailIn(tls={"cert_file": both}), VirtualClock(ends - left))

    assert (found.state, bool(found.mend)) == (state, state is not State.PASS)


def test_the_doctor_tells_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    """By its field; where there is none, nothing."""
    now = VirtualClock(datetime(2026, 5, 4, tzinfo=UTC))
    (found,) = check_certificate(MailIn(tls={"cert_file": tmp_path / "none.pem"}), now)

    assert found.state is State.FAIL
    assert found.detail.startswith("mail_in.tls.cert_file: ")
    assert list(check_certificate(MailIn(), now)) == []
