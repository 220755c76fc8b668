"""Turn an error inside a template into one that names the file, the line and the missing variable.

Never quotes a value: what the message was about must not reach a log.
"""

import re
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from jinja2 import UndefinedError, nodes
from jinja2.exceptions import SecurityError

from notifier.errors import TemplateError
from notifier.rendering.formats import FormatError
from notifier.rendering.sources import Sources

_QUOTED = re.compile(r"'([^']*)'")
_NOT_THERE = object()
_Place = tuple[int, tuple[str, ...]]


def explain(error: Exception, path: str, sources: Sources, context: Mapping[str, Any]) -> TemplateError:
    """Return what went wrong while ``path`` was rendered."""
    places = [*_places(error.__traceback__, sources)]
    file, line = places[-1] if places else (path, None)
    if isinstance(error, UndefinedError):
        return _missing(error, places, sources, context) or TemplateError(
            "a variable is missing", template=file, line=line
        )
    if isinstance(error, FormatError | SecurityError):
        return TemplateError(str(error), template=file, line=line)
    return TemplateError(f"cannot be rendered: {type(error).__name__}", template=file, line=line)


def _places(traceback: TracebackType | None, sources: Sources) -> Iterator[tuple[str, int]]:
    """Return the template lines on the stack, the outermost first."""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if sources.text(file) is not None:
            # The line of the compiled Python, unless Jinja has rewritten the traceback already.
            template, line = traceback.tb_frame.f_globals.get("__jinja_template__"), traceback.tb_lineno
            yield file, line if template is None else template.get_corresponding_lineno(line)
        traceback = traceback.tb_next


def _missing(
    error: UndefinedError, places: list[tuple[str, int]], sources: Sources, context: Mapping[str, Any]
) -> TemplateError | None:
    """Find the expression that names it: where it was used, else where it was set or passed on."""
    names = _QUOTED.findall(error.message or "")
    for look in (_paths_on, _paths_near):
        for file, line in reversed(places):
            for at, path in look(sources[file].tree, line):
                if path[-1] in names and not _is_there(path, context):
                    variable = ".".join(path)
                    problem = f"the variable {variable!r} is missing"
                    return TemplateError(problem, template=file, line=at, variable=variable)
    return None


def _paths_on(tree: nodes.Template, line: int) -> Iterator[_Place]:
    """Return the paths of the expressions that begin on the line, though they may end on a later one."""
    for node in tree.find_all(nodes.Expr):
        if node.lineno == line:
            yield from _paths(node)


def _paths_near(tree: nodes.Template, line: int) -> Iterator[_Place]:
    """Return all paths of a file, the nearest first."""
    return iter(sorted(_paths(tree), key=lambda place: abs(place[0] - line)))


def _paths(node: nodes.Node) -> Iterator[_Place]:
    for inner in (node, *node.find_all((nodes.Name, nodes.Getattr, nodes.Getitem))):
        path = _path(inner)
        if path:
            yield inner.lineno, path


def _path(node: nodes.Node) -> tuple[str, ...]:
    """Return ``data.refund.amount`` as a tuple; empty where an expression decides a step."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        inner = _path(node.node)
        return (*inner, node.attr) if inner else ()
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        inner = _path(node.node)
        return (*inner, str(node.arg.value)) if inner else ()
    return ()


def _is_there(path: tuple[str, ...], context: Mapping[str, Any]) -> bool:
    value: Any = context
    for key in path:
        value = value.get(key, _NOT_THERE) if isinstance(value, Mapping) else _NOT_THERE
        if value is _NOT_THERE:
            return False
    return True
