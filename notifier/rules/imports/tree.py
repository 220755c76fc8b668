"""Turn Alertmanager's tree of routes into the routes of an alert rule, with what each inherits.

Every value is worked out as ``dispatch/route.go`` does and written where it differs from the route above.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from notifier.events import Json
from notifier.rules.imports.mutes import Mentions, Windows, matchers_of
from notifier.rules.imports.names import Names
from notifier.rules.imports.receivers import Receiver, Receivers
from notifier.rules.imports.spots import Spot
from notifier.rules.spans import span_text

_KEYS = frozenset(
    {
        *("receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "labels"),
        *(
            "matchers",
            "match",
            "match_re",
            "continue",
            "routes",
            "mute_time_intervals",
            "active_time_intervals",
        ),
    }
)
_NOT_AT_THE_ROOT = (
    *("matchers", "match", "match_re", "continue", "mute_time_intervals", "active_time_intervals"),
)
_EVERY_LABEL = "..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What holds for a route; the defaults are those of ``DefaultRouteOpts``."""

    receiver: Receiver
    group_by: tuple[str, ...] = ()
    group_wait: timedelta = timedelta(seconds=30)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_interval: timedelta = timedelta(hours=4)

    @property
    def remind_after(self) -> timedelta:
        """Return when Alertmanager repeats: it looks every ``group_interval`` only."""
        return -(-self.repeat_interval // self.group_interval) * self.group_interval

    def keys(self) -> dict[str, Json]:
        """Return what holds, in our words."""
        receiver = self.receiver
        return {
            "group_by": list(self.group_by),
            "first_after": span_text(self.group_wait),
            "batch_every": span_text(self.group_interval),
            "remind_after": span_text(self.remind_after),
            "send_resolved": receiver.send_resolved,
            "recipients": [{"list": receiver.list_name}] if receiver.list_name is not None else [],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The routes, with what they name."""

    receivers: Receivers
    windows: Windows
    seen: Mentions

    def read(self, root: Spot) -> dict[str, Json]:
        """Return the keys of an alert rule: what the root says, and the routes below it."""
        for key in _NOT_AT_THE_ROOT:
            if root.at(key).value:
                root.at(key).refuse("the first route is for every alert", "Alertmanager refuses it as well")
        options = self._options(root, Options(receiver=self.receivers.get(root.at("receiver"))))
        routes = self._routes(root, options)
        labels = _labels(root)
        if labels or (options.receiver.list_name is None and not routes):
            # An alert rule has neither constant labels nor nobody to tell; a route for all alerts may.
            whole: dict[str, Json] = {"route": Names().of(options.receiver.name, "route"), "labels": labels}
            routes = [{**whole, "routes": routes} if routes else whole]
        return {**options.keys(), **({"routes": routes} if routes else {})}

    def _routes(self, parent: Spot, above: Options) -> list[Json]:
        names = Names()
        return [self._route(spot, above, names) for spot in parent.at("routes").entries()]

    def _route(self, spot: Spot, above: Options, names: Names) -> dict[str, Json]:
        options = self._options(spot, above)
        inherited = above.keys()
        matchers = matchers_of(spot.at("matchers"), spot.at("match"), spot.at("match_re"), self.seen)
        keys: dict[str, Json] = {
            "match": [str(one) for one in matchers],
            "continue": spot.at("continue").is_true(),
            "labels": _labels(spot),
            "active": self.windows.named(spot.at("active_time_intervals")),
            "mute": self.windows.named(spot.at("mute_time_intervals")),
            "routes": self._routes(spot, options),
        }
        said = {key: value for key, value in keys.items() if value}
        changed = {key: value for key, value in options.keys().items() if value != inherited[key]}
        routes = {"routes": said.pop("routes")} if "routes" in said else {}
        return {"route": names.fresh(options.receiver.name, "route"), **said, **changed, **routes}

    def _options(self, spot: Spot, above: Options) -> Options:
        for other in spot.unknown(_KEYS):
            other.remark("not known to this import: left out", "see whether it matters to you")
        given = spot.at("receiver")
        options = replace(
            above,
            receiver=self.receivers.get(given) if given.text() else above.receiver,
            group_by=self._group_by(spot.at("group_by"), above.group_by),
            group_wait=_span(spot.at("group_wait"), above.group_wait, can_be_zero=True),
            group_interval=_span(spot.at("group_interval"), above.group_interval),
            repeat_interval=_span(spot.at("repeat_interval"), above.repeat_interval),
        )
        _remark_rounded(spot, options, above)
        return options

    def _group_by(self, spot: Spot, above: tuple[str, ...]) -> tuple[str, ...]:
        """An empty list says nothing: only a list of names stops a route from inheriting."""
        names = tuple(dict.fromkeys(spot.texts()))
        if _EVERY_LABEL in names and len(names) > 1:
            spot.refuse("'...' stands for every label, beside others", "Alertmanager refuses it as well")
        self.seen.labels(spot, names)
        return names or above


def _span(spot: Spot, above: timedelta, *, can_be_zero: bool = False) -> timedelta:
    span = spot.span()
    if span is None:
        return above
    if not span and not can_be_zero:
        spot.refuse("must be more than nothing", "Alertmanager refuses it as well")
    return span


def _labels(spot: Spot) -> dict[str, Json]:
    labels = spot.at("labels")
    return {name: labels.at(name).text() for name in labels.fields()}


def _remark_rounded(spot: Spot, options: Options, above: Options) -> None:
    """Say so where it is written, or where another interval changes what is inherited."""
    reminds = options.remind_after
    is_told = reminds == above.remind_after and options.repeat_interval == above.repeat_interval
    if reminds == options.repeat_interval or (is_told and spot.at("repeat_interval").value is None):
        return
    key = "repeat_interval" if spot.at("repeat_interval").value else "group_interval"
    repeats, ticks = span_text(options.repeat_interval), span_text(options.group_interval)
    spot.at(key).remark(
        f"Alertmanager looks every {ticks} whether {repeats} are over, and so repeats after {span_text(reminds)}",
        f"`remind_after` is exact here: write {repeats} if you mean it",
    )
