"""Tell which mail programs ignore something a document uses, by the data of caniemail.com kept beside this file.

Never fetches anything: ``clients.json`` holds, for the programs most people read mail with, what each lacks.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cssutils
from lxml import etree

from notifier.documents import load
from notifier.errors import ConfigError

ACCEPTED_FILE: Final = "_layouts/clients.yaml"
"""Below the templates: what may be missing in a program, each with the reason why that does no harm."""

_DATA: Final = Path(__file__).with_suffix(".json")
_DECLARATION = re.compile(r"\s*([A-Za-z-]+)\s*:\s*([^;]*)")
_UNIT = re.compile(r"\d(ch|cm|em|ex|in|mm|pc|pt|px|rem|vh|vmax|vmin|vw|%)(?![A-Za-z])")
_FUNCTION = re.compile(r"([a-z-]+)\(")
_PSEUDO = re.compile(r"(::?)([a-z-]+)")
_MEDIA_FEATURE = re.compile(r"\(\s*(?:-webkit-(?:min-|max-)?)?([a-z-]+)")
_IMAGE = re.compile(r"\.(apng|avif|bmp|gif|ico|jpg|jpeg|png|svg|webp)(?:[?#]|$)", re.IGNORECASE)

_LISTS = dict.fromkeys(("ul", "ol", "dl"), "html-lists")
_HEADINGS = {f"h{level}": "html-h1-h6" for level in range(1, 7)}
_SEMANTIC = dict.fromkeys(
    ("article", "aside", "details", "figcaption", "figure", "footer", "header", "main", "mark", "nav",
     "section", "summary", "time"), "html-semantics",
)  # fmt: skip
_ELEMENTS: Final[Mapping[str, str]] = {**_LISTS, **_HEADINGS, **_SEMANTIC}
_SIDES = dict.fromkeys(("left", "right", "top", "bottom"), "css-left-right-top-bottom")
_FUNCTIONS: Final[Mapping[str, str]] = {
    "var": "css-variables", "calc": "css-unit-calc", "rgb": "css-rgb", "rgba": "css-rgba",
    "linear-gradient": "css-linear-gradient", "radial-gradient": "css-radial-gradient",
    "conic-gradient": "css-conic-gradient",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something a document uses, and the programs that ignore it."""

    feature: str
    """The feature's name at caniemail.com, such as ``css-border-radius``."""
    title: str
    clients: tuple[str, ...]


def gaps(document: str) -> list[Gap]:
    """Return what the document uses and some program lacks, sorted by feature."""
    known = _features()
    found = sorted({one for one in _used(document) if one in known})
    return [
        Gap(feature=one, title=known[one]["title"], clients=tuple(known[one]["none"]))
        for one in found
        if known[one]["none"]
    ]


def read_accepted(templates: Path) -> dict[str, str]:
    """Return the features that may be missing, each with its reason.

    Raises:
        ConfigError: the file is not a mapping from a known feature to a reason.
    """
    file = templates / ACCEPTED_FILE
    if not file.exists():
        return {}
    document = load(file)
    if not isinstance(document.value, dict):
        raise document.error(
            "must be a mapping from feature to reason", mend="write `css-opacity: why` lines"
        )
    for feature, reason in document.value.items():
        if feature not in _features():
            raise document.error("is no feature of caniemail.com", (feature,), "write its slug there")
        if not isinstance(reason, str) or not reason.strip():
            raise document.error("needs a reason", (feature,), "say why it does no harm where it is missing")
    return {str(feature): str(reason) for feature, reason in document.value.items()}


@lru_cache(maxsize=1)
def _features() -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(_DATA.read_text("utf-8"))["features"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError("the data on mail programs cannot be read", file=_DATA) from error
    return found


def _used(document: str) -> Iterator[str]:
    if re.match(r"\s*<!doctype", document, re.IGNORECASE):
        yield "html-doctype"
    root = etree.fromstring(document.strip(), etree.HTMLParser())
    for element in root.iter():
        if not isinstance(element.tag, str):
            yield "html-comments"
            continue
        yield _ELEMENTS.get(element.tag, f"html-{element.tag}")
        yield from _by_attributes(element)
        if element.tag == "style":
            yield from _by_stylesheet(element.text or "")


def _by_attributes(element: Any) -> Iterator[str]:
    for name, value in element.attrib.items():
        if name == "style":
            yield from _by_declarations(value)
        else:
            yield f"html-{name}"
        if name == "href":
            yield from (("html-mailto-links",) if value.startswith("mailto:") else ())
            yield from (("html-anchor-links",) if value.startswith("#") else ())
        if name == "src" and (image := _IMAGE.search(value)):
            yield "image-" + image[1].lower().replace("jpeg", "jpg")
        if name == "src" and value.startswith("data:"):
            yield "image-base64"
    if element.tag == "meta" and element.get("name") == "color-scheme":
        yield "html-meta-color-scheme"
    if element.tag in {"input", "button"}:
        yield f"html-{element.tag}-{element.get('type', 'text')}"


@lru_cache(maxsize=256)
def _by_stylesheet(css: str) -> tuple[str, ...]:
    return tuple(_by_rules(cssutils.parseString(css, validate=False)))


def _by_rules(rules: Any) -> Iterator[str]:
    for rule in rules:
        if rule.type == rule.MEDIA_RULE:
            yield "css-at-media"
            yield from (f"css-at-media-{one}" for one in _MEDIA_FEATURE.findall(rule.media.mediaText))
            yield from _by_rules(rule)
        elif rule.type == rule.FONT_FACE_RULE:
            yield "css-at-font-face"
        elif rule.type == rule.IMPORT_RULE:
            yield "css-at-import"
        elif rule.type == rule.STYLE_RULE:
            kinds = {":": "css-pseudo-class", "::": "css-pseudo-element"}
            yield from (f"{kinds[colons]}-{name}" for colons, name in _PSEUDO.findall(rule.selectorText))
            yield from _by_declarations(rule.style.cssText)


@lru_cache(maxsize=4096)
def _by_declarations(css: str) -> tuple[str, ...]:
    found: list[str] = []
    for name, value in _DECLARATION.findall(css.lower()):
        found += [f"css-{name}", _SIDES.get(name, f"css-{name.partition('-')[0]}")]
        found += [f"css-unit-{'percent' if unit == '%' else unit}" for unit in _UNIT.findall(value)]
        found += [_FUNCTIONS.get(one, f"css-function-{one}") for one in _FUNCTION.findall(value)]
        found += ["css-important"] if "!important" in value else []
        found += [f"css-display-{value.split()[0]}"] if name == "display" and value.strip() else []
    return tuple(found)
