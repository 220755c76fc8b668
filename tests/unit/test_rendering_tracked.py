"""Links through addresses of ours: only where they lead changes, and only on the web; pure."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rendering.tracked import add_marks, rewrite_links


def through(number: int) -> str:
    """Return the address of a link."""
    return f"https://n.example/c/T.{number}"


def rewritten(html: str) -> tuple[str, tuple[str, ...]]:
    """Rewrite, and keep what has a secret."""
    found = rewrite_links(html, through, lambda href: "s3cret" in href)
    return found.html, found.targets


@pytest.mark.parametrize(
    ("html", "expected", "targets"),
    [
        ('<a href="https://x.example/">', '<a href="https://n.example/c/T.0">', ("https://x.example/",)),
        (
            "<A\n class='b' HREF = 'https://x.example/?a=1&amp;b=2' >x</A>",
            "<A\n class='b' HREF = \"https://n.example/c/T.0\" >x</A>",
            ("https://x.example/?a=1&b=2",),
        ),
        ("<a href=https://x.example/ id=q>", '<a href="https://n.example/c/T.0" id=q>', ("https://x.example/",)),
        (
            '<a title="a href=\'https://no.example\' >" href="http://x.example">',
            '<a title="a href=\'https://no.example\' >" href="https://n.example/c/T.0">',
            ("http://x.example",),
        ),
        (
            '<a href="https://x.example/">1</a><a href="https://y.example/">2</a><a href="https://x.example/">3</a>',
            (
                '<a href="https://n.example/c/T.0">1</a><a href="https://n.example/c/T.1">2</a>'
                '<a href="https://n.example/c/T.0">3</a>'
            ),
            ("https://x.example/", "https://y.example/"),
        ),
        ("ü\r\n\r\n<p>😀 <a\r\nhref='https://ü.example/'>", 'ü\r\n\r\n<p>😀 <a\r\nhref="https://n.example/c/T.0">', ("https://ü.example/",)),
    ],
)  # fmt: skip
def test_a_link_leads_through_us(html: str, expected: str, targets: tuple[str, ...]) -> None:
    """However its tag is written; the same address is one link."""
    assert rewritten(html) == (expected, targets)


@pytest.mark.parametrize(
    "html",
    [
        '<a href="mailto:x@example.org">',
        '<a href="tel:+491">',
        '<a href="#top">',
        '<a href="/relative">',
        '<a href="javascript:alert(1)">',
        '<a href="https://x.example/reset?t=s3cret">',
        '<a href="https://x.example/\n&#10;Set-Cookie: a=b">',
        '<a href="https://x.example/a b">',
        f'<a href="https://x.example/{"x" * 2100}">',
        '<a name="x">',
        '<area href="https://x.example/">',
        '<link href="https://x.example/">',
        '<img src="https://x.example/">',
        '<!-- <a href="https://x.example/"> -->',
        '<!--[if mso]><a href="https://x.example/"><![endif]-->',
        '<style>a[href="https://x.example/"] {}</style>',
        "<p>https://x.example/ &lt;a href=&quot;https://x.example/&quot;&gt;</p>",
        '<a href="https://x.example/',
        "",
    ],
)
def test_what_is_no_link_to_the_web_stays_as_it_is(html: str) -> None:
    """Secrets, mail addresses, comments, broken tags: byte for byte."""
    assert rewritten(html) == (html, ())


class Page(HTMLParser):
    """What a tolerant reader makes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[object] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it, without addresses of the web."""
        is_web = [(name, value) for name, value in attrs if (value or "").startswith("http")]
        self.seen.append((tag, [(name, "" if (name, value) in is_web else value) for name, value in attrs]))

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.seen.append(data)


PIECES = st.lists(
    st.sampled_from(
        ["<a href='https://a.example'>", '<a x="y>" href="http://b.example/?q=&lt;">', "</a>", "<p", ">", "text", "\n",
         "<!--", "-->", "ü", '"', "<style>", "</style>", "<A HREF=https://c.example>", "&amp;", "<a>", "< a"]
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(PIECES)
def test_nothing_but_addresses_changes(pieces: list[str]) -> None:
    """Whatever the HTML, a reader sees the same page with other addresses."""
    html = "".join(pieces)

    done, targets = rewritten(html)

    assert Page(done).seen == Page(html).seen
    assert all(target.startswith("http") for target in targets)
    assert (done == html) == (targets == ())


def test_marks_stand_at_the_end_of_the_body() -> None:
    """Before the last end of a body, or at the very end; addresses are escaped."""
    whole = add_marks("<body>x</body></html>", picture="https://n.example/o/T.gif", trap=None)
    bare = add_marks("x", picture=None, trap='https://n.example/c/T.x"')

    assert whole.startswith('<body>x<img src="https://n.example/o/T.gif" width="1" height="1" alt=""')
    assert whole.endswith("></body></html>")
    assert bare.startswith('x<a href="https://n.example/c/T.x&quot;" style="display:none')
