"""Send a mail's links through addresses that tell when they are followed, and add a picture that tells of opening.

Works on rendered HTML with the standard library's tolerant parser: what is not the address of a link comes out byte
for byte as it went in. Decides nothing about consent, and never sees the text part.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from itertools import accumulate

_ATTRIBUTE = re.compile(r"""\s+([^\s=>"'/]+)(?:(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+))?""")
_END = re.compile(r"</body\s*>", re.IGNORECASE)
_MOST = 200
"""Links of one mail; those behind them lead straight where they lead."""
_NO_LINK = 'style="display:none;mso-hide:all" aria-hidden="true" tabindex="-1"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """The HTML with its new addresses, and where each leads."""

    html: str
    targets: tuple[str, ...] = ()


class _Links(HTMLParser):
    """Collects the start tags of links: where they stand, as they are written, and their address."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        # The parser counts line feeds, and nothing else, as ends of lines.
        self._starts = [0, *accumulate(len(line) + 1 for line in html.split("\n"))]
        self.found: list[tuple[int, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a link; of two addresses the first counts, as in browsers."""
        href = dict(reversed(attrs)).get("href")
        if tag == "a" and href:
            line, column = self.getpos()
            self.found.append((self._starts[line - 1] + column, self.get_starttag_text() or "", href))


def rewrite_links(html: str, address: Callable[[int], str], keep: Callable[[str], bool]) -> Rewritten:
    """Return the HTML whose links go through ``address(n)``.

    Args:
        html: As rendered.
        address: The address of the link with this number.
        keep: Whether a link must stay as it is: a secret, or one of ours.
    """
    pieces: list[str] = []
    targets: list[str] = []
    done = 0
    for at, tag, href in _Links(html).found:
        if len(targets) == _MOST or not _is_web(href) or keep(href) or html[at : at + len(tag)] != tag:
            continue
        number = targets.index(href) if href in targets else len(targets)
        changed = _with_href(tag, address(number))
        if changed is None:
            continue
        if number == len(targets):
            targets.append(href)
        pieces += [html[done:at], changed]
        done = at + len(tag)
    return Rewritten(html="".join([*pieces, html[done:]]), targets=tuple(targets))


def add_marks(html: str, *, picture: str | None, trap: str | None) -> str:
    """Return the HTML with a picture of one pixel, and with a link no person can see, at its end."""
    marks = ""
    if trap is not None:
        marks += f'<a href="{escape(trap)}" {_NO_LINK}></a>'
    if picture is not None:
        marks += (
            f'<img src="{escape(picture)}" width="1" height="1" alt="" style="border:0;width:1px;height:1px">'
        )
    ends: Sequence[re.Match[str]] = list(_END.finditer(html))
    at = ends[-1].start() if ends else len(html)
    return html[:at] + marks + html[at:]


def _is_web(href: str) -> bool:
    """Tell whether a link is one a browser opens from the web, with nothing in it that a header could not hold."""
    is_one = href.lower().startswith(("http://", "https://")) and href.isprintable() and " " not in href
    return is_one and len(href) <= 2000  # noqa: PLR2004 - what servers and mail programs take


def _with_href(tag: str, address: str) -> str | None:
    """Return the start tag with another address; attributes are read one after the other, as a browser does."""
    for match in _ATTRIBUTE.finditer(tag, 2):
        if match[1].lower() == "href" and match[3] is not None:
            return f'{tag[: match.start(3)]}"{escape(address)}"{tag[match.end(3) :]}'
    return None
