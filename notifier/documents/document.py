"""Read YAML files strictly: every error names the file, the line, the field and the mend.

Knows pydantic models and line numbers; nothing of what the documents mean.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from notifier.errors import ConfigError
from notifier.forms import mend_of, problem_of

_ALIASED_LIMIT = 200_000
Path_ = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def read_duration(value: Any) -> Any:
    """Read ``90s``, ``10m``, ``1h30m``, ``3d`` or ``50ms``; leave a timedelta as it is.

    Raises:
        ValueError: the text is no duration.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([0-9]+(ms|[dhms]))+", value):
        raise ValueError("must be a duration such as 90s, 10m, 1h30m or 3d")
    try:
        return sum(
            (int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)(ms|[dhms])", value)),
            start=timedelta(),
        )
    except (OverflowError, ValueError):  # int() refuses thousands of digits with a ValueError of its own
        raise ValueError("is too long a duration: at most 999999999d") from None


Duration = Annotated[timedelta, BeforeValidator(read_duration)]
"""A length of time, written ``90s``, ``10m``, ``1h30m`` or ``3d``."""


class _Loader(yaml.CSafeLoader):
    """Reads YAML with the booleans of YAML 1.2: ``on``, ``off``, ``yes`` and ``no`` are texts."""


_BOOL = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] != _BOOL]
    for first, entries in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


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


class Documents:
    """All the YAML files of a folder, read in the order of their names."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = tuple(documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(self._documents)

    @classmethod
    def of(cls, folder: Path) -> "Documents":
        """Read every ``*.yaml`` below ``folder``.

        Raises:
            ConfigError: the folder is missing, or a file is not YAML.
        """
        documents, errors = cls.readable(folder)
        if errors:
            raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
        return documents

    @classmethod
    def readable(cls, folder: Path) -> tuple["Documents", list[ConfigError]]:
        """Read what can be read below ``folder``, and return what is wrong with the other files.

        Raises:
            ConfigError: the folder is missing.
        """
        if not folder.is_dir():
            raise ConfigError("the folder does not exist", file=folder, mend="create it, or set the path")
        documents: list[Document] = []
        errors: list[ConfigError] = []
        for file in sorted(folder.rglob("*.yaml")):
            try:
                documents.append(load(file))
            except ConfigError as wrong:
                errors.append(wrong)
        return cls(documents), [*errors, *(misnamed(file) for file in misnamed_below(folder))]


def misnamed_below(folder: Path) -> list[Path]:
    """Return the files that are meant to be read and never are: ``.yml``, ``.YAML``."""
    names = (file for file in folder.rglob("*") if file.suffix.lower() in {".yml", ".yaml"})
    return sorted(file for file in names if file.suffix != ".yaml" and not file.is_dir())


def misnamed(file: Path) -> ConfigError:
    """Return the error for a file of ``misnamed_below``."""
    mend = f"name it {file.stem}.yaml, or take it away"
    return ConfigError("is not read: only *.yaml is", file=file, mend=mend)


def load(file: Path) -> Document:
    """Read one YAML file with its line numbers; an empty file is an empty mapping.

    Raises:
        ConfigError: unreadable, no YAML, or a key that stands twice.
    """
    return parse(read_text(file), file)


def read_text(file: Path) -> str:
    """Return a file's text.

    Raises:
        ConfigError: unreadable, or not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(error.strerror or "cannot be read", file=file) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", file=file, mend="save it as UTF-8") from error


def parse(text: str, file: Path) -> Document:
    """Read YAML text; ``file`` is what errors name.

    Raises:
        ConfigError: no YAML, or a key that stands twice.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        _bounded(node, file)
        value = yaml.load(text, Loader=_Loader) if node else {}  # noqa: S506 - derived from the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            f"not YAML: {error.problem}",
            file=file,
            line=mark.line + 1 if mark else None,
            mend="check the indentation and quotes there",
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {error}", file=file) from error
    except (ValueError, KeyError, AttributeError) as error:  # 2026-13-45, or a tag that its text does not fit
        raise ConfigError(
            "not YAML: a date or tagged value that cannot be read", file=file, mend="put quotes around it"
        ) from error
    except RecursionError:
        raise _endless(file) from None
    lines: dict[Path_, int] = {}
    try:
        if node is not None:
            _collect(node, (), lines, file)
    except RecursionError:
        raise _endless(file) from None
    return Document(file=file, value=value, lines=lines)


def dotted(path: Path_) -> str:
    """Write a path as ``rules[2].when``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _endless(file: Path) -> ConfigError:
    return ConfigError(
        "is nested without end", file=file, mend="an anchor must not stand for what it is part of"
    )


def _bounded(node: yaml.Node | None, file: Path) -> None:
    """Refuse what a few aliases of aliases would make of a small file, before anything is made of it."""
    sizes: dict[int, float] = {}
    size = _size(node, sizes) if node is not None else 0
    if size == inf:
        raise _endless(file)
    if size - len(sizes) > _ALIASED_LIMIT:
        raise ConfigError(
            f"its aliases stand for more than {_ALIASED_LIMIT} values",
            file=file,
            mend="write out what is meant; an alias of aliases multiplies",
        )


def _size(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Return how many nodes a walk meets, each alias anew; endless where a node is part of itself."""
    if id(node) not in sizes:
        sizes[id(node)] = inf
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in parts for part in pair]
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]


def _collect(node: yaml.Node, path: Path_, lines: dict[Path_, int], file: Path) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            if here in lines:
                raise ConfigError(
                    f"the key stands twice, first on line {lines[here]}",
                    file=file,
                    line=key.start_mark.line + 1,
                    field=dotted(here),
                    mend="keep one",
                )
            lines[here] = key.start_mark.line + 1
            _collect(value, here, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect(value, (*path, index), lines, file)


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
