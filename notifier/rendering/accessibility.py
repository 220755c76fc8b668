"""Judge a rendered mail as its readers will meet it: read aloud, in the dark, cut off by the mailbox.

Never changes the document; the rules are those of WCAG 2.2 that hold for mail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cssutils
from lxml import etree
from lxml.cssselect import CSSSelector

from notifier.rendering.colors import CONTRAST, contrast, css_color
from notifier.rendering.formats import FormatError

CLIP: Final = 102 * 1024
"""Bytes after which Gmail cuts a mail off and hides the rest behind a link."""

_HIDDEN = re.compile(r"display:\s*none", re.IGNORECASE)
_INVISIBLE_TAGS = frozenset({"head", "style", "script", "title"})
_DARK = re.compile(r"prefers-color-scheme\s*:\s*dark")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a document, and how to mend it."""

    text: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Colors:
    ink: str
    ground: str


def faults(document: str) -> list[Fault]:
    """Return all that is wrong, each kind of fault once per place."""
    root = etree.fromstring(document.strip(), etree.HTMLParser())
    found = [*_size(document), *_root(root), *_images(root), *_tables(root), *_links(root), *_contrast(root)]
    return list(dict.fromkeys(found))


def visible_text(document: str) -> str:
    """Return the text a reader sees, on one line."""
    root = etree.fromstring(document.strip(), etree.HTMLParser())
    return _SPACE.sub(" ", " ".join(text for _, text in _texts(root))).strip()


def _size(document: str) -> Iterator[Fault]:
    size = len(document.encode())
    if size > CLIP:
        yield Fault(
            text=f"{size:,} bytes: Gmail cuts off after {CLIP:,}", mend="say less, and link to the rest"
        )


def _root(root: Any) -> Iterator[Fault]:
    for name in ("lang", "dir"):
        if not root.get(name):
            yield Fault(text=f"<html> has no {name}", mend="extend _layouts/base.html.j2")
    if not (root.findtext("head/title") or "").strip():
        yield Fault(text="the <title> is empty", mend="fill the block heading")
    schemes = [meta.get("content") for meta in root.iter("meta") if meta.get("name") == "color-scheme"]
    if schemes != ["light dark"]:
        yield Fault(
            text='no <meta name="color-scheme" content="light dark">', mend="extend _layouts/base.html.j2"
        )


def _images(root: Any) -> Iterator[Fault]:
    for image in root.iter("img"):
        if image.get("alt") is None:
            yield Fault(text="an <img> has no alt", mend='say what it shows, or alt="" where it only adorns')


def _tables(root: Any) -> Iterator[Fault]:
    for table in root.iter("table"):
        is_data = any(True for _ in table.iter("th"))
        if not is_data and table.get("role") not in ("presentation", "none"):
            yield Fault(
                text="a layout <table> has no role", mend='add role="presentation", or <th> to a data table'
            )


def _links(root: Any) -> Iterator[Fault]:
    for link in root.iter("a"):
        inside = "".join(link.itertext()).strip()
        spoken = inside or any(image.get("alt") for image in link.iter("img"))
        if not spoken:
            yield Fault(text="a link has no text", mend="write where it leads")
        if not link.get("href"):
            yield Fault(text=f"the link {inside!r} leads nowhere", mend="give it an href")


def _contrast(root: Any) -> Iterator[Fault]:
    for mode, rules in (("light", {}), ("dark", _dark_rules(root))):
        for colors, text in _colored(root, rules, _Colors(ink="#000000", ground="#ffffff")):
            ratio = contrast(colors.ink, colors.ground)
            if ratio < CONTRAST:
                yield Fault(
                    text=f"{mode}: {text[:40]!r} is {colors.ink} on {colors.ground}, contrast {ratio:.1f}",
                    mend=f"choose colours with a contrast of {CONTRAST} or more",
                )


def _dark_rules(root: Any) -> dict[Any, dict[str, str]]:
    """Return what the dark-mode rules say of each element, by element."""
    found: dict[Any, dict[str, str]] = {}
    for style in root.iter("style"):
        for rule in cssutils.parseString(style.text or "", validate=False):
            if rule.type == rule.MEDIA_RULE and _DARK.search(rule.media.mediaText):
                for inner in rule.cssRules:
                    _collect(root, inner, found)
    return found


def _collect(root: Any, rule: Any, found: dict[Any, dict[str, str]]) -> None:
    declarations = {one.name: one.value for one in rule.style.getProperties()}
    for element in CSSSelector(rule.selectorText)(root):
        found.setdefault(element, {}).update(declarations)


def _colored(root: Any, rules: dict[Any, dict[str, str]], outer: _Colors) -> Iterator[tuple[_Colors, str]]:
    """Return each visible text with its colour and the ground behind it."""
    inside = dict.fromkeys([root], outer)
    for element in root.iter():
        if element is not root and element.getparent() in inside:
            inside[element] = _painted(element, rules.get(element, {}), inside[element.getparent()])
        elif element is root:
            inside[root] = _painted(root, rules.get(root, {}), outer)
    for element, text in _texts(root):
        yield inside[element], text


def _painted(element: Any, rule: dict[str, str], outer: _Colors) -> _Colors:
    if not isinstance(element.tag, str):
        return outer
    style = {"background-color": element.get("bgcolor") or "", **_declarations(element), **rule}
    return _Colors(
        ink=_color(style.get("color")) or outer.ink,
        ground=_color(style.get("background-color")) or outer.ground,
    )


def _declarations(element: Any) -> dict[str, str]:
    pairs = (one.partition(":") for one in element.get("style", "").split(";") if one.strip())
    return {name.strip().lower(): value.replace("!important", "").strip() for name, _, value in pairs}


def _color(value: str | None) -> str | None:
    try:
        return css_color(value) if value else None
    except FormatError:
        return None


def _texts(root: Any) -> Iterator[tuple[Any, str]]:
    for element in root.iter(etree.Element):
        if any(_is_hidden(one) for one in (element, *element.iterancestors())):
            continue
        pieces = [element.text, *(child.tail for child in element)]
        text = " ".join(piece.strip() for piece in pieces if piece and piece.strip())
        if text:
            yield element, text


def _is_hidden(element: Any) -> bool:
    return element.tag in _INVISIBLE_TAGS or bool(_HIDDEN.search(element.get("style", "")))
