"""Turn the DKIM settings into a signer: read each key once, refuse what could not sign.

Reads key files; asks no DNS. Never repeats a key in an error.
"""

from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from notifier.crypto.dkim_keys import ADVISED_BITS, Algorithm, read_key
from notifier.documents import ConfigErrors
from notifier.errors import ConfigError
from notifier.mime.dkim import DkimKey, Signer
from notifier.setting_tables import Dkim, DkimPair
from notifier.setting_tables import DkimKey as KeySettings
from notifier.settings import Settings

_MAKE = "make one: notifier dkim key DOMAIN"
_LARGEST_FILE = 65536


def signer(settings: Settings) -> Signer | None:
    """Return what signs our mails; None where no key is configured.

    Raises:
        ConfigErrors: a key cannot be read, or must not be used.
    """
    if not settings.dkim:
        return None
    return Signer(key for domain, dkim in settings.dkim.items() for key in dkim_keys(domain, dkim))


def dkim_keys(domain: str, dkim: Dkim) -> list[DkimKey]:
    """Return the keys of one domain.

    Raises:
        ConfigErrors: a key cannot be read, or must not be used.
    """
    found: list[DkimKey] = []
    errors: list[ConfigError] = []
    for place, algorithm, key, active_from in _entries(f"dkim.{domain}", dkim):
        try:
            private = _read(place, key, algorithm)
        except ConfigError as wrong:
            errors.append(wrong)
        else:
            found.append(DkimKey(domain=domain, selector=key.selector, key=private, active_from=active_from))
    if errors:
        raise ConfigErrors(errors)
    return found


def weaknesses(settings: Settings) -> Iterator[ConfigError]:
    """Yield what works and is not advised: short keys, and senders without a signature.

    Raises:
        ConfigErrors: a key cannot be read, or must not be used.
    """
    for domain, dkim in settings.dkim.items():
        for key in dkim_keys(domain, dkim):
            if isinstance(key.key, RSAPrivateKey) and key.key.key_size < ADVISED_BITS:
                yield ConfigError(
                    f"the RSA key of selector {key.selector} has {key.key.key_size} bits", field=f"dkim.{domain}",
                    mend=f"RFC 8301 advises {ADVISED_BITS}: {_MAKE}",
                )  # fmt: skip
    if settings.dkim:
        yield from _unsigned(settings)


def _unsigned(settings: Settings) -> Iterator[ConfigError]:
    mail = settings.mail
    senders = {"mail.sender": mail.sender}
    for name, one in mail.senders.items():
        if one.sender is not None:
            senders[f"mail.senders.{name.value}.sender"] = one.sender
    for place, sender in senders.items():
        domain = sender.rpartition("@")[2].lower()
        if not any(domain == key.lower() or domain.endswith(f".{key.lower()}") for key in settings.dkim):
            mend = f"add dkim.{domain}, or send from {', '.join(settings.dkim)}"
            yield ConfigError(
                "no key signs for this domain: its mails go out unsigned", field=place, mend=mend
            )


def _entries(place: str, dkim: Dkim) -> Iterator[tuple[str, Algorithm, KeySettings, datetime | None]]:
    yield from ((*entry, None) for entry in _pair(place, dkim))
    for index, turn in enumerate(dkim.rotation):
        yield from ((*entry, turn.active_from) for entry in _pair(f"{place}.rotation[{index}]", turn))


def _pair(place: str, pair: DkimPair) -> Iterator[tuple[str, Algorithm, KeySettings]]:
    yield place, "rsa", pair
    if pair.ed25519 is not None:
        yield f"{place}.ed25519", "ed25519", pair.ed25519


def _read(place: str, key: KeySettings, algorithm: Algorithm) -> RSAPrivateKey | Ed25519PrivateKey:
    place = f"{place}.key_file" if key.key_file is not None else f"{place}.key"
    try:
        private = read_key(_pem(key))
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror or 'not a file'}"
        raise ConfigError(problem, field=place, mend="check the path and its permissions") from None
    except ValueError as error:
        raise ConfigError(str(error), field=place, mend=_MAKE) from None
    if isinstance(private, RSAPrivateKey) != (algorithm == "rsa"):
        problem = {
            "rsa": "must be an RSA key: large providers do not verify Ed25519",
            "ed25519": "must be an Ed25519 key",
        }[algorithm]
        mend = {
            "rsa": "put the Ed25519 key under ed25519, beside an RSA key",
            "ed25519": f"{_MAKE} --ed25519",
        }
        raise ConfigError(problem, field=place, mend=mend[algorithm])
    return private


def _pem(key: KeySettings) -> bytes:
    if key.key_file is None:
        return key.key.get_secret_value().encode() if key.key is not None else b""
    with key.key_file.open("rb") as file:
        return file.read(_LARGEST_FILE)
