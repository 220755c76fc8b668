"""Find what answers for each kind of vector.

A module of this package offers ``KINDS`` (kind to function) and, where we differ from the sources on purpose,
``DIVERGENCES``; a new module is found by being here.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.conformance.outcomes import Divergence, Outcome
from tests.conformance.vectors import Vector

Kind = Callable[[Vector], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What answers for each kind, and every difference on purpose."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    divergences: tuple[Divergence, ...] = ()


def discover() -> Registry:
    """Return what all modules of this package offer."""
    kinds: dict[str, Kind] = {}
    divergences: list[Divergence] = []
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        offered: Mapping[str, Kind] = getattr(module, "KINDS", {})  # what several kinds share has none
        twice = kinds.keys() & offered.keys()
        if twice:
            raise ValueError(
                f"{module.__name__}: another module answers for {', '.join(sorted(twice))} already"
            )
        kinds.update(offered)
        divergences.extend(getattr(module, "DIVERGENCES", ()))
    return Registry(kinds=kinds, divergences=tuple(divergences))
