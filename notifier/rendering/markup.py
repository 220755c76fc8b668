"""Find the start tags in an HTML template without disturbing the Jinja in it, and judge each.

Works on the text: what is not a start tag or a style element comes out byte for byte as it went in, so the
lines of Jinja's errors stay true. Never builds a tree: a template is not well-formed until rendered.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from jinja2 import Environment, TemplateSyntaxError, nodes

# A quoted string may hold the closing brackets; one level of a dict literal may, too.
_STRING = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_TOKEN = re.compile(
    r"\{#.*?#\}"
    rf"|\{{\{{(?:{_STRING}|\{{(?:{_STRING}|[^'\"{{}}])*\}}|[^'\"{{}}]|\}}(?!\}}))*\}}\}}"
    rf"|\{{%(?:{_STRING}|[^'\"%]|%(?!\}}))*%\}}",
    re.DOTALL,
)
# Private-use characters stand for a Jinja token while the markup around it is read.
_OPEN, _CLOSE = "\ue000", "\ue001"
_HELD = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_LOST = re.compile(r"\{[{%]")
_COMMENT = r"<!--.*?-->"
_STYLE = r"<style\b(?P<style_attributes>[^>]*)>(?P<css>.*?)</style\s*>"
_TAG = (
    rf"<(?P<name>[A-Za-z][A-Za-z0-9:-]*|{_OPEN}\d+{_CLOSE})(?P<attributes>(?:\"[^\"]*\"|'[^']*'|[^'\">])*)>"
)
_MARKUP = re.compile(rf"{_COMMENT}|{_STYLE}|{_TAG}", re.DOTALL | re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rf"(?P<held>{_OPEN}\d+{_CLOSE})"
    rf"|(?P<name>[^\s=>\"'/{_OPEN}{_CLOSE}]+)(?:\s*=\s*(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?"
)

COLOR_FILTERS = frozenset({"css_color", "on_color"})
LINK_ATTRIBUTES = frozenset({"href", "src", "action", "background", "poster", "formaction"})
_STYLING = frozenset({"class", "id", "style", "width", "height", "align", "valign", "bgcolor"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute; ``value`` still holds placeholders, ``start`` and ``end`` span its text in the page."""

    name: str
    value: str
    is_quoted: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A start tag. ``guarded`` are the styling attributes that a Jinja block may leave out."""

    name: str
    start: int
    end: int
    attributes: tuple[Attribute, ...]
    guarded: tuple[str, ...] = ()
    has_free_token: bool = False
    """A Jinja expression stands where an attribute's name belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A style element; the span is the whole element, ``attributes`` and ``css`` its text."""

    start: int
    end: int
    attributes: str
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that keeps a template from being inlined at load or, as a refusal, from being loaded."""

    text: str
    line: int
    is_refusal: bool


class Page:
    """A template's text with its Jinja tokens put aside."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.held = _TOKEN.sub(self._hold, text)

    def _hold(self, match: re.Match[str]) -> str:
        self.tokens.append(match[0])
        return f"{_OPEN}{len(self.tokens) - 1}{_CLOSE}"

    def restore(self, held: str) -> str:
        """Put the Jinja tokens back."""
        return _HELD.sub(lambda match: self.tokens[int(match[1])], held)

    def line(self, at: int) -> int:
        """Return the line on which the place ``at`` of the held text stands in the file."""
        return self.restore(self.held[:at]).count("\n") + 1

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """All start tags, in order; comments and style elements hold none."""
        return tuple(_tag(match, self) for match in _MARKUP.finditer(self.held) if match["name"])

    @cached_property
    def styles(self) -> tuple[Style, ...]:
        """All style elements, in order."""
        return tuple(
            Style(
                start=match.start(), end=match.end(), attributes=match["style_attributes"], css=match["css"]
            )
            for match in _MARKUP.finditer(self.held)
            if match["css"] is not None
        )


def has_token(held: str) -> bool:
    """Say whether a Jinja token stands in this piece of a page."""
    return _OPEN in held


def named(held: str, mark: str) -> str:
    """Replace placeholders by words that survive an HTML and a CSS parser: ``JJ7JJ``."""
    return _HELD.sub(lambda match: f"{mark}{match[1]}{mark}", held)


def unnamed(text: str, mark: str) -> str:
    """Undo :func:`named`."""
    return re.sub(f"{mark}(\\d+){mark}", rf"{_OPEN}\1{_CLOSE}", text)


def problems(page: Page, environment: Environment) -> Iterator[Problem]:
    """Return what is dangerous, or keeps the page from being inlined once for all messages."""
    if lost := _LOST.search(page.held):
        text = "this expression is too intricate to tell it from markup: {% set %} its parts before"
        yield Problem(text=text, line=page.line(lost.start()), is_refusal=True)
    for style in page.styles:
        if has_token(style.css + style.attributes):
            yield Problem(
                text="Jinja inside <style>: data must not become CSS",
                line=page.line(style.start),
                is_refusal=True,
            )
        elif style.attributes.strip() not in ("", 'type="text/css"'):
            yield Problem(text="<style> with attributes", line=page.line(style.start), is_refusal=False)
    for tag in page.tags:
        for text, is_refusal in _tag_problems(tag, page, environment):
            yield Problem(text=text, line=page.line(tag.start), is_refusal=is_refusal)


def _tag_problems(tag: Tag, page: Page, environment: Environment) -> Iterator[tuple[str, bool]]:
    if has_token(tag.name):
        yield "the name of a tag is dynamic", True
    if tag.name == "script":
        yield "<script>: mail readers drop it, and filters distrust it", True
    if tag.has_free_token:
        yield f'<{tag.name}> takes attributes from an expression: write name="{{{{ value }}}}"', True
    for name in tag.guarded:
        yield f"{name} of <{tag.name}> depends on a Jinja block: write two start tags", False
    for attribute in tag.attributes:
        if attribute.name.startswith("on"):
            yield f"{attribute.name}: mail readers drop event handlers", True
        if has_token(attribute.value):
            yield from _dynamic_problems(attribute, page, environment)


def _dynamic_problems(
    attribute: Attribute, page: Page, environment: Environment
) -> Iterator[tuple[str, bool]]:
    name, value = attribute.name, attribute.value
    if not attribute.is_quoted:
        yield f'{name} has Jinja without quotes: data could add attributes; write {name}="…"', True
    if name in LINK_ATTRIBUTES and _HELD.match(value) and not _ends_in(value, page, environment, {"url"}):
        yield f"{name} begins with data: end the expression in | url", True
    if name in ("class", "id"):
        yield f"{name} is dynamic: write one start tag per choice", False
    if name == "style" and not _ends_in(value, page, environment, COLOR_FILTERS):
        yield "style is dynamic: only a colour may come from data, through | css_color or | on_color", False


def _ends_in(value: str, page: Page, environment: Environment, filters: set[str] | frozenset[str]) -> bool:
    """Say whether every token that counts in the value is an expression whose last step is such a filter."""
    found = list(_HELD.finditer(value))
    counted = found if filters == COLOR_FILTERS else found[:1]
    return all(_last_filter(page.tokens[int(match[1])], environment) in filters for match in counted)


def _last_filter(token: str, environment: Environment) -> str | None:
    try:
        output = environment.parse(token).body[0]
    except (TemplateSyntaxError, IndexError):
        return None
    last = output.nodes[0] if isinstance(output, nodes.Output) and len(output.nodes) == 1 else None
    return last.name if isinstance(last, nodes.Filter) else None


def _tag(match: re.Match[str], page: Page) -> Tag:
    offset = match.start("attributes")
    attributes, guarded, is_free, is_behind_token = [], [], False, False
    for found in _ATTRIBUTE.finditer(match["attributes"]):
        if found["held"]:
            is_free |= page.tokens[int(found["held"][1:-1])].startswith("{{")
            is_behind_token = True
            continue
        attribute = _attribute(found, offset)
        attributes.append(attribute)
        if is_behind_token and attribute.name in _STYLING:
            guarded.append(attribute.name)
    return Tag(
        name=match["name"].lower(),
        start=match.start(),
        end=match.end(),
        attributes=tuple(attributes),
        guarded=tuple(guarded),
        has_free_token=is_free,
    )


def _attribute(found: re.Match[str], offset: int) -> Attribute:
    value = found["value"] or ""
    is_quoted = value[:1] in ("'", '"')
    return Attribute(
        name=found["name"].lower(),
        value=value[1:-1] if is_quoted else value,
        is_quoted=is_quoted or not value,
        start=offset + found.start(),
        end=offset + found.end(),
    )


def rewritten(page: Page, tags: Mapping[int, str], styles: Mapping[int, str]) -> str:
    """Return the template's text with tags and style elements replaced, each by its place in ``page``."""
    pieces, at = [], 0
    spans = [(tag.start, tag.end, tags.get(index)) for index, tag in enumerate(page.tags)]
    spans += [(style.start, style.end, styles.get(index)) for index, style in enumerate(page.styles)]
    for start, end, text in sorted(spans):
        if text is not None:
            pieces += [page.held[at:start], text]
            at = end
    return page.restore("".join((*pieces, page.held[at:])))
