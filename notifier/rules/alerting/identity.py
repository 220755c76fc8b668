"""Name the alert an event speaks of: its labels, and the key that tells it from others.

Knows one event at a time, and no state.
"""

import json
from collections.abc import Mapping

from notifier.alerts import Labels
from notifier.decisions import key_of
from notifier.events import Event, Json
from notifier.recipients.paths import Missing, look_up_in_event
from notifier.rules.alerting.plan import EVERY_LABEL, AlertRule


def alert_key(rule: AlertRule, event: Event) -> str:
    """Return the key of the alert an event speaks of: what to lock and load."""
    return key_with_warnings(rule, event, labels_of(rule, event))[0]


def labels_of(rule: AlertRule, event: Event) -> dict[str, str]:
    """Return the labels an event gives its alert; the severity is among them only where the rule has such a label.

    The rule's own labels go before those every alert has, but no event can speak for another rule.
    """
    built_in = {"type": event.type, "subject": event.subject, "source": event.source}
    return {**built_in, **_own_labels(rule, event), "rule": rule.name}


def _own_labels(rule: AlertRule, event: Event) -> dict[str, str]:
    labels: dict[str, str] = {}
    for name, path in rule.labels:
        value = look_up_in_event(event, path)
        if isinstance(value, Missing):
            continue
        if name != "*":
            labels[name] = text_of(value)
        elif isinstance(value, Mapping):
            labels |= {str(one): text_of(item) for one, item in value.items() if item is not None}
    return labels


def key_with_warnings(rule: AlertRule, event: Event, labels: Labels) -> tuple[str, tuple[str, ...]]:
    """Return the key of the alert with these labels, and what is doubtful about it.

    All that lack every field of their key would be one alert: they are told apart by their subjects.
    """
    named = {name: labels.get(name, "") for name in rule.key}
    if rule.key == EVERY_LABEL:
        named = {name: value for name, value in sorted(_own_labels(rule, event).items()) if value}
    if any(named.values()):
        return key_of(*(part for pair in named.items() for part in pair)), ()
    warning = f"every field of its key is missing ({', '.join(rule.key)}): its subject stands in"
    return key_of("subject", labels["subject"]), (warning,)


def text_of(value: Json) -> str:
    """Return a value as the text of a label."""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, default=str)
