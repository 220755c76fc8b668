"""One YAML document: its value, the line each path stands on, and errors that name both.

Knows pydantic models and line numbers; nothing of what the documents mean.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from notifier.errors import ConfigError
from notifier.forms import mend_of, problem_of

Path_ = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


class Strict(BaseModel):
    """A model that refuses unknown keys and cannot be changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ConfigErrors(ConfigError):
    """Several things are wrong at once; ``errors`` has each."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in errors))


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML document: its value, and the line each path of it stands on."""

    file: Path
    value: Any
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> int:
        """Return the line of ``path``, or of the nearest parent that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, problem: str, path: Path_ = (), mend: str | None = None) -> ConfigError:
        """Return the error for what stands at ``path``."""
        return ConfigError(
            problem, file=self.file, line=self.line(path), field=dotted(path) or None, mend=mend
        )

    def read(self, model: type[ModelT], path: Path_ = ()) -> ModelT:
        """Validate what stands at ``path``.

        Raises:
            ConfigErrors: one entry per wrong field.
        """
        try:
            return model.model_validate(self.at(path))
        except ValidationError as error:
            raise ConfigErrors([self.explain(model, item, path) for item in error.errors()]) from None

    def at(self, path: Path_) -> Any:
        """Return the value at ``path``, which must exist."""
        value = self.value
        for key in path:
            value = value[key]
        return value

    def explain(self, model: type[BaseModel], item: ErrorDetails, path: Path_ = ()) -> ConfigError:
        """Return what pydantic found wrong below ``path`` as an error of ours."""
        # Pydantic puts union tags such as "function-after[...]" into the location: drop what the file lacks.
        where = path + tuple(self._existing(path, item["loc"]))
        if item["type"] == "extra_forbidden":
            key = str(item["loc"][-1])
            near = get_close_matches(key, _known_keys(model, item["loc"][:-1]), n=1)
            return self.error("unknown key", where, f"did you mean {near[0]!r}?" if near else "remove it")
        if item["type"] == "missing":
            return self.error(f"{item['loc'][-1]!r} is required", where, "add it")
        return self.error(problem_of(item), where, mend_of(item))

    def _existing(self, path: Path_, loc: Path_) -> Iterator[str | int]:
        here = path
        for key in loc:
            found = self._step(here, key)
            here = (*here, *found)
            yield from found

    def _step(self, here: Path_, key: str | int) -> Path_:
        """Return what leads to a key of the model: in the file, ``[sms: {within: 5m}]`` is shorter."""
        if (*here, key) in self.lines:
            return (key,)
        below = [path[-1] for path in self.lines if len(path) == len(here) + 1 and path[:-1] == here]
        if isinstance(key, int):
            return (below[key],) if key < len(below) and isinstance(below[key], str) else ()
        is_wrapped = len(below) == 1 and (*here, below[0], key) in self.lines
        return (below[0], key) if is_wrapped else ()


def dotted(path: Path_) -> str:
    """Write a path as ``rules[2].when``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _known_keys(model: type[BaseModel], loc: Path_) -> list[str]:
    """Return the keys the innermost model takes, by the names that files use."""
    models = [model]
    for key in loc:
        # A key that leads nowhere is one of pydantic's union tags.
        models = [found for one in models for found in _models(_annotation(one, key))] or models
    return [item.alias or name for one in models for name, item in one.model_fields.items()]


def _annotation(model: type[BaseModel], key: str | int) -> Any:
    fields = model.model_fields
    return next((item.annotation for name, item in fields.items() if key in {item.alias, name}), None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return the models within an annotation, through unions, lists and mappings."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    else:
        for part in get_args(annotation):
            yield from _models(part)
