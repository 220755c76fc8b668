"""Load every template when a process starts, and render one message's content at a time.

Never looks at a database or the network, and never returns half a message: it renders whole or raises.
"""

import re
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from cachetools import LRUCache
from jinja2 import TemplateSyntaxError

from notifier.errors import TemplateError
from notifier.events import Json
from notifier.messages import ChannelName, Rendered
from notifier.rendering.bounds import bounded, subject_line
from notifier.rendering.context import clean, contract
from notifier.rendering.environment import READER, Reader, Sandbox, sandbox
from notifier.rendering.failures import explain
from notifier.rendering.folding import Edition, FoldingLoader, Source, foldable
from notifier.rendering.formats import NO_BREAK
from notifier.rendering.inlining import differences, entangled, inline_message, inline_pages
from notifier.rendering.markup import Page, problems
from notifier.rendering.sources import Part, Sources

_EDITIONS: Final = 64
"""Brands times languages whose folded templates are kept."""

_GAP = re.compile(r"\n{3,}")
_HTML = ".html.j2"
_WORDS = "_layouts/words.j2"
"""Sets ``words``: what layouts and macros say themselves, by language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A template that works, though not as it should; the process that loads it logs this."""

    template: str
    reason: str


class Templates:
    """All templates, ready to render. Nothing changes after :meth:`load`; threads may share it."""

    def __init__(
        self, sources: Sources, plain: Sandbox, defaults: Mapping[str, Json], default_locale: str
    ) -> None:
        self.sources = sources
        self.default_locale = default_locale
        self.notices: tuple[Notice, ...] = ()
        self._plain = plain
        self._defaults = clean(defaults)
        self._inlined: dict[str, Source] = {}
        """The files below a body, as they read with CSS inlined; by the body's path."""
        self._general = Edition({})
        self._editions: LRUCache[Hashable, Edition] = LRUCache(_EDITIONS)
        self._lock = threading.Lock()
        self._constant = foldable(source.tree for source in sources)
        self._words: Mapping[str, Mapping[str, str]] = {}
        self._versions = {name: sources.version(name) for name in sources.names()}

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        defaults: Mapping[str, Json] | None = None,
        samples: Mapping[str, Mapping[str, Json]] | None = None,
        default_locale: str = "en",
    ) -> "Templates":
        """Read and check every template, and inline its CSS; each is compiled when it is first rendered.

        ``defaults`` lie below each message's context (``brand``, mostly). With ``samples``, contexts by
        template name, all are compiled, and what was inlined at load is compared with inlining per message:
        exact, and slow.

        Raises:
            TemplateError: with file and line, for a syntax error, an unknown filter, a missing file, or
                markup through which data could become code.
        """
        texts: dict[str, str] = {}
        plain = sandbox(FoldingLoader(texts.get, {}))
        sources = Sources.load(directory, plain, default_locale)
        texts.update({source.path: source.text for source in sources})
        templates = cls(sources, plain, defaults or {}, default_locale)
        templates._prepare(samples or {})
        return templates

    def names(self) -> tuple[str, ...]:
        """Return the names of all templates, such as ``returns/approved``."""
        return self.sources.names()

    def has(self, name: str, channel: ChannelName) -> bool:
        """Say whether the template has every file the channel needs."""
        return self.sources.has(name, channel)

    def locales(self, name: str) -> tuple[str, ...]:
        """Return the locales the template has files for, the default first."""
        return self.sources.locales(name)

    def version(self, name: str) -> str:
        """Return a short hash over all files behind the template; it is stored with each message.

        Raises:
            TemplateError: there is no such template.
        """
        self._require(name)
        return self._versions[name]

    def render(self, name: str, channel: ChannelName, locale: str, context: Mapping[str, Json]) -> Rendered:
        """Render one message in the nearest language there is.

        Raises:
            TemplateError: with file, line and, where one is missing, the variable.
        """
        return self._render(name, channel, locale, context, is_inlined=True)

    def inlining_differences(self, name: str, locale: str, context: Mapping[str, Json]) -> list[str]:
        """Compare the HTML with one inlined per message; empty means the same document.

        Raises:
            TemplateError: as :meth:`render`.
        """
        mine, plain = (
            self._render(name, ChannelName.EMAIL, locale, context, is_inlined=which, only=Part.HTML).html
            or ""
            for which in (True, False)
        )
        return differences(mine, plain)

    def _require(self, name: str) -> None:
        if name not in self._versions:
            near = get_close_matches(name, self._versions, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TemplateError(f"there is no such template{hint}", template=name)

    def _render(
        self, name: str, channel: ChannelName, locale: str, context: Mapping[str, Json],
        *, is_inlined: bool, only: Part | None = None,
    ) -> Rendered:  # fmt: skip
        self._require(name)
        parts, spoken = self.sources.choose(name, channel, locale)
        if only is not None:
            parts = {part: path for part, path in parts.items() if part is only}
        values = contract(context, self._defaults, spoken)
        values["say"] = self._words.get(values["language"]) or self._words.get(self.default_locale, {})
        edition = self._edition(values) if is_inlined else self._general
        token = READER.set(Reader(locale=spoken, zone=values["recipient"]["zone"]))
        try:
            done = {
                part: self._write(path, values, edition, is_inlined=is_inlined)
                for part, path in parts.items()
            }
        finally:
            READER.reset(token)
        if channel is ChannelName.SMS:
            # The GSM alphabet has no no-break space: one from a price would more than double the segments.
            done[Part.SMS] = done[Part.SMS].replace(NO_BREAK, " ")
        text = next((done[part] for part in (Part.TEXT, Part.SMS, Part.PORTAL) if part in done), "")
        subject = subject_line(done[Part.SUBJECT], parts[Part.SUBJECT]) if Part.SUBJECT in done else ""
        return Rendered(text=_GAP.sub("\n\n", text).strip() + "\n", subject=subject, html=done.get(Part.HTML))

    def _edition(self, values: Mapping[str, Any]) -> Edition:
        """Return the templates with the message's brand and language folded in."""
        key = (values["locale"], *values["brand"].items())
        with self._lock:
            try:
                edition = self._editions.get(key)
            except TypeError:  # a brand that is more than plain values
                return self._general
            if edition is None:
                edition = self._editions[key] = Edition({name: values[name] for name in self._constant})
            return edition

    def _write(self, path: str, values: dict[str, Any], edition: Edition, *, is_inlined: bool) -> str:
        source = self._inlined.get(path) if is_inlined else None
        try:
            template = edition.template(path, source or self.sources.text)
            text = bounded(template, values, path)
            is_done = source is not None or not path.endswith(_HTML)
            return text if is_done else inline_message(text)
        except TemplateError:
            raise
        except Exception as error:  # noqa: BLE001 - a template can raise anything, and each is the template's
            raise explain(error, path, self.sources, values) from None

    def _prepare(self, samples: Mapping[str, Mapping[str, Json]]) -> None:
        pages = {source.path: Page(source.text) for source in self.sources if source.path.endswith(_HTML)}
        slow = self._judge(pages)
        notices = []
        groups: dict[tuple[tuple[str, int], ...], list[str]] = {}
        for name in self.names():
            for path in self._bodies(name):
                closure = self.sources.closure(path)
                reason = next((slow[one] for one in closure if one in slow), None)
                styles = tuple(
                    (one, at) for one in closure if one in pages for at in range(len(pages[one].styles))
                )
                reason = reason or _entanglement(styles, pages)
                if reason:
                    notices.append(_slow(path, reason))
                else:
                    groups.setdefault(styles, []).append(path)
        for styles, paths in groups.items():
            self._inline(styles, paths, pages)
        if samples:
            self._compile()
        if self.sources.text(_WORDS) is not None:
            self._words = getattr(self._plain.get_template(_WORDS).module, "words", {})
        self.notices = (*notices, *self._compare(samples))

    def _judge(self, pages: Mapping[str, Page]) -> dict[str, str]:
        """Return the files that keep a body from being inlined at load, with the reason."""
        slow: dict[str, str] = {}
        for path, page in pages.items():
            for problem in problems(page, self._plain):
                if problem.is_refusal:
                    raise TemplateError(problem.text, template=path, line=problem.line)
                slow.setdefault(path, f"{path}:{problem.line}: {problem.text}")
        return slow

    def _inline(
        self, styles: tuple[tuple[str, int], ...], paths: Sequence[str], pages: Mapping[str, Page]
    ) -> None:
        """Compile the bodies that share their stylesheets, in an environment of the rewritten files."""
        used = dict.fromkeys(one for path in paths for one in self.sources.closure(path) if one in pages)
        texts = inline_pages(styles, {path: pages[path] for path in used})

        def source(path: str) -> str | None:
            return texts.get(path) or self.sources.text(path)

        self._inlined |= dict.fromkeys(paths, source)

    def _compile(self) -> None:
        """Compile what was not compiled yet, so that an unknown filter is found now."""
        for source in self.sources:
            try:
                self._general.template(source.path, self._inlined.get(source.path) or self.sources.text)
            except TemplateSyntaxError as error:
                file = error.filename or error.name or source.path
                raise TemplateError(
                    error.message or "syntax error", template=file, line=error.lineno
                ) from None

    def _compare(self, samples: Mapping[str, Mapping[str, Json]]) -> list[Notice]:
        notices = []
        for name in self.names():
            if name not in samples or not self.has(name, ChannelName.EMAIL):
                continue
            for locale in self.locales(name):
                parts, _ = self.sources.choose(name, ChannelName.EMAIL, locale)
                path = parts[Part.HTML]
                found = (
                    self.inlining_differences(name, locale, samples[name]) if path in self._inlined else []
                )
                if found:
                    del self._inlined[path]
                    notices.append(_slow(path, f"inlining at load gives another document: {found[0]}"))
        return notices

    def _bodies(self, name: str) -> list[str]:
        return [path for (part, _), path in self.sources.files(name).items() if part is Part.HTML]


def _slow(path: str, reason: str) -> Notice:
    return Notice(template=path, reason=f"CSS is inlined per message, 100 times slower: {reason}")


def _entanglement(styles: Sequence[tuple[str, int]], pages: Mapping[str, Page]) -> str | None:
    for path, index in styles:
        style = pages[path].styles[index]
        for selector in entangled(style.css):
            line = pages[path].line(style.start)
            return f"{path}:{line}: the selector {selector!r} depends on its surroundings"
    return None
