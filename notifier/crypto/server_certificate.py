"""Read the certificate a server of ours shows, and read it anew once its files have changed.

Says where a file is wrong; never repeats what is in it, and never asks anybody for a passphrase.
"""

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from notifier.errors import ConfigError

_SPKI = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class ServerCertificate:
    """A certificate with its chain, and its private key.

    Args:
        cert_file: PEM: the server's certificate first, then those between it and an authority.
        key_file: The private key in PEM, without passphrase; ``cert_file`` where it stands there.
        field: Where the settings name the two, for what is wrong with them.

    Raises:
        ConfigError: a file cannot be read, is not what it should be, or they do not belong together.
    """

    def __init__(self, cert_file: Path, key_file: Path | None = None, *, field: str) -> None:
        self._cert_file, self._key_file, self._field = cert_file, key_file or cert_file, field
        self._key_field = f"{field}.{'key_file' if key_file else 'cert_file'}"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # RFC 8996: nothing older. MTAs that know no more than that send in the clear, where that is allowed.
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seen = self._state()
        self.expires_at = self._load()

    def renew(self) -> bool:
        """Take over files that changed, for connections to come; return whether they had.

        Raises:
            ConfigError: they changed into what cannot be used; what was read before stays in use.
        """
        now = self._state()
        if now == self._seen:
            return False
        # Looked at once: what is wrong is told once, not every time.
        self._seen = now
        self.expires_at = self._load()
        return True

    def _load(self) -> datetime:
        """Check both files before the context sees them, and return when the certificate ends (UTC)."""
        certificate, key = self._certificate(), self._key()
        if certificate.public_key().public_bytes(*_SPKI) != key.public_key().public_bytes(*_SPKI):
            raise self._wrong(
                self._key_field, "is not the key of the certificate", "name the two that belong together"
            )
        try:
            # A passphrase is never asked for on a terminal: there is none to be asked for by now.
            self.context.load_cert_chain(self._cert_file, self._key_file, password="")
        except (OSError, ssl.SSLError):
            mend = "have an RSA key of 2048 bits or a P-256 key certified"
            raise self._wrong(
                f"{self._field}.cert_file", "is not taken by this machine's OpenSSL", mend
            ) from None
        return certificate.not_valid_after_utc

    def _certificate(self) -> x509.Certificate:
        field = f"{self._field}.cert_file"
        try:
            return x509.load_pem_x509_certificates(self._read(self._cert_file, field))[0]
        except (ValueError, IndexError):
            raise self._wrong(
                field, "holds no certificate in PEM", "name the chain, such as fullchain.pem"
            ) from None

    def _key(self) -> PrivateKeyTypes:
        pem, mend = self._read(self._key_file, self._key_field), "name a key in PEM without passphrase"
        try:
            return serialization.load_pem_private_key(pem, password=None)
        except TypeError:
            raise self._wrong(self._key_field, "is locked with a passphrase", mend) from None
        except (ValueError, UnsupportedAlgorithm):
            raise self._wrong(self._key_field, "holds no private key in PEM", mend) from None

    def _read(self, file: Path, field: str) -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            problem = f"the file cannot be read: {error.strerror}"
            raise self._wrong(field, problem, "check the path and its permissions") from None

    def _state(self) -> list[tuple[int, int] | None]:
        """Return what changes with the files; also where a link leads elsewhere, as certbot does it."""
        return [_stamp(one) for one in (self._cert_file, self._key_file)]

    def _wrong(self, field: str, problem: str, mend: str) -> ConfigError:
        return ConfigError(problem, field=field, mend=mend)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
