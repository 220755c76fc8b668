"""Turn an ``alertmanager.yml`` into rules of ours, and say of everything that has no equal what to do.

Pure: text in, rules and remarks out. What Alertmanager itself would refuse is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from notifier.errors import ConfigError
from notifier.events import Json
from notifier.rules.imports.mutes import Mentions, Windows, inhibits
from notifier.rules.imports.receivers import Member, Receivers
from notifier.rules.imports.spots import Spot, read
from notifier.rules.imports.tree import Tree
from notifier.rules.spans import span_text

EVENT_TYPE = "alertmanager.alert"
_TOP = frozenset({"global", "route", "receivers", "inhibit_rules", "time_intervals", "mute_time_intervals"})
_WIDTH = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file became."""

    rules: tuple[Mapping[str, Json], ...]
    lists: Mapping[str, tuple[Member, ...]]
    """For notifier.yaml: those that are empty wait for people."""
    receivers: Mapping[str, str | None]
    """Receiver → its list; None tells nobody."""
    remarks: tuple[ConfigError, ...]
    """What has no equal, each with its place and what to do."""
    source: str

    @property
    def rules_text(self) -> str:
        """Return the rules as a file for ``config/rules``."""
        head = [f"Made of {self.source} by `notifier rules import`: alerts of the type {EVENT_TYPE}."]
        if self.lists:
            head.append(
                f"Lists for notifier.yaml; their names for `audience` of {EVENT_TYPE} (config/events):"
            )
            head += [f"  {line}" for line in self.lists_text.splitlines()]
        return "".join(f"# {line}\n" for line in head) + _yaml({"rules": [dict(rule) for rule in self.rules]})

    @property
    def lists_text(self) -> str:
        """Return the lists as they stand in notifier.yaml."""
        return _yaml({"lists": {name: list(members) for name, members in self.lists.items()}})


def import_alertmanager(text: str, file: Path, *, name: str = "alertmanager") -> Imported:
    """Return what a file becomes; ``name`` is that of the alert rule, and with it of the inhibit rules.

    Raises:
        ConfigError: it cannot be read, or Alertmanager would refuse it.
    """
    top = read(text, file)
    if "route" not in top.fields() or not top.at("route").fields():
        top.refuse("has no `route:`", "name the alertmanager.yml")
    seen = Mentions(
        built_in={"rule": name, "type": EVENT_TYPE, "severity": "warning", "subject": "", "source": ""}
    )
    receivers = Receivers.of(top.at("receivers"))
    windows = Windows.of(top.at("time_intervals"), top.at("mute_time_intervals"))
    tree = Tree(receivers=receivers, windows=windows, seen=seen)
    alert: dict[str, Json] = {**_identity(name), **_ttl(top.at("global")), **tree.read(top.at("route"))}
    muting = list(inhibits(top.at("inhibit_rules"), name, seen))
    receivers.remark_unused()
    _remark_rest(top)
    used = receivers.used
    return Imported(
        rules=(alert, *windows.rules, *muting),
        lists={one.list_name: one.members for one in used.values() if one.list_name is not None},
        receivers={one.name: one.list_name for one in used.values()},
        remarks=tuple(sorted(top.remarks, key=lambda one: one.line or 0)),
        source=file.name,
    )


def _identity(name: str) -> dict[str, Json]:
    return {
        "alert": name,
        "on": EVENT_TYPE,
        "labels": {"*": "data.labels"},
        "key": ["..."],
        "state": {"field": "data.status", "firing": ["firing"], "resolved": ["resolved"]},
        "begins": "data.starts_at",
        "ends": "data.ends_at",
        "severity": "data.labels.severity",
    }


def _ttl(settings: Spot) -> dict[str, Json]:
    spot = settings.at("resolve_timeout")
    timeout = spot.span()
    if not timeout:
        return {}
    spot.remark(
        "became `ttl`: an alert is over when it was not heard of for so long",
        "remove `ttl` if alerts come by an Alertmanager's webhook: it repeats them only after repeat_interval",
    )
    return {"ttl": span_text(timeout)}


def _remark_rest(top: Spot) -> None:
    settings = top.at("global")
    mail = [key for key in settings.fields() if key.startswith("smtp_")]
    if mail:
        settings.at(mail[0]).remark(
            f"{', '.join(mail)}: mails go over our relays", "see `relays:` and `mail:` in notifier.yaml"
        )
    for other in settings.unknown(frozenset({"resolve_timeout", *mail})):
        other.remark("has no equal: left out", "nothing, unless one of the lists stands for what it is about")
    if top.at("templates").value:
        top.at("templates").remark("Go templates have no equal", "edit templates/alertmanager/alert")
    for other in top.unknown(_TOP | {"templates"}):
        other.remark("not known to this import: left out", "see whether it matters to you")


class _Dumper(yaml.SafeDumper):
    """Writes lists of texts on one line, and every value out where it stands."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's signature
        """Write what stands twice twice: anchors are for people."""
        return True


def _represent_list(dumper: yaml.SafeDumper, value: list[Json]) -> yaml.Node:
    is_flat = all(isinstance(one, str) for one in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=is_flat)


_Dumper.add_representer(list, _represent_list)
# As in ``documents``: only true and false are no texts, and ``on`` needs no quotes.
_BOOL = "tag:yaml.org,2002:bool"
_Dumper.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] != _BOOL]
    for first, entries in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
_Dumper.add_implicit_resolver(_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def _yaml(value: Json) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text
