"""Folding brand and language into a template changes what it costs, never what it writes."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from jinja2.nodes import Template as Tree
from jinja2.nodes import TemplateData

from notifier.catalog.types import Catalog
from notifier.messages import ChannelName
from notifier.rendering.context import contract
from notifier.rendering.environment import READER, Reader
from notifier.rendering.folding import CONSTANT, Edition, FoldingLoader, foldable
from tests.services import shipped_templates

ROOT = Path(__file__).parents[2]
KNOWN = {
    "brand": {"name": "A & B", "color": "#123456", "logo": "", "url": "https://shop.example"},
    "say": {"why": "Why:", "now": "now"},
    "locale": "de-AT",
    "language": "de",
    "direction": "ltr",
}
CONTEXT = {**KNOWN, "data": {"x": 1, "state": "now", "name": "<i>"}}


def written(known: Mapping[str, object], **files: str) -> str:
    """Render ``body.html.j2`` with something folded in."""
    texts = {f"{name}.html.j2": text for name, text in files.items()}
    return Edition(known).template("body.html.j2", texts.get).render(CONTEXT)


@pytest.mark.parametrize(
    "text",
    [
        "{{ brand.name }} and {{ say.why }} {{ language }}{{ locale }}",
        "{% if brand.logo %}logo{% elif brand.url %}<a href='{{ brand.url }}'>{% else %}name{% endif %}",
        "{% if brand.logo %}logo{% elif data.x %}x{% elif brand.url %}url{% else %}name{% endif %}",
        "{% if data.x == 2 %}two{% elif brand.logo %}logo{% elif data.x == 1 %}one{% else %}name{% endif %}",
        "{% if not brand.logo %}{% if brand.name and brand.url %}both{% endif %}{% endif %}",
        "{% if brand.logo %}logo{% endif %}",
        "{% for one in [1, 2] %}{% if brand.name %}{{ one }}{{ brand.name }}{% else %}no{% endif %}{% endfor %}",
        "{{ say[data.state] }}{{ brand | length }}{{ brand.color | css_color }}{{ brand.get('name') }}",
        "{% set x = brand.name %}{{ x }}{{ 'yes' if brand.logo else data.name }}",
        "{{ brand.nothing is defined }}{{ brand.nothing | default('none') }}",
        "{% macro m(a, b=brand.name) %}{{ a }}{{ b }}{% endmacro %}{{ m(say.why) }}",
    ],
)
def test_a_folded_template_writes_the_same(text: str) -> None:
    """Every way in which a constant can be used, and branches it decides."""
    assert written(KNOWN, body=text) == written({}, body=text)


def test_a_missing_key_of_the_brand_still_fails() -> None:
    """Nothing is folded that is not there."""
    with pytest.raises(UndefinedError, match="nothing"):
        written(KNOWN, body="{{ brand.nothing }}")


def test_texts_that_become_neighbours_are_one() -> None:
    """A layout is mostly text, once the brand is known."""
    texts = {"a": "<p>{% if brand.logo %}{{ data.x }}{% endif %}{{ brand.name }}</p>"}
    loader = FoldingLoader(texts.get, KNOWN)
    edition = Edition(KNOWN)
    environment = edition.template("a", texts.get).environment

    tree: Tree = loader._tree(environment, "a")

    assert len(tree.body) == 1
    assert all(type(one).__name__ in ("TemplateData", "Const") for one in tree.body[0].nodes)  # type: ignore[attr-defined]
    assert [one.data for one in tree.find_all(TemplateData)] == ["<p>", "</p>"]


def test_macros_that_need_only_constants_are_set_up_once() -> None:
    """Their module is kept by the template; those that look at the message get it each time."""
    files = {
        "ui": "{% macro a() %}{{ brand.name }}{{ say[language] | default('') }}{% endmacro %}",
        "live": "{% macro b() %}{{ data.x }}{% endmacro %}",
        "body": "{% import 'ui.html.j2' as ui with context %}{% import 'live.html.j2' as live with context %}"
        "{{ ui.a() }}{{ live.b() }}",
    }
    texts = {f"{name}.html.j2": text for name, text in files.items()}
    template = Edition(KNOWN).template("body.html.j2", texts.get)

    assert template.render(CONTEXT) == template.render(CONTEXT) == "A &amp; B1"
    assert template.environment.get_template("ui.html.j2")._module is not None
    assert template.environment.get_template("live.html.j2")._module is None


def test_macros_with_a_memory_never_share_it_between_messages() -> None:
    """A counter at the top of a file would go on counting in the next person's mail."""
    files = {
        "ui": "{% set seen = [0] %}{% macro a() %}{{ seen }}{% endmacro %}",
        "body": "{% import 'ui.html.j2' as ui with context %}{{ ui.a() }}",
    }
    texts = {f"{name}.html.j2": text for name, text in files.items()}
    template = Edition(KNOWN).template("body.html.j2", texts.get)

    template.render(CONTEXT)

    assert template.environment.get_template("ui.html.j2")._module is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{% set brand = {} %}", "brand"),
        ("{% for say in [] %}{% endfor %}", "say"),
        ("{% macro m(language) %}{% endmacro %}", "language"),
        ("{% import 'x' as locale %}", "locale"),
    ],
)
def test_a_name_that_a_template_gives_a_meaning_of_its_own_is_left_alone(text: str, name: str) -> None:
    """A child may set what its layout reads."""
    environment = Edition({}).template("x", lambda _: "").environment

    assert name not in foldable([environment.parse(text)])
    assert foldable([environment.parse("{{ brand.name }}")]) == CONSTANT


def test_the_shipped_templates_write_the_same_folded() -> None:
    """Byte for byte, in every language."""
    templates, catalog = shipped_templates(), Catalog.load(ROOT / "config" / "events")
    compared = 0
    for entry in catalog:
        name = entry.type.replace(".", "/")
        if not templates.has(name, ChannelName.EMAIL):
            continue
        for locale in templates.locales(name):
            context = {
                "event": {"id": "1", "type": entry.type, "subject": "S-1", "time": "2026-11-22T10:00:00Z"},
                "data": entry.sample, "recipient": {"name": "Ada"}, "brand": KNOWN["brand"],
                "journey": {"stage": "approved", "history": [{"stage": "requested", "time": "2026-11-20T10:00:00Z"}]},
                "links": {}, "live": {}, "why": "because",
            }  # fmt: skip
            parts, spoken = templates.sources.choose(name, ChannelName.EMAIL, locale)
            values = contract(context, {}, spoken)
            values["say"] = templates._words[values["language"]]
            READER.set(Reader(locale=spoken, zone="UTC"))
            for path in parts.values():
                folded, plain = (
                    templates._write(path, values, edition, is_inlined=True)
                    for edition in (templates._edition(values), templates._general)
                )
                assert folded == plain
                compared += 1
    assert compared > 50
