"""Open stored fields for people, and keep back what nobody may read: what was erased, and secrets.

Never raises for data that is gone: what cannot be shown is replaced by a word that says why.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import orjson

from notifier.catalog import Catalog
from notifier.crypto import Keyring
from notifier.errors import CannotUnseal, KeyDestroyed
from notifier.events import Json

SECRET = "[secret]"  # noqa: S105 - what stands in a secret's place


class Withheld(StrEnum):
    """Stands where something cannot be shown."""

    ERASED = "[erased]"
    """The key was destroyed: the person asked to be forgotten."""
    UNREADABLE = "[unreadable]"
    """The bytes do not open with the keys of this keyring."""
    UNKNOWN_TYPE = "[type not in the catalogue]"
    """Nobody knows which of its fields are secret."""


def unseal(keyring: Keyring, data_key: bytes | None, sealed: bytes | None, aad: bytes) -> bytes | Withheld:
    """Open a field under the data key of its person or event."""
    try:
        key = keyring.open_data_key(data_key)
        return key.unseal(sealed or b"", aad)
    except KeyDestroyed:
        return Withheld.ERASED
    except CannotUnseal:
        return Withheld.UNREADABLE


def unseal_json(keyring: Keyring, data_key: bytes | None, sealed: bytes | None, aad: bytes) -> Json:
    """Open a field that holds JSON; a :class:`Withheld` where that cannot be done."""
    opened = unseal(keyring, data_key, sealed, aad)
    return opened if isinstance(opened, Withheld) else orjson.loads(opened)


def without_secrets(catalog: Catalog, event_type: str, data: Json) -> Json:
    """Return an event's data with its type's secrets blanked."""
    if isinstance(data, Withheld):
        return data
    if event_type not in catalog:
        return Withheld.UNKNOWN_TYPE
    return blank(data, catalog[event_type].secret)


def blank(data: Json, paths: Iterable[str]) -> Json:
    """Return ``data`` with what stands at the dotted paths blanked; a path reaches into lists as well."""
    for path in paths:
        data = _blank_at(data, path.split("."))
    return data


def _blank_at(value: Json, keys: list[str]) -> Json:
    if isinstance(value, list):
        return [_blank_at(item, keys) for item in value]
    if not keys:
        return SECRET
    if isinstance(value, Mapping) and keys[0] in value:
        return {**value, keys[0]: _blank_at(value[keys[0]], keys[1:])}
    return value
