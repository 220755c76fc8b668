"""Hold an alert rule, compiled: what makes an occurrence, what fires it, and the tree of who is told when.

Immutable values; ``tracking`` reads events by them, ``cadence`` tells by them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from notifier.alerts import Labels
from notifier.recipients.sources import ListSource
from notifier.rules.alerting.cadence import Cadence
from notifier.rules.alerting.flapping import Flapping
from notifier.rules.alerting.routes import Node
from notifier.rules.alerting.sightings import Detector
from notifier.rules.alerting.spikes import Spike
from notifier.rules.conditions import Condition
from notifier.rules.telling import Telling

BUILT_IN = ("rule", "type", "subject", "source", "severity")
"""Labels every alert has."""
EVERY_LABEL = ("...",)
"""Of a key: every label the rule itself takes from the event; of ``group_by``: every label there is."""
WHOLE_RULE = ""
"""The key of what all alerts of a rule know together; no alert's own is empty."""
DEFAULT_GROUP_TEMPLATE = "notifier/alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPlan:
    """What one branch of the tree does with the alerts it answers for."""

    group_by: tuple[str, ...]
    """``("...",)`` = every label set is its own group."""
    cadence: Cadence
    telling: Telling
    group_template: str = DEFAULT_GROUP_TEMPLATE
    active: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()
    escalate: str | None = None

    def template_for(self, event_type: str, alerts: int) -> str:
        """Return the template for a message of so many alerts."""
        return self.telling.template_for(event_type) if alerts == 1 else self.group_template


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStates:
    """What the texts of a field mean."""

    path: str
    firing: frozenset[str]
    resolved: frozenset[str]
    acknowledged: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """Something that begins and ends."""

    name: str
    patterns: tuple[str, ...]
    condition: Condition | None
    labels: tuple[tuple[str, str], ...]
    """(name, path); the name ``*`` takes over a whole mapping."""
    key: tuple[str, ...]
    """``("...",)`` = all labels it takes from the event."""
    root: Node[AlertPlan]
    resolved: tuple[str, ...] = ()
    """Types, or globs, that end it."""
    acknowledged: tuple[str, ...] = ()
    firing: tuple[str, ...] = ()
    """Types that begin it; none given = all that do nothing else."""
    states: FieldStates | None = None
    ttl: timedelta | None = None
    begins: str | None = None
    ends: str | None = None
    severity: int | None = None
    """A constant; else ``severity_path`` says where it stands."""
    severity_path: str | None = None
    detector: Detector | None = None
    detect_path: str | None = None
    """Where the value stands that the detector looks at."""
    flapping: Flapping | None = None
    is_enabled: bool = True

    @property
    def is_warmed_by_all(self) -> bool:
        """Tell whether an alert may speak because others of the rule have been watched for long enough."""
        return isinstance(self.detector, Spike) and self.detector.is_new_key_told

    @property
    def telling(self) -> Telling:
        """Return who is told where no branch says otherwise."""
        return self.root.plan.telling

    @property
    def tellings(self) -> tuple[Telling, ...]:
        """Return the tellings of all branches."""
        return tuple(node.plan.telling for node in self.root.walk())

    def is_steady(self, plan: AlertPlan) -> bool:
        """Tell whether an alert can never leave a group: all that decides about it is in the alert's key."""
        is_grouped_by_key = set(plan.group_by) <= {*self.key, "rule"}
        return (
            not self.root.children
            and is_grouped_by_key
            and all(isinstance(one, ListSource) for one in plan.telling.sources)
        )

    def node(self, path: tuple[str, ...]) -> Node[AlertPlan] | None:
        """Return a branch by its path, unless it was taken out of the rules since."""
        return next((node for node in self.root.walk() if node.path == path), None)

    def group_labels(self, plan: AlertPlan, labels: Labels) -> Mapping[str, str]:
        """Return what an alert's group has in common; a missing label is the empty text."""
        if plan.group_by == EVERY_LABEL:
            return dict(labels)
        return {name: labels.get(name, "") for name in plan.group_by}
