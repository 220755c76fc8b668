"""Fold into a template what is the same for all messages of one brand and language.

Works on Jinja's syntax tree, so lines in errors stay true; what is not surely constant is left as it was.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jinja2 import BaseLoader, Environment, Template, TemplateNotFound, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import EvalContext, Impossible
from jinja2.visitor import NodeTransformer

from notifier.rendering.environment import Sandbox, sandbox

CONSTANT: Final = ("brand", "say", "locale", "language", "direction")
"""Names of the context that brand and language alone decide."""

Source = Callable[[str], str | None]
"""Gives a template's text by its path; None where there is none."""

_SCALARS = (str, int, float, bool, type(None))


def foldable(trees: Iterable[nodes.Template]) -> tuple[str, ...]:
    """Return the constant names that none of the templates gives a meaning of its own."""
    taken = {
        name.name for tree in trees for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")
    }
    taken |= {one.target for tree in trees for one in tree.find_all(nodes.Import)}
    return tuple(name for name in CONSTANT if name not in taken)


class Edition:
    """The templates as they are for one brand and language, compiled when they are first needed."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known
        self._environments: dict[Source, Sandbox] = {}

    def template(self, path: str, source: Source) -> Template:
        """Return the template at ``path``, as ``source`` has it and all it refers to.

        Raises:
            TemplateSyntaxError: what the parser could not see, such as an unknown filter.
        """
        environment = self._environments.get(source)
        if environment is None:
            fresh = sandbox(FoldingLoader(source, self._known))
            environment = self._environments.setdefault(source, fresh)
        return environment.get_template(path)


class FoldingLoader(BaseLoader):
    """Loads templates with ``known`` folded in."""

    def __init__(self, source: Source, known: Mapping[str, Any]) -> None:
        self._source, self._known = source, known
        self._trees: dict[str, nodes.Template] = {}

    def load(self, environment: Environment, name: str, globals: Any = None) -> Template:  # noqa: A002
        """Compile the folded template; the constants are its globals where they could not be folded."""
        code = environment.compile(self._tree(environment, name), name, name)
        return environment.template_class.from_code(environment, code, {**(globals or {}), **self._known})

    def _tree(self, environment: Environment, name: str) -> nodes.Template:
        if name not in self._trees:
            text = self._source(name)
            if text is None:
                raise TemplateNotFound(name)
            tree = environment.parse(text, name, name)
            folder = _Folder(EvalContext(environment, name), self._known)
            self._trees[name] = folder.visit(tree)
            self._free_imports(environment, tree)
        return self._trees[name]

    def _free_imports(self, environment: Environment, tree: nodes.Template) -> None:
        """Import without context what needs none: Jinja then sets its macros up once, not once per message."""
        for one in tree.find_all((nodes.Import, nodes.FromImport)):
            if isinstance(one, nodes.Import | nodes.FromImport) and isinstance(one.template, nodes.Const):
                imported = self._tree(environment, one.template.value)
                free = find_undeclared_variables(imported) - self._known.keys() - environment.globals.keys()
                one.with_context &= bool(free) or not all(map(_is_definition, imported.body))


def _is_definition(node: nodes.Node) -> bool:
    """Tell whether a statement leaves nothing behind that one message could change for the next."""
    if isinstance(node, nodes.Output):
        return all(isinstance(one, nodes.TemplateData) for one in node.nodes)
    if isinstance(node, nodes.Import | nodes.FromImport):
        return not node.with_context
    return isinstance(node, nodes.Macro)


class _Folder(NodeTransformer):
    def __init__(self, context: EvalContext, known: Mapping[str, Any]) -> None:
        self._context, self._known = context, known

    def visit_Name(self, node: nodes.Name) -> nodes.Expr:  # noqa: N802 - Jinja's naming
        value = self._known.get(node.name)
        if node.ctx == "load" and node.name in self._known and isinstance(value, _SCALARS):
            return nodes.Const(value, lineno=node.lineno)
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        owner = self._known.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        if isinstance(owner, dict) and isinstance(value := owner.get(node.attr, owner), _SCALARS):
            return nodes.Const(value, lineno=node.lineno)
        return self.generic_visit(node)

    def visit_If(self, node: nodes.If) -> nodes.Node | list[nodes.Node]:  # noqa: N802
        """Leave only the branches that can still be taken."""
        chain, node.elif_ = [node, *node.elif_], []
        for one in chain:
            self.generic_visit(one)
        verdicts = [self._verdict(one.test) for one in chain]
        last = verdicts.index(True) if True in verdicts else len(chain)
        otherwise = node.else_ if last == len(chain) else chain[last].body
        still = [one for one, verdict in zip(chain[:last], verdicts, strict=False) if verdict is None]
        if not still:
            return otherwise
        first, *rest = (nodes.If(one.test, one.body, [], [], lineno=one.lineno) for one in still)
        first.elif_, first.else_ = rest, otherwise
        return first

    def _verdict(self, test: nodes.Node) -> bool | None:
        """Return whether the test holds; None where the message decides."""
        try:
            return bool(test.as_const(self._context)) if isinstance(test, nodes.Expr) else None
        except Impossible:
            return None

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Visit what is inside, and join texts that have become neighbours."""
        visited = super().generic_visit(node, *args, **kwargs)
        for field, value in visited.iter_fields():
            if isinstance(value, list) and any(isinstance(one, nodes.Output) for one in value):
                setattr(visited, field, _joined(value))
        return visited


def _joined(body: list[nodes.Node]) -> list[nodes.Node]:
    joined: list[nodes.Node] = []
    for node in body:
        before = joined[-1] if joined else None
        if isinstance(node, nodes.Output) and isinstance(before, nodes.Output):
            joined[-1] = nodes.Output([*before.nodes, *node.nodes], lineno=before.lineno)
        else:
            joined.append(node)
    return joined
