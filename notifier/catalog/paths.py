"""Tell whether a path such as ``customer.email`` can exist in data of a schema.

Follows references and alternatives, reaches into lists; an object that allows any key allows any path.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from notifier.events import Json

_ALTERNATIVES: Final = ("allOf", "anyOf", "oneOf")
_INNER: Final = ("if", "then", "else", "items")
_DEPTH_LIMIT: Final = 30


def can_exist(schema: Mapping[str, Json], path: str) -> bool:
    """Return whether some data could have a value there."""
    places = list(_alternatives(schema, schema))
    for key in path.split("."):
        places = [
            found for place in places for step in _step(place, key) for found in _alternatives(schema, step)
        ]
    return bool(places)


def _alternatives(root: Mapping[str, Json], schema: Json, depth: int = 0) -> Iterator[Json]:
    """Return the schema and all that stand for it; a circle of references ends by its depth."""
    if depth > _DEPTH_LIMIT or schema is False:
        return
    yield schema
    if not isinstance(schema, Mapping):
        return
    others = [one for key in _ALTERNATIVES for one in schema.get(key, ())]
    others += [schema[key] for key in _INNER if key in schema]
    if isinstance(reference := schema.get("$ref"), str):
        others.append(_referred(root, reference))
    for other in others:
        yield from _alternatives(root, other, depth + 1)


def _referred(root: Mapping[str, Json], reference: str) -> Json:
    place: Json = root
    for part in reference.removeprefix("#").split("/")[1:]:
        place = (
            place.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(place, Mapping) else {}
        )
    return place


def _step(place: Json, key: str) -> Iterator[Json]:
    if not isinstance(place, Mapping):  # the schema ``true``
        yield {}
    elif key in place.get("properties", {}):
        yield place["properties"][key]
    elif _is_open(place):
        yield place.get("additionalProperties", {})


def _is_open(place: Mapping[str, Json]) -> bool:
    """Return whether any key is welcome: said so, or the schema says nothing of the keys at all."""
    if "additionalProperties" in place:
        return place["additionalProperties"] is not False
    types = place.get("type", "object")
    said = ("properties", "$ref", *_ALTERNATIVES, *_INNER)
    return "object" in types and not any(key in place for key in said)
