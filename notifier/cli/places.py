"""Know where event types, rules and schedules stand in the files of a configuration that was read already.

Finds lines by names; judges nothing.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from notifier.documents import Document, Documents, Path_
from notifier.errors import ConfigError
from notifier.events import Json
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.checks import Place
from notifier.rules.ruleset import Rule, StageRule
from notifier.settings import Settings, placed

# By the setting, or by the table it stands in.
_MENDS = {
    "lists": "write an address, or {email, phone, name, locale, zone}",
    "ca_file": "name a file with certificates in PEM that this user can read",
    "username": "set both or neither",
    "base_url": "write https://api.example.com",
    "account_sid": "copy it from the gateway's console",
    "sender": "write a number as +4930123456, or a name",
    "helo": "write a host name as mail.example.com: helo of the relay, or mail.domain",
}


class Places:
    """The place of each event type, rule and schedule, by its name; of rules only if they could be read."""

    def __init__(self, config: Path, *, has_rules: bool = True) -> None:
        self._types = dict(_types(config / "events"))
        self._rules = dict(_rules(config / "rules")) if has_rules else {}

    def of_type(self, name: str) -> Place:
        """Return where an event type stands."""
        return self._types[name]

    def of_schedule(self, name: str) -> Place:
        """Return where a schedule stands."""
        return self._rules["schedule", name]

    def of_channels(self, rule: Rule) -> Place:
        """Return where a rule's channels stand: with itself, or among its journey's defaults."""
        if not isinstance(rule, StageRule):
            kind = "alert" if isinstance(rule, AlertRule) else "notify"
            return self._rules[kind, rule.name].at("channels")
        journey = self._rules["journey", rule.journey]
        stage = journey.at("stages", rule.position)
        below = journey.at("defaults")
        own, given = (place.document.at(place.path) for place in (stage, journey))
        has_own = "channels" in own or "channels" not in (given.get("defaults") or {})
        return (stage if has_own else below).at("channels")


def located(error: ConfigError, document: Document) -> ConfigError:
    """Return the error about a setting with its line in the file, or its variable, and a mend."""
    path = _path(error.field or "", document)
    if error.line is not None or not path or path[0] not in Settings.model_fields:
        return error
    mend = error.mend or _MENDS.get(str(path[-1])) or _MENDS.get(str(path[0]))
    return placed(document, path, error.problem, mend)


def _path(field: str, document: Document) -> Path_:
    """Read ``dkim.example.com.key_file``: of a key that holds dots, the document knows where it ends."""
    parts = [int(index) if index else key for key, index in re.findall(r"([^.\[\]]+)(?!\])|\[(\d+)\]", field)]
    path: Path_ = ()
    while parts:
        joined = (".".join(map(str, parts[:count])) for count in range(len(parts), 1, -1))
        key = next((one for one in joined if (*path, one) in document.lines), parts[0])
        path, parts = (*path, key), parts[str(key).count(".") + 1 :]
    return path


def _types(folder: Path) -> Iterator[tuple[str, Place]]:
    for document in Documents.of(folder):
        place = Place(document=document)
        entries = document.value.get("events")
        if entries is None:
            yield document.value["type"], place
        for index, entry in enumerate(entries or ()):
            yield entry["type"], place.at("events", index)


def _rules(folder: Path) -> Iterator[tuple[tuple[str, str], Place]]:
    for document in Documents.of(folder):
        for index, rule in enumerate(_listed(document)):
            for kind in ("notify", "journey", "alert", "schedule"):
                if kind in rule:
                    yield (kind, rule[kind]), Place(document=document, path=("rules", index))


def _listed(document: Document) -> list[Mapping[str, Json]]:
    rules: list[Mapping[str, Json]] = document.value.get("rules") or []
    return rules
