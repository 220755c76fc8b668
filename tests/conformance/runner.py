"""Run vectors through what answers for their kind.

A kind that raises has failed its vector, and never stops the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.conformance.kinds import Registry
from tests.conformance.outcomes import Outcome, Result, divergent, failed
from tests.conformance.vectors import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One vector and how it came out."""

    vector: Vector
    outcome: Outcome


def run(vectors: Iterable[Vector], registry: Registry) -> tuple[Report, ...]:
    """Return a report for every vector, in order."""
    return tuple(Report(vector=vector, outcome=run_one(vector, registry)) for vector in vectors)


def run_one(vector: Vector, registry: Registry) -> Outcome:
    """Return how one vector came out; a mismatch that is meant so is divergent, with its reason."""
    outcome = _answer(vector, registry)
    if outcome.result is not Result.FAIL:
        return outcome
    for divergence in registry.divergences:
        reason = divergence(vector, outcome)
        if reason is not None:
            return divergent(reason)
    return outcome


def _answer(vector: Vector, registry: Registry) -> Outcome:
    kind = registry.kinds.get(vector.kind)
    if kind is None:
        return failed(
            f"nothing answers for the kind {vector.kind!r}; known: {', '.join(sorted(registry.kinds))}"
        )
    try:
        return kind(vector)
    except Exception as error:  # noqa: BLE001  whatever a kind raises is its failure
        return failed(f"raised {type(error).__name__}: {error}")
