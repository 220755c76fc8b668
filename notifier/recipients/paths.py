"""Find a value in JSON by its dotted path, such as ``customer.email`` or ``items.0.owner``.

Says why when there is none; never quotes a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from notifier.events import Event, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Nothing stands there, and why."""

    reason: str


def look_up(value: Json, path: str, *, root: str = "data") -> Json | Missing:
    """Return what stands at ``path`` below ``value``; null counts as missing."""
    here = root
    for key in path.split("."):
        value = _step(value, key)
        here = f"{here}.{key}"
        if value is None:
            detail = "" if here == f"{root}.{path}" else f": there is no {here}"
            return Missing(reason=f"{root}.{path} is absent{detail}")
    return value


def look_up_in_event(event: Event, path: str) -> Json | Missing:
    """Return what stands at ``event.<attribute>`` or ``data.<path>``."""
    root, _, rest = path.partition(".")
    if root == "data":
        return look_up(event.data, rest)
    return look_up(event_attributes(event), rest, root="event")


def event_attributes(event: Event) -> dict[str, Json]:
    """Return the attributes rules may ask for, by name; ``time`` is a moment."""
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "tenant": event.tenant,
        "urgency": event.urgency.value if event.urgency else None,
    }


def _step(value: Json, key: str) -> Json:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list | tuple) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None
