"""The recipient as a producer names it: an address, or an object of several ways to reach somebody.

Knows its JSON form; whom the rules make of it is decided elsewhere.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from notifier.errors import EventRefused
from notifier.events.checks import Json, check_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who is to be told, as far as the producer or the configuration knows."""

    email: str | None = None
    phone: str | None = None
    name: str | None = None
    locale: str | None = None
    zone: str | None = None
    contact: str | None = None
    role: str | None = None
    endpoint: str | None = None
    """The name of a webhook's endpoint, or of a group of Apprise's targets, in the settings."""

    @property
    def identity(self) -> str:
        """The text that tells two recipients apart: address before phone before contact before endpoint."""
        return self.email or self.phone or self.contact or self.endpoint or ""

    def to_json(self) -> dict[str, str]:
        """Return the fields that are set."""
        return {name: value for name in _RECIPIENT_FIELDS if (value := getattr(self, name)) is not None}

    @classmethod
    def from_json(cls, value: Json, where: str = "to") -> "Recipient":
        """Read an address text or an object.

        Raises:
            EventRefused: with the path of the field that is wrong.
        """
        if isinstance(value, str):
            check_text(value, where)
            kind = "email" if "@" in value else "phone"
            return cls(**{kind: _reachable(kind, value, where)})
        if not isinstance(value, Mapping):
            raise EventRefused("must be an address or an object", field=where)
        for key, item in value.items():
            if key not in _RECIPIENT_FIELDS:
                raise EventRefused(
                    f"unknown key, known: {', '.join(_RECIPIENT_FIELDS)}", field=f"{where}.{key}"
                )
            check_text(item, f"{where}.{key}", is_empty_allowed=key not in _IDENTITIES)
        recipient = cls(**value)
        for kind in _SHAPES:
            if address := getattr(recipient, kind):
                _reachable(kind, address, f"{where}.{kind}")
        if not recipient.identity:
            raise EventRefused("needs email, phone or contact", field=where)
        return recipient

    def checked(self, where: str = "to") -> "Recipient":
        """Return the recipient, made by hand, if it could also be read.

        Raises:
            EventRefused: with the path of the field that is wrong.
        """
        return Recipient.from_json(self.to_json(), where)


# No more than that somebody could be meant; channels judge what they can reach.
_SHAPES = {
    "email": (re.compile(r"[^@\s]+@[^@\s]+|\".+\"@[^@\s]+"), "an email address, local@domain"),
    "phone": (re.compile(r"\+?[\d\s()/.-]{3,}"), "a phone number, such as +49 30 123456"),
}


def _reachable(kind: str, address: str, where: str) -> str:
    shape, words = _SHAPES[kind]
    if not shape.fullmatch(address.strip()):
        raise EventRefused(f"is not {words}", field=where)
    return address


_IDENTITIES = ("email", "phone", "contact", "endpoint")
_RECIPIENT_FIELDS = ("email", "phone", "name", "locale", "zone", "contact", "role", "endpoint")


def read_recipients(value: Json | Iterable[Json]) -> tuple[Recipient, ...]:
    """Read ``to``: one address, one object, or a list of them.

    Raises:
        EventRefused: naming the entry and field.
    """
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(
            item.checked(f"to[{n}]") if isinstance(item, Recipient) else Recipient.from_json(item, f"to[{n}]")
            for n, item in enumerate(value)
        )
    return (value.checked() if isinstance(value, Recipient) else Recipient.from_json(value),)
