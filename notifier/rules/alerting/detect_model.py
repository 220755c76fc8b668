"""The shape of ``detect:`` and ``flap:`` in a rule file, key by key.

Shapes only: what a threshold does is said where it is decided, and whether a field exists is checked by ``load``.
"""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, WithJsonSchema, model_validator

from notifier.documents import Duration, Strict

_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^(\d+(ms|[dhms]))+$",
    "description": "A length of time: 90s, 10m, 1h30m, 3d.",
}
_Span = Annotated[Duration, Field(gt=timedelta(0)), WithJsonSchema(_DURATION_SCHEMA)]
_SpanOrNone = Annotated[Duration, Field(ge=timedelta(0)), WithJsonSchema(_DURATION_SCHEMA)]
_Path = Annotated[
    str,
    Field(
        pattern=r"^(event\.(subject|id|source|type)|data(\.\w+)+)$",
        description="Where the value stands: a path such as data.balance, or event.subject.",
    ),
]

# Strict, as every number here: `at_least: "5"` and `at_least: true` are slips, not counts.
_Limit = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
_Least = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
# One digest is kept per value: a thousand are 30 kB for every key.
_Values = Annotated[int, Field(strict=True, ge=1, le=1000)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class CountEntry(Strict):
    """So many within a sliding window."""

    at_least: _Limit = Field(description="Fires at so many or more firing events within the window.")
    within: _Span
    restart: bool = Field(
        default=False, description="Use up what matched: the next match needs as many again."
    )


class DistinctEntry(Strict):
    """Too many or too few different values within a sliding window."""

    field: _Path
    within: _Span
    more_than: _Values | None = Field(default=None, description="Fires at more different values than this.")
    fewer_than: _Values | None = Field(
        default=None, description="Fires at fewer, once a full window has passed since the first event."
    )

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if self.more_than is None and self.fewer_than is None:
            raise ValueError("needs more_than, fewer_than or both")
        if self.more_than is not None and self.fewer_than is not None and self.fewer_than > self.more_than:
            raise ValueError(
                f"fewer_than: {self.fewer_than} and more_than: {self.more_than} leave no number that is right"
            )
        return self


class SpikeEntry(Strict):
    """Much more, or much less, than in the window before."""

    within: _Span
    height: _Number = Field(
        gt=1, description="How many times as much, or as little: 3 is a third or threefold."
    )
    direction: Literal["up", "down", "both"] = "both"
    min_now: _Least = Field(default=0, description="Fewer than so many in the current window say nothing.")
    min_before: _Least | None = Field(
        default=None,
        description="Fewer than so many in the window before say nothing. Default 1; with new_keys 0, "
        "since before a new key there is nothing.",
    )
    new_keys: bool = Field(
        default=False, description="Tell of a key that is new, once another key has seen two windows."
    )
    pauses: Literal["count", "skip"] = Field(
        default="count",
        description="count: a pause is a window with nothing in it. skip: what comes after a pause is compared "
        "with what was before it.",
    )

    @property
    def least_before(self) -> int:
        """Return the least count of the window before, default included."""
        if self.min_before is not None:
            return self.min_before
        return 0 if self.new_keys else 1

    @model_validator(mode="after")
    def _new_keys_have_nothing_before(self) -> Self:
        if self.new_keys and self.min_before:
            raise ValueError(
                "new_keys never fires with min_before: before a new key there is nothing; remove one"
            )
        if self.new_keys and self.direction == "down":
            raise ValueError("new_keys needs direction up or both: a new key can only rise")
        return self


class FlatlineEntry(Strict):
    """Too few within a sliding window."""

    fewer_than: _Limit = Field(description="Fires at fewer, once a full window has passed since the first.")
    within: _Span
    forget_keys: bool = Field(
        default=False, description="Tell once of a key that fell silent; it is new when it is seen again."
    )


class CrossingEntry(Strict):
    """A value past a limit, told once per crossing."""

    field: _Path
    below: _Number | None = Field(default=None, description="Fires when the value is less than this.")
    above: _Number | None = Field(default=None, description="Fires when the value is more than this.")
    rearm: _Number | None = Field(
        default=None, description="Over, and armed again, at this value on the good side. Default: the limit."
    )

    @property
    def limit(self) -> float:
        """Return the one limit there is."""
        return next(limit for limit in (self.below, self.above) if limit is not None)

    @model_validator(mode="after")
    def _one_limit_and_rearm_beyond_it(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("needs either below or above")
        if self.rearm is not None and self.below is not None and self.rearm < self.below:
            raise ValueError(
                f"rearm: must be {self.below:.15g} (below) or more, else it never recovers rightly"
            )
        if self.rearm is not None and self.above is not None and self.rearm > self.above:
            raise ValueError(
                f"rearm: must be {self.above:.15g} (above) or less, else it never recovers rightly"
            )
        return self


class HeartbeatEntry(Strict):
    """A dead man's switch: fires when a beat is overdue. The first beat arms it."""

    every: _Span
    grace: _SpanOrNone = Field(default=timedelta(), description="How late a beat may be.")


KindEntry = CountEntry | DistinctEntry | SpikeEntry | FlatlineEntry | CrossingEntry | HeartbeatEntry


class DetectEntry(Strict):
    """When events become an alert: exactly one threshold."""

    count: CountEntry | None = None
    distinct: DistinctEntry | None = None
    spike: SpikeEntry | None = None
    flatline: FlatlineEntry | None = None
    crossing: CrossingEntry | None = None
    heartbeat: HeartbeatEntry | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"not {' and '.join(given)}" if given else "there is none"
            raise ValueError(f"needs exactly one of {', '.join(_KINDS)}; {found}")
        return self

    @property
    def chosen(self) -> KindEntry:
        """Return the one threshold there is."""
        every: tuple[KindEntry | None, ...] = (
            self.count, self.distinct, self.spike, self.flatline, self.crossing, self.heartbeat
        )  # fmt: skip
        return next(entry for entry in every if entry is not None)

    @property
    def path(self) -> str | None:
        """Return where the value stands that a sighting must carry, if it must."""
        entry = self.chosen
        return entry.field if isinstance(entry, DistinctEntry | CrossingEntry) else None


_KINDS = tuple(DetectEntry.model_fields)


class FlapEntry(Strict):
    """Hold an alert back while it keeps changing."""

    within: _Span
    hold_at: Annotated[int, Field(strict=True, ge=2, le=1000)] = Field(
        description="Held at so many changes or more within the window."
    )
    release_at: Annotated[int, Field(strict=True, ge=0, le=1000)] = Field(
        description="Let go at so many or fewer."
    )

    @model_validator(mode="after")
    def _two_thresholds(self) -> Self:
        if self.release_at >= self.hold_at:
            raise ValueError(
                f"release_at: {self.release_at} must be less than hold_at: {self.hold_at}; "
                "the gap between them is what keeps it calm"
            )
        return self
