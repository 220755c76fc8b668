"""Decide what a person's refusals come to: which categories can be refused, and what is set when they are.

Pure values in and out; stores nothing and knows no addresses.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from notifier.catalog import Catalog
from notifier.events import Json
from notifier.messages import MessageClass, Preference


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRules:
    """What may be said of a category, over all types in it."""

    name: str
    is_refusable: bool
    """At least one of its types may be refused."""
    has_essential: bool
    """At least one of its types is told whatever the person says."""
    is_opt_in: bool
    """All of its types that may be refused are told only to who asked for them."""
    has_operations: bool
    """It tells of systems: a least severity may apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the address book holds of a person's choices by category."""

    opt_outs: frozenset[str] = frozenset()
    wishes: Mapping[str, Json]
    """In the JSON form of ``wishes_form``."""

    @property
    def refused(self) -> frozenset[str]:
        """Everything the person does not want."""
        return self.opt_outs | frozenset(self.wishes.get("opt_outs", ()))

    def refusing(self, entries: Iterable[str]) -> "Choices":
        """Return the choices with these entries refused: that is stronger than having asked for them."""
        return Choices(opt_outs=self.opt_outs | frozenset(entries), wishes=self.wishes)

    def wanting(self, entries: Iterable[str]) -> "Choices":
        """Return the choices with these entries no longer refused, wherever that was set."""
        gone = frozenset(entries)
        return Choices(
            opt_outs=self.opt_outs - gone,
            wishes=_with(self.wishes, "opt_outs", frozenset(self.wishes.get("opt_outs", ())) - gone),
        )

    def asking(self, entries: Iterable[str]) -> "Choices":
        """Return the choices with these entries asked for."""
        asked = frozenset(self.wishes.get("opt_ins", ())) | frozenset(entries)
        return Choices(opt_outs=self.opt_outs, wishes=_with(self.wishes, "opt_ins", asked))


def category_rules(catalog: Catalog) -> dict[str, CategoryRules]:
    """Return what may be said of each category of the catalogue, by name."""
    found: dict[str, list[tuple[bool, bool, bool]]] = {}
    for entry in catalog:
        can = entry.message_class is not MessageClass.TRANSACTIONAL and entry.is_refusable
        found.setdefault(entry.category, []).append(
            (can, entry.preference is Preference.OPT_IN, entry.message_class is MessageClass.OPERATIONAL)
        )
    return {name: _rules(name, types) for name, types in sorted(found.items())}


def refusable(rules: Mapping[str, CategoryRules]) -> list[str]:
    """Return the categories that can be refused: "all but essential mail"."""
    return [name for name, one in rules.items() if one.is_refusable]


def _rules(name: str, types: Collection[tuple[bool, bool, bool]]) -> CategoryRules:
    free = [is_opt_in for can, is_opt_in, _ in types if can]
    return CategoryRules(
        name=name,
        is_refusable=bool(free),
        has_essential=any(not can for can, _, _ in types),
        is_opt_in=bool(free) and all(free),
        has_operations=any(is_operations for _, _, is_operations in types),
    )


def _with(wishes: Mapping[str, Json], name: str, entries: Collection[str]) -> dict[str, Json]:
    rest = {key: value for key, value in wishes.items() if key != name}
    return {**rest, name: sorted(entries)} if entries else rest
