"""Show a person what is set for them, and take what they set: the worker's half of the preference page.

What comes and goes is sealed under a key that only the link's token gives; the web process has no other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import orjson

from notifier.clock import Clock
from notifier.crypto import DataKey, Keyring
from notifier.errors import CannotUnseal
from notifier.events import Json
from notifier.pipeline.people.choices import Chooser, Mine
from notifier.recipients.local_times import zone_of
from notifier.recipients.preference_sheet import (
    Changed,
    Standing,
    apply_rows,
    apply_settings,
    rows_of,
    settings_of,
)
from notifier.recipients.refusals import CategoryRules, Choices, refusable
from notifier.recipients.suppression import ALL
from notifier.setting_tables import Tracking
from notifier.store import choices, consents
from notifier.store.database import Connection
from notifier.store.person_links import LinkAsk

PURPOSES: Final = ("tracking:opens", "tracking:clicks")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """All that is known of whoever holds a link."""

    standing: Standing
    mine: Mine | None
    received: list[tuple[str, str]]
    allowed: frozenset[str]


class PreferencePages:
    """Fills in and takes preference pages."""

    def __init__(
        self,
        keyring: Keyring,
        chooser: Chooser,
        rules: Mapping[str, CategoryRules],
        tracking: Mapping[str, Tracking],
        clock: Clock,
    ) -> None:
        self._keyring, self._chooser, self._rules = keyring, chooser, rules
        self._tracking, self._clock = tracking, clock

    def show(self, connection: Connection, ask: LinkAsk, key: DataKey) -> bytes:
        """Return what the page is written from, sealed."""
        sheet = self._sheet(connection, ask)
        rows = rows_of(
            self._rules, sheet.standing, sheet.received, category=ask.category, has_phone=_has_phone(sheet)
        )
        mine = sheet.mine
        view: dict[str, Json] = {
            "is_known": mine is not None,
            "is_refusable": ask.category in self._rules and self._rules[ask.category].is_refusable,
            "address": mine.masked if mine is not None else "",
            "zone": mine.entry.zone if mine is not None else None,
            "rows": [row.to_json() for row in rows],
            "settings": settings_of(sheet.standing.choices.wishes),
            "has_operations": any(self._rules[row.name].has_operations for row in rows),
            "consents": {purpose: purpose in sheet.allowed for purpose in self._offered(ask, sheet)},
        }
        return key.seal(orjson.dumps(view), b"link-answer")

    def save(self, connection: Connection, ask: LinkAsk, key: DataKey) -> Changed:
        """Take a filled-in page; return what it changed.

        Raises:
            WishesRefused: something on it cannot be taken.
            CannotUnseal, KeyError, TypeError, ValueError: it is none of ours.
        """
        form = orjson.loads(key.unseal(ask.form or b"", b"link-form"))
        sheet = self._sheet(connection, ask)
        rows = rows_of(
            self._rules, sheet.standing, sheet.received, category=ask.category, has_phone=_has_phone(sheet)
        )
        changed = apply_rows(self._rules, sheet.standing, rows, form["rows"])
        if sheet.mine is not None:
            changed = apply_settings(changed, form["settings"])
            zone = form["settings"].get("zone")
            if zone and zone != sheet.mine.entry.zone and str(zone_of(zone)) == zone:
                changed = replace(changed, fields=(*changed.fields, "zone"))
            else:
                zone = sheet.mine.entry.zone
            self._chooser.write(connection, ask, changed, zone)
        return self._consents(connection, ask, sheet, form, changed)

    def _consents(
        self, connection: Connection, ask: LinkAsk, sheet: _Sheet, form: Mapping[str, Json], changed: Changed
    ) -> Changed:
        """Record what the page allows or no longer allows, with the words it was asked in."""
        if ask.person_key is None:
            return changed
        key, now = self._keyring.open_data_key(ask.person_key), self._clock.now()
        said, fields = form.get("consents", {}), []

        def proof(purpose: str) -> bytes:
            words = str(form.get("wording", {}).get(purpose, ""))[:1000]
            shown = {
                "how": "preference page",
                "where": ask.how,
                "wording": words,
                "link": ask.digest.hex()[:16],
            }
            return key.seal(orjson.dumps(shown), b"consent")

        for purpose in self._offered(ask, sheet):
            if purpose in said and bool(said[purpose]) != (purpose in sheet.allowed):
                act = consents.give if said[purpose] else consents.withdraw
                act(connection, ask.tenant, ask.person_id, purpose, proof=proof(purpose), at=now)
                fields.append(purpose)
        for category in changed.asked:
            consents.give(connection, ask.tenant, ask.person_id, category, proof=proof(category), at=now)
        for category in {entry.partition(":")[0] for entry in changed.refused} & sheet.allowed:
            consents.withdraw(connection, ask.tenant, ask.person_id, category, proof=proof(category), at=now)
        return replace(changed, fields=(*changed.fields, *fields))

    def _offered(self, ask: LinkAsk, sheet: _Sheet) -> Iterator[str]:
        """Yield the purposes there is something to say about: what would be done, or was allowed once."""
        tracking = self._tracking.get(ask.tenant) or Tracking()
        wanted = dict(zip(PURPOSES, (tracking.opens, tracking.clicks), strict=True))
        return (purpose for purpose, is_on in wanted.items() if is_on or purpose in sheet.allowed)

    def _sheet(self, connection: Connection, ask: LinkAsk) -> _Sheet:
        mine = self._chooser.mine(connection, ask)
        gone = choices.unsubscribed_scopes(connection, ask.tenant, ask.address_index)
        return _Sheet(
            standing=Standing(
                choices=mine.choices if mine is not None else Choices(wishes={}),
                is_known=mine is not None,
                unsubscribed=frozenset(refusable(self._rules)) if ALL in gone else gone,
            ),
            mine=mine,
            received=choices.received(connection, ask.tenant, ask.address_index),
            allowed=consents.current(connection, ask.tenant, ask.person_id),
        )


def sealed_form(key: DataKey, form: Mapping[str, Json]) -> bytes:
    """Seal a filled-in page for the worker."""
    return key.seal(orjson.dumps(dict(form)), b"link-form")


def open_view(key: DataKey, answer: bytes | None) -> dict[str, Json] | None:
    """Open what a page is written from; None where there is nothing to open."""
    try:
        found: dict[str, Json] = orjson.loads(key.unseal(answer or b"", b"link-answer"))
    except (CannotUnseal, ValueError):
        return None
    return found


def _has_phone(sheet: _Sheet) -> bool:
    return sheet.mine is not None and sheet.mine.has_phone
