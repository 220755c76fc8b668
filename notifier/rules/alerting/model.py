"""The shape of alert rules and of what mutes them: ``alert``, ``inhibit``, ``window``, ``maintenance``.

Shapes only; ``compile`` makes values of them and checks what they refer to.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from notifier.documents import Strict
from notifier.forms import wrong
from notifier.rules.alerting.detect_model import DetectEntry, FlapEntry
from notifier.rules.alerting.window_model import WindowEntry
from notifier.rules.shapes import Name, Patterns, Span, TellingEntry, Wait, listed, not_empty

_TEMPLATE = r"^[a-z0-9_-]+/[a-z0-9_-]+$"
LabelName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
FieldPath = Annotated[str, Field(pattern=r"^(event\.(subject|id|source|tenant|type)|data(\.\w+)+)$")]
LabelPaths = Mapping[Annotated[str, Field(pattern=r"^(\*|[A-Za-z_][A-Za-z0-9_]*)$")], FieldPath]


def _matchers(value: Any) -> Any:
    """Refuse ``{team: a}``, which others write for ``team="a"``, with what to write instead."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping):
            text = ", ".join(f'{name}="{wanted}"' for name, wanted in one.items())
            raise wrong("must be matchers, not a mapping", f"write '{text}', in single quotes")
    return listed(value)


Matchers = Annotated[
    tuple[str, ...],
    BeforeValidator(_matchers, json_schema_input_type=str | tuple[str, ...]),
    Field(description='Such as team="database", severity=~"error|critical"; all must hold.'),
]
Texts = Annotated[tuple[str, ...], BeforeValidator(listed, json_schema_input_type=str | tuple[str, ...])]


def _labels(value: Any) -> Any:
    """Accept ``[data.host, data.site]``: each label is named by the last part of its path."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return {one.rpartition(".")[2]: one for one in value}
    return value


class RemindEntry(Strict):
    """Reminders whose intervals grow."""

    first: Span
    grow: float = Field(default=2.0, ge=1.0, le=10.0)
    cap: Span | None = None

    @model_validator(mode="after")
    def _cap_is_above(self) -> Self:
        if self.cap is not None and self.cap < self.first:
            raise wrong(
                "has a `cap` below `first`", "let `cap` be the longest interval: {first: 1h, cap: 1d}"
            )
        return self


def _remind(value: Any) -> Any:
    return {"first": value, "grow": 1.0} if isinstance(value, str | timedelta) else value


class StateEntry(Strict):
    """What a field of the data says about the alert."""

    field: FieldPath
    firing: Texts = ()
    resolved: Texts = ()
    acknowledged: Texts = ()


class CadenceEntry(TellingEntry):
    """When a group speaks and to whom: what an alert and its routes share."""

    group_by: tuple[str, ...] | None = Field(
        default=None,
        description="Labels; else the key, each occurrence on its own; [] = one group, [...] = all.",
    )
    first_after: Wait | None = Field(
        default=None, description="From its first alert to its first message; 30s."
    )
    batch_every: Wait | None = Field(default=None, description="The grid of later messages; 5m.")
    remind_after: (
        Annotated[RemindEntry, BeforeValidator(_remind, json_schema_input_type=Span | RemindEntry)] | None
    ) = None
    send_resolved: bool | None = None
    active: tuple[Name, ...] = Field(default=(), description="Windows: told only inside one of them.")
    mute: tuple[Name, ...] = Field(default=(), description="Windows: not told inside any of them.")
    escalate: Name | None = None
    group_template: str | None = Field(
        default=None, pattern=_TEMPLATE, description="For a message of several alerts; notifier/alerts."
    )


class RouteEntry(CadenceEntry):
    """A branch of an alert's tree; what it leaves out comes from its parent, windows apart."""

    route: Name
    match: Matchers = ()
    go_on: bool = Field(default=False, alias="continue")
    labels: Mapping[LabelName, str] = Field(default_factory=dict)
    routes: tuple["RouteEntry", ...] = ()


class AlertEntry(CadenceEntry):
    """Something that begins and ends."""

    alert: Name = Field(description="The rule's name, unique among alert, notify and journey.")
    on: Patterns
    labels: Annotated[
        LabelPaths, BeforeValidator(_labels, json_schema_input_type=LabelPaths | tuple[FieldPath, ...])
    ] = Field(default_factory=dict)
    key: Annotated[tuple[str, ...], BeforeValidator(not_empty)] = Field(
        default=("subject",),
        description="Labels that make the alert; [...] = all that the rule takes from the event.",
    )
    firing: Patterns | None = None
    resolved: Patterns | None = None
    acknowledged: Patterns | None = None
    state: StateEntry | None = None
    ttl: Span | None = Field(default=None, description="Over when not heard of for so long.")
    begins: FieldPath | None = Field(default=None, description="Where the data says when it began.")
    ends: FieldPath | None = Field(default=None, description="Where the data says when it is over.")
    severity: str = Field(
        default="error", description="info, warning, error or critical, or where the data says it."
    )
    detect: DetectEntry | None = None
    flap: FlapEntry | None = None
    routes: tuple[RouteEntry, ...] = ()
    enabled: bool = True

    @model_validator(mode="after")
    def _one_state(self) -> Self:
        if self.state is not None and (self.firing or self.resolved or self.acknowledged):
            raise ValueError("says by `state` and by types what fires; keep one")
        return self


class InhibitEntry(Strict):
    """A stronger alert mutes weaker ones."""

    inhibit: Name
    source: Matchers
    target: Matchers
    equal: tuple[str, ...] = Field(
        default=(), description="Labels that must be the same, and there, in both."
    )
    missing_equal: bool = Field(
        default=False, description="Labels that both lack count as equal, as in Alertmanager."
    )
    enabled: bool = True


class WindowRuleEntry(Strict):
    """A time that has a name."""

    window: Name
    intervals: Annotated[tuple[WindowEntry, ...], BeforeValidator(not_empty)]


class MaintenanceEntry(Strict):
    """A silence that comes back."""

    maintenance: Name
    during: Annotated[
        tuple[Name, ...], BeforeValidator(listed, json_schema_input_type=Name | tuple[Name, ...])
    ]
    match: Matchers
    enabled: bool = True
