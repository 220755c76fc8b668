"""Find a person in an event's data, and take them out of it.

Never decides whether the event is kept; knows no rows and no keys.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from notifier.crypto.blind_index import normalise, spellings
from notifier.events import Json

ERASED = "[erased]"
"""Stands where a person's data was."""

_PHONE = re.compile(r"\+[\d\s()/.-]{6,}\d")
_NUMBER = re.compile(r"\+?\d{7,}")
_BETWEEN = r"[ ()/.-]*"
_MAIL = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a person goes by, as far as we know it."""

    addresses: frozenset[str] = frozenset()
    """E-mail addresses and phone numbers."""
    references: frozenset[str] = frozenset()
    """Of the address book: a text that is one names the person."""
    names: frozenset[str] = frozenset()

    def plus(self, fields: Mapping[str, Json]) -> "Known":
        """Add what a recipient's or contact's fields say."""
        return replace(
            self,
            addresses=self.addresses | _texts(fields, "email", "phone"),
            references=self.references | _texts(fields, "contact", "reference"),
            names=self.names | _texts(fields, "name"),
        )

    def is_in(self, value: Json) -> bool:
        """Tell whether any text of the JSON, keys included, names the person."""
        return any(self._is_named_by(text) for text in _strings(value))

    def is_addressee(self, entry: Json) -> bool:
        """Tell whether an entry of ``to`` is this person; people of the same name are others."""
        own = {normalise(text) for text in self.addresses | self.references}
        texts = _texts(entry, "email", "phone", "contact") if isinstance(entry, Mapping) else {str(entry)}
        return any(normalise(text) in own for text in texts)

    def _is_named_by(self, text: str) -> bool:
        if normalise(text) in self._whole:
            return True
        return self._within is not None and self._within.search(_folded(text)) is not None

    @cached_property
    def _whole(self) -> frozenset[str]:
        # One word alone, such as "Support", is nobody's name.
        names = {name for name in self.names if " " in name.strip()}
        return frozenset(normalise(text) for text in self.addresses | self.references | names)

    @cached_property
    def _within(self) -> re.Pattern[str] | None:
        """Mail addresses, full names and numbers, as they stand within a longer text."""
        whole = self._whole.union(*map(spellings, self.addresses))
        words = [re.escape(text) for text in sorted(whole) if "@" in text or " " in text]
        numbers = [text for text in map(normalise, sorted(self.addresses)) if _NUMBER.fullmatch(text)]
        forms = [rf"(?<![\w.+-])(?:{word})(?![\w-])" for word in words]
        forms += [rf"(?<![\d+]){_BETWEEN.join(map(re.escape, number))}(?!\d)" for number in numbers]
        return re.compile("|".join(forms)) if forms else None


def without(private: Mapping[str, Json], personal: Sequence[str], known: Known) -> "Redaction | None":
    """Take a person out of an event's private part; None where it does not name them.

    Their entries of ``to`` go, and every text that names them is blanked. Where the personal fields are
    theirs, all of these are blanked, and the attachments go.

    Args:
        private: What :meth:`Event.private_json` returned.
        personal: The paths into the data that hold personal data.
        known: The person.
    """
    data, to, alert = private.get("data", {}), private.get("to", []), private.get("alert")
    others = [entry for entry in to if not known.is_addressee(entry)]
    if len(others) == len(to) and not known.is_in(data) and not known.is_in(alert):
        return None
    is_about = is_theirs(data, personal, known)
    if is_about:
        for path in personal:
            data = _blanked(data, path.split("."))
    gone = {*(() if others else ("to",)), *(("attachments",) if is_about else ())}
    left = {**private, "data": blank_mentions(data, known), "to": others}
    if alert is not None:
        left["alert"] = blank_mentions(_blanked_alerts(alert, personal) if is_about else alert, known)
    left = {name: value for name, value in left.items() if name not in gone}
    return Redaction(private=left, is_about=is_about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What is left of an event without a person; ``is_about`` = its personal fields were theirs."""

    private: Mapping[str, Json]
    is_about: bool


def is_theirs(data: Json, personal: Sequence[str], known: Known) -> bool:
    """Tell whether the personal fields of data that comes with a person are that person's.

    They are if one of them names the person, and also if none of them is an address: what says nothing of
    whose it is belongs to whom the event names.
    """
    texts = [text for path in personal for text in _strings(list(_at(data, path.split("."))))]
    if any(known.is_in(text) for text in texts):
        return True
    return bool(texts) and not any(_MAIL.fullmatch(text) or _PHONE.fullmatch(text) for text in texts)


def blank_mentions(value: Json, known: Known) -> Json:
    """Return the JSON with every text that names the person blanked."""
    if isinstance(value, Mapping):
        return {
            ERASED if known.is_in(key) else key: blank_mentions(item, known) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [blank_mentions(item, known) for item in value]
    return ERASED if known.is_in(value) else value


def _blanked(value: Json, keys: Sequence[str]) -> Json:
    if isinstance(value, list):
        return [_blanked(item, keys) for item in value]
    if not keys:
        return {key: _blanked(item, ()) for key, item in value.items()} if isinstance(value, dict) else ERASED
    if isinstance(value, dict) and keys[0] in value:
        return {**value, keys[0]: _blanked(value[keys[0]], keys[1:])}
    return value


def _blanked_alerts(alert: Json, personal: Sequence[str]) -> Json:
    """Blank the personal fields in the data of each alert a group tells of."""
    for path in personal:
        for part in ("firing", "resolved"):
            alert = _blanked(alert, [part, "data", *path.split(".")])
    return alert


def _at(value: Json, keys: Sequence[str]) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from _at(item, keys)
    elif not keys:
        yield value
    elif isinstance(value, Mapping) and keys[0] in value:
        yield from _at(value[keys[0]], keys[1:])


def _strings(value: Json) -> Iterator[str]:
    """Yield every text and whole number of the JSON, keys included, without recursion: data may be deep."""
    waiting: list[Json] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, int) and not isinstance(one, bool):
            yield str(one)


def _texts(fields: Mapping[str, Json], *names: str) -> frozenset[str]:
    found: Iterable[Json] = (fields.get(name) for name in names)
    return frozenset(text for text in found if isinstance(text, str) and text)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
