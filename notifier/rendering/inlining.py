"""Write stylesheets into style attributes: once for a template, or once per message where that must be.

premailer does both, with the same options; ``differences`` proves that both give the same document.
Never loads anything from the network or the disk.
"""

import html
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

# premailer's cache is one LFU of 128 entries for stylesheets and selectors together: templates evict each
# other for ever and inlining takes ten times as long. It reads the size when it is first imported.
os.environ.setdefault("PREMAILER_CACHE_MAXSIZE", "5000")

import cssutils
from lxml import etree
from premailer import Premailer

from notifier.rendering.markup import Page, Tag, named, rewritten, unnamed

_OPTIONS: Final[Mapping[str, Any]] = {
    "strip_important": False,  # premailer strips it inside @media too, and dark mode loses to inline styles
    "allow_network": False,
    "disable_validation": True,
    "cssutils_logging_level": logging.CRITICAL + 1,
}
# What decides alone by the element's own name, class and id, and so holds wherever a macro is used.
_SELF_CONTAINED = re.compile(r"(?:[A-Za-z][\w-]*)?(?:[.#][A-Za-z_][\w-]*)*(?P<pseudo>(?:::?[\w-]+)*)")
_STRUCTURAL = re.compile(r":(?:first|last|only|nth|empty|has|not|is|where)\b")
# cssutils writes #ffffff as #fff, but cannot where the colour is still a placeholder.
_SHORT_COLOR = re.compile(r"#([0-9a-f])([0-9a-f])([0-9a-f])\b", re.IGNORECASE)
_NUMBER = "data-notifier-tag"


# Tag and attribute names that lxml can hold; Office's v:rect and xmlns carry no style of ours.
_PLAIN_NAME = re.compile(r"[a-z_][\w.-]*")

cssutils.log.setLevel(logging.CRITICAL + 1)  # it reports every property it does not know, such as mso-hide


@lru_cache(maxsize=64)
def entangled(css: str) -> tuple[str, ...]:
    """Return the selectors that depend on where an element stands: they cannot be inlined at load."""
    sheet = cssutils.parseString(css, validate=False)
    selectors = [
        selector.strip()
        for rule in sheet
        if rule.type == rule.STYLE_RULE
        for selector in rule.selectorText.split(",")
    ]
    return tuple(selector for selector in selectors if not _is_self_contained(selector))


def inline_pages(styles: Sequence[tuple[str, int]], pages: Mapping[str, Page]) -> dict[str, str]:
    """Inline the style elements, given as (path, index) in the order they apply, into every page.

    One premailer run over the bare start tags does for all: the selectors look at nothing else.
    """
    mark = _mark(pages)
    root, elements = _skeleton(styles, pages, mark)
    Premailer(**_OPTIONS).transform(root)
    tags: dict[str, dict[int, str]] = {path: {} for path in pages}
    for path, index, element in elements:
        page = pages[path]
        tags[path][index] = _restyled(page, page.tags[index], element, mark)
    leftovers: dict[str, dict[int, str]] = {path: {} for path in pages}
    kept = {element.get(_NUMBER): element.text or "" for element in root.iter("style")}
    for number, (path, index) in enumerate(styles):
        leftovers[path][index] = _leftover(pages[path], index, kept.get(str(number), ""))
    return {path: rewritten(page, tags[path], leftovers[path]) for path, page in pages.items()}


def inline_message(document: str) -> str:
    """Inline one rendered document."""
    return str(Premailer(html=document, **_OPTIONS).transform(pretty_print=False))


def differences(one: str, other: str) -> list[str]:
    """Return where two documents differ as a reader's parser sees them; the order of declarations is free."""
    first, second = (etree.fromstring(text.strip(), etree.HTMLParser()) for text in (one, other))
    return list(_compare(first, second))


def _skeleton(
    styles: Sequence[tuple[str, int]], pages: Mapping[str, Page], mark: str
) -> tuple[Any, list[tuple[str, int, Any]]]:
    """Build a document of the style elements and every start tag, all side by side."""
    root = etree.Element("html")
    head, body = etree.SubElement(root, "head"), etree.SubElement(root, "body")
    for number, (path, index) in enumerate(styles):
        element = etree.SubElement(head, "style", {_NUMBER: str(number)})
        element.text = pages[path].styles[index].css
    elements = []
    for path, page in pages.items():
        for index, tag in enumerate(page.tags):
            if _PLAIN_NAME.fullmatch(tag.name):
                element = etree.SubElement(body, tag.name, _attributes_of(tag, mark))
                elements.append((path, index, element))
    return root, elements


def _attributes_of(tag: Tag, mark: str) -> dict[str, str]:
    return {
        one.name: html.unescape(named(one.value, mark))
        for one in tag.attributes
        if _PLAIN_NAME.fullmatch(one.name)
    }


def _mark(pages: Mapping[str, Page]) -> str:
    mark = "JJ"
    while any(mark in page.held for page in pages.values()):
        mark += "J"
    return mark


def _restyled(page: Page, tag: Tag, element: Any, mark: str) -> str:
    """Write the tag again with the attributes premailer changed; all others keep their text."""
    before, after = _attributes_of(tag, mark), dict(element.items())
    text, at = [], tag.start
    for one in tag.attributes:
        if one.name in before and after[one.name] != before[one.name]:
            text += [page.held[at : one.start], _written(one.name, after[one.name], mark)]
            at = one.end
    added = [f" {_written(name, value, mark)}" for name, value in after.items() if name not in before]
    end = tag.end - (2 if page.held[tag.end - 2] == "/" else 1)
    rest = page.held[at:end]
    return "".join((*text, rest.rstrip() if added else rest, *added, page.held[end : tag.end]))


def _written(name: str, value: str, mark: str) -> str:
    return f'{name}="{unnamed(html.escape(value), mark)}"'


def _leftover(page: Page, index: int, css: str) -> str:
    """Write what cannot be inlined on one line, then the line breaks the element had: lines stay true."""
    style = page.styles[index]
    breaks = "\n" * page.held[style.start : style.end].count("\n")
    line = " ".join(css.split())
    return f"<style{style.attributes}>{line}{breaks}</style>" if line else breaks


def _is_self_contained(selector: str) -> bool:
    match = _SELF_CONTAINED.fullmatch(selector)
    return match is not None and not _STRUCTURAL.search(match["pseudo"])


def _compare(one: Any, other: Any) -> Iterator[str]:
    where = f"line {one.sourceline}, <{one.tag}>"
    if one.tag != other.tag:
        yield f"{where}: <{other.tag}> expected"
        return
    mine, theirs = _attributes(one), _attributes(other)
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            yield f"{where}: {name} is {_shown(mine.get(name))}, expected {_shown(theirs.get(name))}"
    if (_text(one.text), _text(one.tail)) != (_text(other.text), _text(other.tail)):
        yield f"{where}: the text differs"
    if len(one) != len(other):
        yield f"{where}: {len(one)} elements inside, expected {len(other)}"
        return
    for mine_inside, theirs_inside in zip(one, other, strict=True):
        yield from _compare(mine_inside, theirs_inside)


def _attributes(element: Any) -> dict[str, Any]:
    attributes = dict(element.attrib)
    if "style" in attributes:
        declarations = (one.partition(":") for one in attributes["style"].split(";") if one.strip())
        attributes["style"] = {
            name.strip(): _SHORT_COLOR.sub(r"#\1\1\2\2\3\3", value.strip()) for name, _, value in declarations
        }
    return attributes


def _shown(value: Any) -> str:
    return "absent" if value is None else repr(value)


def _text(text: str | None) -> str:
    # White space between tags is where Jinja's blocks stood; readers collapse it.
    return " ".join((text or "").split())
