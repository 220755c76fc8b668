"""Find template files and say which file serves which part of a message in which language.

Reads the folder once; knows Jinja only as far as one file names another.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError, nodes

from notifier.errors import TemplateError
from notifier.messages import ChannelName

_FILE = re.compile(
    r"(subject|body|sms|portal)(?:\.([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*))?\.(txt|html|md)\.j2"
)
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z0-9]{2,8}))?")
_SUSPECTS = (nodes.Filter, nodes.Test, nodes.ScopedEvalContextModifier, nodes.EvalContextModifier)
_REFERENCES = (nodes.Extends, nodes.Import, nodes.FromImport, nodes.Include)


class Part(StrEnum):
    """A part of a message, each written by one file."""

    SUBJECT = "subject.txt"
    HTML = "body.html"
    TEXT = "body.txt"
    SMS = "sms.txt"
    PORTAL = "portal.md"


PARTS: Mapping[ChannelName, tuple[Part, ...]] = {
    ChannelName.EMAIL: (Part.SUBJECT, Part.HTML, Part.TEXT),
    ChannelName.SMS: (Part.SMS,),
    ChannelName.PORTAL: (Part.PORTAL,),
    ChannelName.CONSOLE: (Part.SUBJECT, Part.TEXT),
    ChannelName.WEBHOOK: (Part.SUBJECT, Part.TEXT),
    ChannelName.APPRISE: (Part.SMS,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One file names another: extends, import, include."""

    target: str
    line: int
    is_parent: bool
    is_written: bool
    """What the file writes goes straight into this one's output; a macro's result does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file: its path below the folder, its text, its syntax tree."""

    path: str
    text: str
    tree: nodes.Template
    references: tuple[Reference, ...]


class Sources:
    """All the files of a template folder."""

    def __init__(self, sources: Mapping[str, Source], default_locale: str) -> None:
        self._sources = dict(sources)
        self._default = default_locale
        self._parts: dict[str, dict[tuple[Part, str], str]] = {}
        self.unknown: list[str] = []
        """Files in a template's folder that no part has: a misspelt name, most likely."""
        for path in sorted(self._sources):
            self._sort_in(path)

    @classmethod
    def load(cls, folder: Path, environment: Environment, default_locale: str) -> "Sources":
        """Read and parse every ``*.j2`` below ``folder``.

        Raises:
            TemplateError: no such folder, not UTF-8, a syntax error, or a reference that cannot be followed.
        """
        if not folder.is_dir():
            raise TemplateError("the template folder does not exist", template=str(folder))
        read = {}
        for file in sorted(folder.rglob("*.j2")):
            path = file.relative_to(folder).as_posix()
            read[path] = parse(path, _text(file, path), environment)
        for source in read.values():
            _check_references(source, read)
        return cls(read, default_locale)

    def __getitem__(self, path: str) -> Source:
        return self._sources[path]

    def __iter__(self) -> Iterator[Source]:
        return iter(self._sources.values())

    def text(self, path: str) -> str | None:
        """Return a file's text, or None."""
        source = self._sources.get(path)
        return source.text if source else None

    def names(self) -> tuple[str, ...]:
        """Return the names of all templates, such as ``returns/approved``."""
        return tuple(sorted(self._parts))

    def has(self, name: str, channel: ChannelName) -> bool:
        """Say whether every part the channel needs is there in the default language."""
        files = self._parts.get(name, {})
        return all((part, self._default) in files for part in PARTS[channel])

    def files(self, name: str) -> Mapping[tuple[Part, str], str]:
        """Return (part, locale) → path."""
        return self._parts.get(name, {})

    def locales(self, name: str) -> tuple[str, ...]:
        """Return the locales with a file of their own, the default first."""
        found = {locale for _, locale in self.files(name)} - {self._default}
        return (self._default, *sorted(found))

    def choose(self, name: str, channel: ChannelName, locale: str) -> tuple[dict[Part, str], str]:
        """Return the file of each part, and the locale they speak.

        One language per message: a part that only the default has makes the whole message default.
        """
        wanted = normalized(locale) or self._default
        chain = [wanted, wanted.partition("-")[0]]
        files = self.files(name)
        parts = {}
        for part in PARTS[channel]:
            path = next((files[part, one] for one in chain if (part, one) in files), None)
            if path is None:
                return self._choose_default(name, channel, wanted)
            parts[part] = path
        return parts, wanted

    def _choose_default(self, name: str, channel: ChannelName, wanted: str) -> tuple[dict[Part, str], str]:
        files = self.files(name)
        for part in PARTS[channel]:
            if (part, self._default) not in files:
                raise TemplateError(f"there is no {part}.j2 for {channel}", template=name)
        # A British reader of English files keeps British dates.
        same = wanted.partition("-")[0] == self._default.partition("-")[0]
        locale = wanted if same else self._default
        return {part: files[part, self._default] for part in PARTS[channel]}, locale

    def closure(self, path: str) -> tuple[str, ...]:
        """Return the file and all it stands on, parents before children, the file itself last."""
        order: dict[str, None] = {}
        self._collect(path, order, set())
        return tuple(order)

    def version(self, name: str) -> str:
        """Return a short hash over every file that can have a part in the template."""
        digest = hashlib.sha256()
        for path in sorted({one for file in self.files(name).values() for one in self.closure(file)}):
            digest.update(f"{path}\0{self._sources[path].text}\0".encode())
        return digest.hexdigest()[:12]

    def _collect(self, path: str, order: dict[str, None], open_: set[str]) -> None:
        if path in order or path in open_:
            return
        open_.add(path)
        for reference in sorted(self._sources[path].references, key=lambda one: not one.is_parent):
            self._collect(reference.target, order, open_)
        order[path] = None

    def _sort_in(self, path: str) -> None:
        folder, _, file = path.rpartition("/")
        if any(piece.startswith("_") for piece in path.split("/")):
            return
        match = _FILE.fullmatch(file)
        kind = f"{match[1]}.{match[3]}" if match else ""
        if match is None or not folder or kind not in set(Part):
            self.unknown.append(path)
            return
        locale = normalized(match[2]) if match[2] else self._default
        self._parts.setdefault(folder, {})[Part(kind), locale or self._default] = path


def parse(path: str, text: str, environment: Environment) -> Source:
    """Parse one file.

    Raises:
        TemplateError: with the line, for a syntax error, or a filter or test there is not.
    """
    try:
        tree = environment.parse(text, path, path)
    except TemplateSyntaxError as error:
        raise TemplateError(error.message or "syntax error", template=path, line=error.lineno) from error
    for node in tree.find_all(_SUSPECTS):
        if (problem := _problem(node, environment)) is not None:
            raise TemplateError(problem, template=path, line=node.lineno)
    return Source(path=path, text=text, tree=tree, references=tuple(_references(tree, path)))


def _problem(node: nodes.Node, environment: Environment) -> str | None:
    """Return what the parser lets pass; compiling would find it, too, but takes ten times as long."""
    if isinstance(node, nodes.Filter) and node.name not in environment.filters:
        return f"No filter named {node.name!r}."
    if isinstance(node, nodes.Test) and node.name not in environment.tests:
        return f"No test named {node.name!r}."
    is_modifier = isinstance(node, nodes.ScopedEvalContextModifier | nodes.EvalContextModifier)
    return "escaping cannot be switched off" if is_modifier else None


def normalized(locale: str) -> str | None:
    """Return ``de-AT`` for ``de_at``; None for what is no locale."""
    match = _LOCALE.match(locale)
    if match is None:
        return None
    language, region = match[1].lower(), match[2]
    return f"{language}-{region.upper()}" if region else language


def _references(tree: nodes.Template, path: str) -> Iterator[Reference]:
    for node in tree.find_all(_REFERENCES):
        named = getattr(node, "template", None)
        target = named.value if isinstance(named, nodes.Const) else None
        if not isinstance(target, str):
            problem = "the file must be named by one literal text: what it pulls in is checked at load"
            raise TemplateError(problem, template=path, line=node.lineno)
        writes = isinstance(node, nodes.Extends | nodes.Include)
        yield Reference(
            target=target, line=node.lineno, is_parent=isinstance(node, nodes.Extends), is_written=writes
        )


def _check_references(source: Source, known: Mapping[str, Source]) -> None:
    for reference in source.references:
        if reference.target not in known:
            problem = f"there is no template {reference.target!r}"
            raise TemplateError(problem, template=source.path, line=reference.line)
        if reference.is_written and _is_html(source.path) and not _is_html(reference.target):
            problem = (
                f"{reference.target!r} does not escape what it writes; an .html.j2 needs another .html.j2"
            )
            raise TemplateError(problem, template=source.path, line=reference.line)


def _is_html(path: str) -> bool:
    return path.endswith(".html.j2")


def _text(file: Path, path: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TemplateError("not UTF-8; save the file as UTF-8", template=path, line=line) from error
    except OSError as error:
        raise TemplateError(error.strerror or "cannot be read", template=path) from error
