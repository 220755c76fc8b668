"""Read YAML strictly: no key twice, no endless anchors, booleans as YAML 1.2 has them.

Every error names the file and, where there is one, the line; never returns half a document.
"""

import re
from math import inf
from pathlib import Path

import yaml

from notifier.documents.document import Document, Path_, dotted
from notifier.errors import ConfigError

_ALIASED_LIMIT = 200_000


class _Loader(yaml.CSafeLoader):
    """Reads YAML with the booleans of YAML 1.2: ``on``, ``off``, ``yes`` and ``no`` are texts."""


_BOOL = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] != _BOOL]
    for first, entries in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


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
