"""Find the nodes of a route tree that answer for an alert's labels.

Alertmanager's walk (``dispatch/route.go``): depth first, left to right; a node answers only if none of its
children did; after a child that answered, go on only if that child has ``continue``. Never looks at time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from notifier.alerts import Labels
from notifier.rules.alerting.matchers import Matcher, all_match

PlanT = TypeVar("PlanT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Generic[PlanT]):
    """One node of a tree: whom it is for, and its plan with all it inherited."""

    path: tuple[str, ...]
    """Its name behind those of its parents; the root's is empty."""
    plan: PlanT
    matchers: tuple[Matcher, ...] = ()
    is_continue: bool = False
    children: tuple["Node[PlanT]", ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Constant labels the node adds, its parents' included."""

    def walk(self) -> Iterator["Node[PlanT]"]:
        """Yield the node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def answering(root: Node[PlanT], labels: Labels) -> tuple[Node[PlanT], ...]:
    """Return the nodes that answer, in order; none where the root itself does not match."""
    if not all_match(root.matchers, labels):
        return ()
    found: list[Node[PlanT]] = []
    for child in root.children:
        answers = answering(child, labels)
        found += answers
        if answers and not child.is_continue:
            break
    return tuple(found) or (root,)
