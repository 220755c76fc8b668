"""Templates render whole, in one language, with data that stays data; or they say what is missing."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from notifier.errors import TemplateError
from notifier.events import Json
from notifier.messages import ChannelName
from notifier.rendering.bounds import SIZE_LIMIT
from notifier.rendering.context import clean
from notifier.rendering.environment import LOOPS
from notifier.rendering.templates import Templates

SHIPPED = Path(__file__).parents[2] / "templates"
EMAIL, SMS, PORTAL, CONSOLE = ChannelName.EMAIL, ChannelName.SMS, ChannelName.PORTAL, ChannelName.CONSOLE
BODY = """{% extends "_layouts/base.html.j2" %}
{% import "_layouts/macros.html.j2" as ui with context %}
{% block preheader %}{{ data.title }}{% endblock %}
{% block heading %}{{ data.title }}{% endblock %}
{% block content %}
<p>Hello {{ recipient.name }}</p>
{{ ui.notice(data.title, "warn") }}
{{ ui.fields([("Total", data.total | money("EUR")), ("Empty", "")]) }}
{{ ui.items(data.items, "EUR", [("Sum", data.total | money("EUR"))]) }}
{{ ui.steps([("Asked", "done", event.time | date), ("Now", "now", ""), ("Later", "todo", "")]) }}
{{ ui.code("123 456") }}
{{ ui.button("Open", data.url, show_url=true) }}
{% endblock %}
"""
TEXT = BODY.replace(".html.j2", ".txt.j2").replace("<p>", "").replace("</p>", "\n")
FILES = {
    "subject.txt.j2": "About {{ data.title }}\n",
    "body.html.j2": BODY,
    "body.txt.j2": TEXT,
    "sms.txt.j2": "{{ data.title }}: {{ data.total | money('EUR') }} {{ data.url | url }}\n",
    "portal.md.j2": "**{{ data.title }}** {{ event.time | datetime }}\n",
}
GERMAN = {name.replace(".", ".de.", 1): text.replace("Hello", "Guten Tag") for name, text in FILES.items()}
DATA = {
    "title": "Your order", "total": 84.9, "url": "https://shop.example/1?a=1&b=2",
    "items": [{"name": "Shoes", "quantity": 1, "price": 84.9}],
}  # fmt: skip

Load = Callable[..., Templates]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a loader of one template ``shop/note`` on the shipped layouts."""

    def loaded(files: Mapping[str, str] = FILES, **options: Json) -> Templates:
        copytree(SHIPPED / "_layouts", tmp_path / "_layouts", dirs_exist_ok=True)
        (tmp_path / "shop" / "note").mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tmp_path / "shop" / "note" / name).write_text(text, encoding="utf-8")
        return Templates.load(tmp_path, **options)

    return loaded


def context(**data: Json) -> dict[str, Json]:
    """Return a message's context with some of the data changed."""
    return {
        "event": {"id": "e-1", "type": "shop.note", "subject": "N-1", "time": "2026-11-03T23:30:00Z"},
        "data": {**DATA, **data},
        "recipient": {"name": "Ada", "locale": "en", "zone": "Europe/Berlin"},
        "brand": {"name": "Acme", "color": "#0F766E", "support_email": "help@acme.example"},
        "why": "you ordered from us",
    }


def test_an_email_has_all_its_parts_and_the_others_their_text(load: Load) -> None:
    """One call renders all of a channel's parts."""
    templates = load()

    email = templates.render("shop/note", EMAIL, "en", context())

    assert email.subject == "About Your order"
    assert email.html is not None
    assert "Hello Ada" in email.html
    assert "you ordered from us" in email.html
    assert "Hello Ada" in email.text
    assert "Shoes: €84.90" in email.text
    sms = templates.render("shop/note", SMS, "en", context())
    assert (sms.text, sms.subject, sms.html) == (
        "Your order: €84.90 https://shop.example/1?a=1&b=2\n", "", None,
    )  # fmt: skip
    portal = templates.render("shop/note", PORTAL, "en", context())
    assert portal.text == "**Your order** 4 November 2026, 00:30 CET\n"
    assert templates.render("shop/note", CONSOLE, "en", context()).subject == "About Your order"


def test_a_german_reader_gets_german_words_and_german_numbers(load: Load) -> None:
    """de-AT falls back to de; the language of the files is the language of the page (S2)."""
    templates = load(FILES | GERMAN)

    email = templates.render("shop/note", EMAIL, "de_at", context())

    assert 'lang="de-AT"' in (email.html or "")
    assert "Guten Tag Ada" in (email.html or "")
    assert "Warum Sie diese Nachricht erhalten" in email.text
    assert "84,90\u00a0€" in email.text
    # The no-break space is not in the GSM alphabet.
    assert "84,90 €" in templates.render("shop/note", SMS, "de", context()).text


def test_a_reader_whose_language_is_missing_gets_english_that_says_so(load: Load) -> None:
    """French files do not exist: the page is English and its lang says English, not French."""
    email = load().render("shop/note", EMAIL, "fr-CA", context())

    assert 'lang="en" dir="ltr"' in (email.html or "")
    assert "€84.90" in email.text


def test_a_message_never_mixes_languages(load: Load) -> None:
    """With one German file missing, the whole mail is English."""
    files = {**FILES, **GERMAN}
    del files["body.de.txt.j2"]

    email = load(files).render("shop/note", EMAIL, "de", context())

    assert "Hello Ada" in (email.html or "")
    assert "Guten Tag" not in (email.html or "") + email.text


def test_a_right_to_left_language_turns_the_page(load: Load) -> None:
    """Arabic files make dir=rtl."""
    arabic = {name.replace(".", ".ar.", 1): text for name, text in FILES.items()}

    email = load(FILES | arabic).render("shop/note", EMAIL, "ar-EG", context(title="مرحبا"))

    assert 'lang="ar-EG" dir="rtl"' in (email.html or "")
    assert "مرحبا" in email.subject


@pytest.mark.parametrize("channel", [EMAIL, SMS, PORTAL, CONSOLE])
def test_a_missing_variable_fails_the_message_with_its_name(load: Load, channel: ChannelName) -> None:
    """Strict: file, line and dotted name, and nothing half-rendered; plain Jinja would send the gap."""
    broken = context()
    del broken["data"]["title"]
    templates = load()

    with pytest.raises(TemplateError) as caught:
        templates.render("shop/note", channel, "en", broken)

    assert caught.value.variable == "data.title"
    assert caught.value.line is not None
    assert caught.value.template.startswith("shop/note/")
    assert Environment(autoescape=False).from_string(FILES["subject.txt.j2"]).render(broken) == "About "  # noqa: S701


def test_the_line_of_a_missing_variable_is_that_of_the_file(load: Load) -> None:
    """Inlining moves no line, not even behind a call that goes on for lines."""
    files = {**FILES, "body.html.j2": BODY.replace('("Empty", "")', '("Empty",\n  data.gone)')}

    with pytest.raises(TemplateError) as caught:
        load(files).render("shop/note", EMAIL, "en", context())

    assert (caught.value.variable, caught.value.line) == ("data.gone", 9)
    assert str(caught.value) == "shop/note/body.html.j2:9: the variable 'data.gone' is missing"


def test_a_missing_field_inside_a_loop_is_named_where_it_is_used(load: Load) -> None:
    """The macro's own line, and the name it has there."""
    with pytest.raises(TemplateError) as caught:
        load().render("shop/note", EMAIL, "en", context(items=[{"quantity": 1, "price": 1}]))

    assert (caught.value.template, caught.value.variable) == ("_layouts/macros.html.j2", "item.name")


def test_a_key_named_like_a_method_is_the_key(load: Load) -> None:
    """``data.items`` are the line items; plain Jinja reads dict.items and prints a Python object."""
    files = {
        **FILES,
        "sms.txt.j2": "{{ data.items }}|{% for key, value in data.url.items() %}{% endfor %}{{ data.keys }}",
    }
    sample = context(items="three", url={"a": 1}, keys="two")

    sms = load(files).render("shop/note", SMS, "en", sample)

    assert sms.text == "three|two\n"
    assert "built-in method" in Environment(autoescape=True).from_string("{{ data.items }}").render(sample)


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' onclick='x'"


def test_data_cannot_inject_markup(load: Load) -> None:
    """Every place a value can stand in escapes it; without escaping the script would be in the mail."""
    email = load().render("shop/note", EMAIL, "en", context(title=HOSTILE))

    html = email.html or ""
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("&lt;script&gt;") == 4  # title, preheader, heading, notice
    assert "<script>" in Environment(autoescape=False).from_string("{{ data.title }}").render(  # noqa: S701
        context(title=HOSTILE)
    )


def test_data_cannot_break_the_subject_line(load: Load) -> None:
    """A line break in a subject would be a header; here it is a space."""
    email = load().render(
        "shop/note", EMAIL, "en", context(title="Hi\r\nBcc: eve@example.com\u2028x\x00\x07\u202egpj")
    )

    assert email.subject == "About Hi Bcc: eve@example.com xgpj"
    assert "\n" in Environment(autoescape=True).from_string("{{ data.title }}").render(context(title="a\nb"))


def test_a_subject_whose_own_text_holds_controls_is_refused(load: Load) -> None:
    """Data is cleaned; a template that writes them itself is wrong."""
    with pytest.raises(TemplateError, match="control characters"):
        load({**FILES, "subject.txt.j2": "{{ 'a\x07b' }}"}).render("shop/note", EMAIL, "en", context())


def test_an_empty_subject_is_refused(load: Load) -> None:
    """A mail without a subject looks like spam, and is a mistake."""
    templates = load({**FILES, "subject.txt.j2": "{{ data.title }}"})

    with pytest.raises(TemplateError, match="subject is empty"):
        templates.render("shop/note", EMAIL, "en", context(title=" \x00\n"))


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "https://a b",
        "",
        None,
        "https://x/\nBcc:",
    ],
)
def test_a_link_from_data_leads_to_the_web_or_nowhere(load: Load, url: str | None) -> None:
    """What is no address a mail may link to fails the message, in HTML and text."""
    for channel in (EMAIL, SMS):
        with pytest.raises(TemplateError, match="http, https, mailto or tel"):
            load().render("shop/note", channel, "en", context(url=url))


def test_very_long_words_cannot_widen_the_page(load: Load) -> None:
    """The card breaks any word; nothing is cut."""
    word = "W" * 5000

    html = load().render("shop/note", EMAIL, "en", context(title=word)).html or ""

    assert word in html
    card = html[html.index('class="card"') :].partition(">")[0]
    assert "overflow-wrap:anywhere" in card


@given(st.text())
def test_no_text_carries_control_characters_into_a_message(text: str) -> None:
    """Whatever the data holds, what reaches a template is printable, tab or line feed, and encodes."""
    cleaned = clean({"a": [text]})["a"][0]

    cleaned.encode()
    assert not set(cleaned) & {
        *map(chr, range(9)),
        *map(chr, range(11, 32)),
        *map(chr, range(127, 160)),
        "\u202e",
    }
    assert text.isprintable() is False or cleaned == text


@pytest.mark.parametrize(
    ("markup", "problem"),
    [
        ("{{ data.title | safe }}", "safe"),
        ("{% autoescape false %}{{ data.title }}{% endautoescape %}", "escaping"),
        ("<a href={{ data.url }}>x</a>", "quotes"),
        ('<a href="{{ data.url }}">x</a>', r"\| url"),
        ('<a href="{{ data.url if data.title else data.title | url }}">x</a>', r"\| url"),
        ("<p {{ data.title }}>x</p>", "attributes from an expression"),
        ("<{{ data.title }}>x", "name of a tag"),
        ("<script>x()</script>", "script"),
        ('<p onclick="x()">x</p>', "onclick"),
        ("<style>.a { color: {{ data.title }} }</style>", "must not become CSS"),
        ("{% include data.title %}", "literal"),
        ('{% include "_layouts/base.txt.j2" %}', "does not escape"),
        ('{% include "_layouts/gone.html.j2" %}', "there is no template"),
        ("{% if %}", "Expected an expression"),
        ("{{ data.title | monney }}", "monney"),
    ],
)
def test_a_template_that_could_turn_data_into_code_does_not_load(
    load: Load, markup: str, problem: str
) -> None:
    """Refused when the process starts, with file and line, not when the hostile value comes."""
    body = BODY.replace("<p>Hello", f"{markup}\n<p>Hello")

    with pytest.raises(TemplateError, match=problem) as caught:
        load({**FILES, "body.html.j2": body})

    assert (caught.value.template, caught.value.line) == ("shop/note/body.html.j2", 6)


@pytest.mark.parametrize(
    "expression",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ data.__class__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ ui.__dict__ }}",
        "{{ data['items'].append(1) }}",
        "{{ 'a' * 100000 }}",
        "{{ 9 ** 999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{% for a in range(30000) %}{% endfor %}",
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_the_sandbox_holds(load: Load, expression: str) -> None:
    """No way to Python's insides, to other messages' data, or to work without end."""
    files = {**FILES, "sms.txt.j2": '{% import "_layouts/macros.txt.j2" as ui %}' + expression}
    began = time.monotonic()

    with pytest.raises(TemplateError):
        load(files).render("shop/note", SMS, "en", context())

    assert time.monotonic() - began < 10


def test_ranges_may_count_to_their_budget_in_each_message(load: Load) -> None:
    """The budget is one message's, not the process's."""
    templates = load({**FILES, "sms.txt.j2": f"{{% for a in range({LOOPS}) %}}{{% endfor %}}ok"})

    assert [templates.render("shop/note", SMS, "en", context()).text for _ in range(2)] == ["ok\n", "ok\n"]


def test_an_endless_text_is_stopped(load: Load) -> None:
    """More than a mail can be is an error, while it is being written."""
    files = {**FILES, "sms.txt.j2": "{% for a in range(500) %}{{ data.title }}{% endfor %}"}

    with pytest.raises(TemplateError, match=f"more than {SIZE_LIMIT}"):
        load(files).render("shop/note", SMS, "en", context(title="x" * 10_000))


def test_an_error_quotes_no_data(load: Load) -> None:
    """What a message is about must not reach a log by way of an error."""
    files = {
        **FILES,
        "sms.txt.j2": "{{ {}[data.title] }}",
        "portal.md.j2": "{{ data.title | int + data.items }}",
    }
    templates = load(files)

    for channel in (SMS, PORTAL):
        with pytest.raises(TemplateError) as caught:
            templates.render("shop/note", channel, "en", context(title="her diagnosis"))
        assert "diagnosis" not in str(caught.value)


def test_the_context_is_left_as_it_was(load: Load) -> None:
    """The same event serves several recipients and channels."""
    given = context(title="a\x00b")

    load().render("shop/note", EMAIL, "en", given)

    assert given == context(title="a\x00b")


def test_an_unknown_template_or_channel_is_named(load: Load) -> None:
    """With the name that was probably meant."""
    files = dict(FILES)
    del files["sms.txt.j2"]
    templates = load(files)

    assert templates.names() == ("shop/note",)
    assert templates.has("shop/note", EMAIL)
    assert not templates.has("shop/note", SMS)
    assert not templates.has("shop/nothing", EMAIL)
    with pytest.raises(TemplateError, match="did you mean 'shop/note'"):
        templates.render("shop/noet", EMAIL, "en", context())
    with pytest.raises(TemplateError, match=r"no sms\.txt\.j2 for sms"):
        templates.render("shop/note", SMS, "en", context())


def test_the_version_changes_with_any_file_behind_a_template(load: Load, tmp_path: Path) -> None:
    """Also with the layout; what was said can be told from what would be said today (S6)."""
    before = load().version("shop/note")
    again = load().version("shop/note")

    layout = tmp_path / "_layouts" / "base.txt.j2"
    layout.write_text(layout.read_text() + "more")

    assert before == again
    assert Templates.load(tmp_path).version("shop/note") != before


def test_defaults_lie_below_what_the_message_says(load: Load) -> None:
    """A brand's missing fields come from the process's defaults; a null hides nothing."""
    templates = load(defaults={"brand": {"name": "Default Ltd", "address": "1 Road"}})
    given = context()
    given["brand"] = {"name": "Acme", "address": None}

    email = templates.render("shop/note", EMAIL, "en", given)

    assert "Acme, 1 Road" in email.text


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    """A wrong path in the settings is a clear error, not a process without templates."""
    with pytest.raises(TemplateError, match="does not exist"):
        Templates.load(tmp_path / "gone")
