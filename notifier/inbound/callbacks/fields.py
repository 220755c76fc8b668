"""Read fields of JSON and forms from outside: what is missing is empty, a wrong type is refused by its name.

Bounds every text; never quotes a value.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson

from notifier.inbound.callbacks.base import Malformed, NotBelieved

_TEXT = 2000
"""Characters kept of what a server said."""
_ID = 300
_FORM_FIELDS = 200
_BRACKETED = re.compile(r"<([^<>\s]+)>\s*$")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")


def signed_form(body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form whose signature covers them, in their order.

    Raises:
        NotBelieved: what is no form cannot have been signed as one.
    """
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS)
    except ValueError:
        raise NotBelieved("signature") from None


class Fields:
    """An object of a callback's JSON; knows where it stands."""

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        self._value, self._path = value, path

    @classmethod
    def parse(cls, text: bytes | str, path: str = "") -> "Fields":
        """Read an object.

        Raises:
            Malformed: it is none.
        """
        try:
            value = orjson.loads(text)
        except ValueError:
            raise Malformed("no JSON", field=path or "body") from None
        if not isinstance(value, dict):
            raise Malformed("no object", field=path or "body")
        return cls(value, path)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is something by that name."""
        return self._value.get(name) is not None

    def where(self, name: str) -> str:
        """Return where a field stands, for the log."""
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str, limit: int = _TEXT) -> str:
        """Return a text or number as text, cut to ``limit`` characters; empty where there is none.

        Raises:
            Malformed: it is a list, object or truth value.
        """
        value = self._value.get(name)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Malformed("no text", field=self.where(name))
        # NUL is the one character PostgreSQL's text cannot hold.
        return str(value)[:limit].replace("\x00", "").strip()

    def flat(self) -> dict[str, str]:
        """Return every text and number of this object as text, uncut."""
        return {
            name: str(value)
            for name, value in self._value.items()
            if isinstance(value, str | int | float) and not isinstance(value, bool)
        }

    def is_true(self, name: str) -> bool:
        """Tell whether a truth value is there and true."""
        return self._value.get(name) is True

    def raw(self, name: str) -> str:
        """Return a text as it stands there, uncut: for what was signed.

        Raises:
            Malformed: it is no text.
        """
        value = self._value.get(name)
        if not isinstance(value, str):
            raise Malformed("no text", field=self.where(name))
        return value

    def id(self, name: str) -> str:
        """Return a text that must be there, whole.

        Raises:
            Malformed: it is missing, or longer than any id.
        """
        value = self.text(name, _ID + 1)
        if not value or len(value) > _ID:
            raise Malformed("too long" if value else "missing", field=self.where(name))
        return value

    def address(self, name: str) -> str | None:
        """Return a bare address (RFC 5322 §3.4), without the name that may stand before it."""
        value = self.text(name, _ID)
        found = _BRACKETED.search(value)
        return (found[1] if found else value) or None

    def moment(self, name: str, otherwise: datetime) -> datetime:
        """Return an ISO 8601 time or seconds since 1970 as aware UTC; ``otherwise`` where it is neither."""
        text = self.text(name, 40)
        try:
            is_number = _NUMBER.fullmatch(text) is not None
            found = datetime.fromtimestamp(float(text), UTC) if is_number else datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            return otherwise

    def below(self, name: str) -> "Fields":
        """Return the object by that name, empty where there is none.

        Raises:
            Malformed: it is no object.
        """
        value = self._value.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise Malformed("no object", field=self.where(name))
        return Fields(value, self.where(name))

    def each(self, name: str) -> Iterator["Fields"]:
        """Yield the objects of a list, none where there is none.

        Raises:
            Malformed: it is no list of objects.
        """
        value = self._value.get(name)
        if value is None:
            return
        if not isinstance(value, list):
            raise Malformed("no list", field=self.where(name))
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise Malformed("no object", field=f"{self.where(name)}[{index}]")
            yield Fields(item, f"{self.where(name)}[{index}]")

    def texts(self, name: str) -> list[str]:
        """Return the texts of a list, or the one text there is.

        Raises:
            Malformed: it is neither.
        """
        value = self._value.get(name)
        items = value if isinstance(value, list) else [] if value is None else [value]
        return [Fields({name: item}, self._path).text(name, _ID) for item in items]
