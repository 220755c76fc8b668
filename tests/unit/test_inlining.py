"""CSS inlined once at load gives the document that premailer gives per message, or the template says so."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import copytree

import pytest

from notifier.catalog.types import Catalog
from notifier.events import Json
from notifier.messages import ChannelName
from notifier.rendering.accessibility import faults, visible_text
from notifier.rendering.check import Severity, check
from notifier.rendering.inlining import differences, entangled, inline_message
from notifier.rendering.markup import Page
from notifier.rendering.templates import Templates
from tests.services import shipped_templates

ROOT = Path(__file__).parents[2]
EMAIL = ChannelName.EMAIL
BODY = """{% extends "_layouts/base.html.j2" %}
{% import "_layouts/macros.html.j2" as ui with context %}
{% block preheader %}Soon{% endblock %}
{% block heading %}A note{% endblock %}
{% block content %}
<p class="lead">Hello {{ recipient.name }}, your order is on its way to you and arrives soon.</p>
MARKUP
{{ ui.button("Open it", data.url) }}
{% endblock %}
"""
TEXT = """Hello {{ recipient.name }}, your order is on its way to you and arrives soon.
A note: open it at {{ data.url | url }}. Questions? We are here to help. Why you got this message.
"""

Load = Callable[..., Templates]


def context(**data: Json) -> dict[str, Json]:
    """Return a message's context."""
    return {
        "event": {"id": "e-1", "type": "shop.note", "subject": "N-1", "time": "2026-11-03T23:30:00Z"},
        "data": {"url": "https://shop.example/1", "rows": [1, 2, 3], "kind": "warn", **data},
        "recipient": {"name": "Ada", "locale": "en", "zone": "Europe/Berlin"},
        "brand": {"name": "Acme", "color": "#FFF", "support_phone": "+49 30 1"},
        "why": "you ordered from us",
    }


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a loader of ``shop/note`` whose body holds some markup."""

    def loaded(markup: str = "", files: Mapping[str, str] | None = None, **options: Json) -> Templates:
        copytree(ROOT / "templates" / "_layouts", tmp_path / "_layouts", dirs_exist_ok=True)
        written = {
            "shop/note/subject.txt.j2": "A note",
            "shop/note/body.html.j2": BODY.replace("MARKUP", markup),
            "shop/note/body.txt.j2": TEXT,
            "shop/note/sms.txt.j2": "A note: {{ data.url | url }}",
            "shop/note/portal.md.j2": "A note",
            **(files or {}),
        }
        for name, text in written.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return Templates.load(tmp_path, **options)

    return loaded


def shipped_contexts(templates: Templates) -> Iterator[tuple[str, dict[str, Json]]]:
    """Return each shipped template that is named like an event type, on that type's sample."""
    names = set(templates.names())
    for entry in Catalog.load(ROOT / "config" / "events"):
        domain, _, event = entry.type.partition(".")
        name = f"{domain}/{event.replace('.', '_')}"
        if name in names:
            given = context()
            given |= {
                "data": dict(entry.sample),
                "live": {name: one.sample for name, one in entry.lookup.items()},
            }
            given["event"] = {**given["event"], "type": entry.type, "subject": entry.sample_subject}
            yield name, given


def test_every_shipped_mail_is_the_document_that_inlining_per_message_gives() -> None:
    """All templates, languages and samples: tags, attributes, declarations and texts are equal."""
    templates = shipped_templates()
    compared = 0

    for name, given in shipped_contexts(templates):
        for locale in templates.locales(name):
            assert templates.inlining_differences(name, locale, given) == [], (name, locale)
            compared += 1

    assert compared >= 2
    assert templates.notices == ()


VARIETY = """
{% for row in data.rows %}
{% if loop.first %}
<p class="muted" style="margin: 0; color: {{ "#FFFFFF" | css_color }}" title="&amp;{{ row }}">{{ row }}</p>
{% else %}<p class='mono right'>{{ row }}</p>{% endif %}
{% endfor %}
<table class="fields">{% for row in data.rows %}<tr><th class="fields-name">{{ row }}</th>
<td class="fields-value" align="center" {% if row == 2 %}title="two"{% endif %}>{{ {"a": "}}"}.a }}</td></tr>
{% endfor %}</table>
<!-- <p class="muted">{{ data.kind }}</p> --><img src="cid:x" alt="" class="logo"/><hr><br>
{{ ui.notice("kept <b>plain</b>", data.kind) }}
{% call ui.box("good") %}<a href="https://x.example/?q={{ data.kind | urlencode }}">in a box</a>{% endcall %}
{% set held %}<h2>{{ data.kind }}</h2>{% endset %}{{ held }}
"""
STYLES = """{% block styles %}<style>
.logo { float: right; width: 40px } p.mono { color: #abc !important } a:hover { color: red }
@media print { .muted { display: none } }
</style>{% endblock %}"""


def test_loops_macros_own_styles_and_odd_markup_inline_alike(load: Load) -> None:
    """Also where Jinja stands inside tags, strings hold brackets, and a template brings its own rules."""
    templates = load(VARIETY, {"shop/note/body.html.j2": BODY.replace("MARKUP", VARIETY) + STYLES})

    html = templates.render("shop/note", EMAIL, "en", context()).html or ""

    assert templates.notices == ()
    assert templates.inlining_differences("shop/note", "en", context()) == []
    assert "color:#abc" in html
    assert "a:hover {color:red !important}" in html
    assert 'align="right"' in html
    assert "&lt;b&gt;plain" in html


def test_the_comparison_sees_what_was_not_inlined(load: Load) -> None:
    """Taking one declaration, attribute, word or element away makes a difference."""
    templates = load(VARIETY)
    html = templates.render("shop/note", EMAIL, "en", context()).html or ""

    assert differences(html, html) == []
    assert differences(html, html.replace("margin:8px 0 24px", "")) != []
    assert differences(html, html.replace(' role="presentation"', "", 1)) != []
    assert differences(html, html.replace("Hello Ada", "Hello Bob")) != []
    assert differences(html, html.replace("<hr>", "")) != []
    assert differences(html, re.sub("@media", "@medla", html)) != []
    swapped = html.replace("max-width:600px; margin:0 auto", "margin:0 auto; max-width:600px")
    assert swapped != html
    assert differences(html, swapped) == []


def test_dark_mode_and_phone_rules_outlive_inlining(load: Load) -> None:
    """They stay in <style>, and stay important: otherwise the inline styles would win."""
    html = load().render("shop/note", EMAIL, "en", context()).html or ""

    assert "prefers-color-scheme" in html
    style = html[html.index("<style>") : html.index("</style>")]
    assert re.search(r"\.card \{ background-color: #1f2937 !important \}", style)
    assert re.search(r"max-width: 480px", style)
    assert 'class="card" style="' in html


@pytest.mark.parametrize(
    ("markup", "reason"),
    [
        ('<p class="notice-{{ data.kind }}">x</p>', "class is dynamic"),
        ('<p {% if data.kind %}class="muted"{% endif %}>x</p>', "class of <p> depends on a Jinja block"),
        ('<p style="width: {{ data.rows[0] }}px">x</p>', "style is dynamic"),
        ('<style media="all">.x { color: red }</style>', "with attributes"),
        ("<style>.card p { color: red }</style>", "'.card p'"),
        ("<style>p:first-child { color: red }</style>", "'p:first-child'"),
    ],
)
def test_what_cannot_be_inlined_at_load_is_inlined_per_message_and_announced(
    load: Load, markup: str, reason: str
) -> None:
    """Nothing is sent unstyled: slower, right, and said with file and line."""
    templates = load(markup)

    assert len(templates.notices) == 1
    assert templates.notices[0].template == "shop/note/body.html.j2"
    assert reason in templates.notices[0].reason
    assert "per message" in templates.notices[0].reason
    html = templates.render("shop/note", EMAIL, "en", context()).html or ""
    assert 'class="card" style="' in html
    if "dynamic" in reason or "depends" in reason:
        assert re.search(r'<p[^>]* style="', html)


def test_a_sample_that_comes_out_differently_moves_the_template_to_the_slow_way(
    load: Load, tmp_path: Path
) -> None:
    """What reading the template cannot tell, comparing on the sample does: here a comment made by a block."""
    sample = context(kind="")
    markup = '{% if data.kind %}<!--{% endif %}<p class="muted">x</p>{% if data.kind %}-->{% endif %}'
    unaware = load(markup)

    aware = Templates.load(tmp_path, samples={"shop/note": sample})

    assert unaware.notices == ()
    assert unaware.inlining_differences("shop/note", "en", sample) != []
    assert "another document" in aware.notices[0].reason
    html = aware.render("shop/note", EMAIL, "en", sample).html or ""
    assert '<p class="muted" style="margin:0 0 16px; color:#4b5563' in html
    assert [one for one in check(aware, {"shop/note": sample}) if one.severity is Severity.ERROR] == []


def test_selectors_that_look_around_are_told_from_those_that_do_not() -> None:
    """Names, classes, ids and states are alone; everything else needs the finished document."""
    alone = "p{} .a{} p.a.b{} #x{} a:hover{} :root{} h1,h2{} @media print{.a .b{color:red}}"
    around = (
        ".a .b",
        ".a > b",
        "p + p",
        "p ~ p",
        "*",
        "[href]",
        "p:nth-child(2)",
        "p:first-child",
        "p:not(.a)",
    )

    assert entangled(re.sub("{}", "{color:red}", alone)) == ()
    for selector in around:
        assert entangled(selector + "{color:red}") == (selector,)


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        VARIETY,
        "{% raw %}{{ <p class='a'> }}{% endraw %}",
        "{# <p> #}{{ \"%}\" ~ '}}' }}<p title=\"{{ '>' }}\">",
        "plain } text { with % signs < and > JJ1JJ",
        "",
    ],
)
def test_setting_jinja_aside_loses_nothing(text: str) -> None:
    """Out and in again is the same text."""
    page = Page(text)

    assert page.restore(page.held) == text
    assert not re.search(r"\{[{%#]", page.held)


def test_rendering_costs_a_hundredth_of_inlining_per_message(load: Load) -> None:
    """The reason for all this: measured against premailer on the same mail, in the same process."""
    templates = load()
    html = templates.render("shop/note", EMAIL, "en", context()).html or ""
    inline_message(html)

    def fastest(work: Callable[[], object], times: int) -> float:
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
        return min(taken)

    ours = fastest(lambda: templates.render("shop/note", EMAIL, "en", context()), 50)
    premailer = fastest(lambda: inline_message(html), 3)

    assert premailer / ours > 10


def test_the_shipped_templates_pass_their_own_check() -> None:
    """No error in any template on its sample, in any language."""
    templates = shipped_templates()
    samples = dict(shipped_contexts(templates))

    findings = check(templates, samples)

    assert samples
    assert [one for one in findings if one.severity is Severity.ERROR and "no sample" not in one.text] == []


def test_a_clean_template_has_no_findings(load: Load) -> None:
    """The layout itself is accessible, in the light and in the dark, with the palest of brand colours."""
    assert check(load(), {"shop/note": context()}) == []


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ('<img src="cid:x">', "no alt"),
        ("<table><tr><td>x</td></tr></table>", "no role"),
        ('<a href="https://x.example"></a>', "no text"),
        ("<a>x</a>", "leads nowhere"),
        ('<p style="color: #999999">pale</p>', "light: 'pale' is #999999 on #ffffff, contrast 2.8"),
        ('<p style="color: #1f2937">dark</p>', "dark: 'dark' is #1f2937 on #1f2937, contrast 1.0"),
        ("<!-- " + "x" * 110_000 + " -->", "Gmail cuts off"),
        ("<p>{{ data.gone }}</p>", "the variable 'data.gone' is missing"),
        ("<p>Nothing about this stands beside it anywhere, which filters certainly dislike</p>", "filters"),
    ],
)  # fmt: skip
def test_the_check_finds_what_readers_would_mind(load: Load, markup: str, text: str) -> None:
    """One fault in, that finding out, with its file and a mend."""
    findings = check(load(markup), {"shop/note": context()})

    assert [finding for finding in findings if text in finding.text], findings
    assert all(finding.file.startswith("shop/note/") and finding.mend for finding in findings)


@pytest.mark.parametrize(
    ("files", "file", "text"),
    [
        ({"shop/note/subject.de.txt.j2": "x"}, "shop/note", "lacks body.html, body.txt"),
        ({"shop/note/subect.txt.j2": "x"}, "shop/note/subect.txt.j2", "no part"),
        ({"shop/note/sms.txt.j2": "x" * 400}, "shop/note/sms.txt.j2", "3 segments"),
        ({"shop/note/subject.txt.j2": "x" * 100}, "shop/note/subject.txt.j2", "100 characters"),
        ({"shop/other/sms.txt.j2": "x"}, "shop/other", "no sample"),
        ({"shop/other/sms.txt.j2": "x"}, "shop/other", "cannot go out by email"),
    ],
)
def test_the_check_looks_at_every_file(load: Load, files: dict[str, str], file: str, text: str) -> None:
    """Missing, misnamed, too long, or never tried."""
    findings = check(load(files=files), {"shop/note": context()})

    assert [finding for finding in findings if finding.file == file and text in finding.text], findings


def test_a_page_without_language_or_title_is_found() -> None:
    """What the layout gives, a page of its own must bring."""
    texts = {fault.text for fault in faults("<html><body><p>Hi</p></body></html>")}

    assert {"<html> has no lang", "<html> has no dir", "the <title> is empty"} <= texts


def test_hidden_text_is_not_what_a_reader_sees() -> None:
    """The preheader and styles are not compared with the text part."""
    page = '<title>t</title><body><div style="display:none">no</div><p>yes <b>and</b> more</p></body>'

    assert visible_text(page) == "yes more and"
