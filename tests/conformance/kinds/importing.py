"""Routing: which routes answer, taken through the import of an ``alertmanager.yml``."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from notifier.events import Event, Json
from notifier.recipients.sources import ListSource
from notifier.rules.alerting.classic_matchers import read_with_fallback
from notifier.rules.alerting.matchers import Matcher, MatcherError
from notifier.rules.alerting.plan import AlertPlan, AlertRule
from notifier.rules.alerting.routes import Node, answering
from notifier.rules.alerting.tracking import aspect_of
from notifier.rules.imports.alertmanager import EVENT_TYPE, Imported, import_alertmanager
from notifier.rules.load import read_rules
from tests.conformance.outcomes import PASSED, Outcome, compared
from tests.conformance.vectors import ORIGIN, Vector

_SPANS = ("group_wait", "group_interval", "repeat_interval")
_ROUNDED = "reminders are exact: the import rounds repeat_interval up to the tick Alertmanager repeats on"


def route(vector: Vector) -> Outcome:
    """The answering routes, in order, with the fields that are listed."""
    imported, rule = _imported(vector)
    wanted = vector.want["routes"]
    found = [_described(node.plan, imported) for node in _answering(rule, vector)]
    shown = [
        {key: value for key, value in have.items() if key in want}
        for have, want in zip(found, wanted, strict=False)
    ]
    return compared(wanted, [*shown, *found[len(wanted) :]], "routes")


def route_labels(vector: Vector) -> Outcome:
    """The labels of the one answering route, its parents' included."""
    _, rule = _imported(vector)
    nodes = _answering(rule, vector)
    return compared(vector.want["route_labels"], dict(nodes[0].labels) if len(nodes) == 1 else None, "labels")


def alertmanager_yaml(tree: Mapping[str, Json], defaults: Mapping[str, Json]) -> str:
    """Return a tree of a vector as the file a person would have written."""
    top = _node({**defaults, **tree})
    names = sorted({one["receiver"] for one in _walk(top) if "receiver" in one})
    receivers = [{"name": name, "email_configs": [{"to": "who@example.org"}]} for name in names]
    return yaml.safe_dump({"route": top, "receivers": receivers})


def _imported(vector: Vector) -> tuple[Imported, AlertRule]:
    given = vector.given
    tree = {"receiver": "of the root", **given["route"]}
    file = Path("alertmanager.yml")
    imported = import_alertmanager(alertmanager_yaml(tree, given.get("defaults") or {}), file)
    with TemporaryDirectory() as folder:
        (Path(folder) / "alertmanager.yaml").write_text(imported.rules_text, encoding="utf-8")
        rules = read_rules(Path(folder), types=[EVENT_TYPE], lists=imported.lists)
    rule = rules.alert("alertmanager")
    if rule is None:
        raise ValueError("the import made no alert rule")
    return imported, rule


def _answering(rule: AlertRule, vector: Vector) -> tuple[Node[AlertPlan], ...]:
    event = Event(
        id="1", source="alertmanager", type=EVENT_TYPE, subject="alert", time=ORIGIN,
        data={"status": "firing", "labels": dict(vector.when["labels"])},
    )  # fmt: skip
    return answering(rule.root, aspect_of(rule, event).labels)


def _described(plan: AlertPlan, imported: Imported) -> dict[str, Json]:
    names = {ours: theirs for theirs, ours in imported.receivers.items()}
    source = plan.telling.sources[0]
    if not isinstance(source, ListSource):
        raise TypeError("a receiver became something else than a list")
    remind = plan.cadence.remind
    return {
        "receiver": names[source.members_of],
        "group_by": list(plan.group_by),
        "group_wait": plan.cadence.first_after.total_seconds(),
        "group_interval": plan.cadence.batch_every.total_seconds(),
        "repeat_interval": remind.first.total_seconds() if remind is not None else None,
    }


def _node(entry: Mapping[str, Json]) -> dict[str, Json]:
    node = {key: value for key, value in entry.items() if key not in ("matchers", "routes")}
    for key in _SPANS:
        if key in node:
            node[key] = f"{round(timedelta(seconds=node[key]) / timedelta(milliseconds=1))}ms"
    for matcher in entry.get("matchers", ()):
        _write(node, Matcher(**matcher))
    return {**node, "routes": [_node(one) for one in entry.get("routes", ())]}


def _write(node: dict[str, Json], matcher: Matcher) -> None:
    """Write a matcher in the newer way if it can be, else in the older one, as a person would."""
    bare = matcher.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    for text in (str(matcher), f'{matcher.name}{matcher.op}"{bare}"'):
        if _is_read_as(text, matcher):
            node.setdefault("matchers", []).append(text)
            return
    older = {"=": "match", "=~": "match_re"}[matcher.op]
    node.setdefault(older, {})[matcher.name] = matcher.value


def _is_read_as(text: str, matcher: Matcher) -> bool:
    """Alertmanager takes the classic reading where it differs from the newer."""
    try:
        return read_with_fallback(text).matchers == (matcher,)
    except MatcherError:
        return False


def _walk(node: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    yield node
    for child in node["routes"]:
        yield from _walk(child)


def rounded_reminders(vector: Vector, _outcome: Outcome) -> str | None:
    """Reminders differ, and nothing else, where the interval does not divide them."""
    if vector.kind != "route":
        return None
    rounded = [{**one, **_rounded(one)} for one in vector.want["routes"]]
    return _ROUNDED if route(replace(vector, want={"routes": rounded})) == PASSED else None


def _rounded(entry: Mapping[str, Json]) -> dict[str, Json]:
    if not {"repeat_interval", "group_interval"} <= entry.keys():
        return {}
    repeat, tick = entry["repeat_interval"], entry["group_interval"]
    return {"repeat_interval": -(-repeat // tick) * tick}


KINDS = {"route": route, "route_labels": route_labels}
DIVERGENCES = (rounded_reminders,)
