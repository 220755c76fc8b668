"""The pages behind a mail's links in a real browser: by mouse and by keys, light, dark and narrow (C8)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.consent import Stage, path_of
from tests.services import MakeFlow
from tests.web import served_keyless, sweeping

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("browser")]

TITLES = {"news": {"en": "News of the shop", "de": "Neues aus dem Laden"}, "offers": {"de": "Angebote"}}


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier that wrote to Ann, who reads German, in many ways."""
    stage = Stage(
        make_flow, tmp_path, categories=TITLES, tracking={"default": {"opens": True, "clicks": True}}
    )
    stage.know(locale="de", zone="Europe/Berlin", phone="+4930123456")
    for one in ("offer.made", "disk.full", "law.changed", "order.made"):
        stage.tell(one, locale="de")
    return stage


@pytest.fixture
def base(stage: Stage) -> Iterator[str]:
    """Where the web process is, as it is run: without the master key."""
    with served_keyless(stage.flow.services.settings) as web, sweeping(stage.flow.services.link_requests.run):
        yield str(web.base_url).rstrip("/")


@contextmanager
def opened(browser: Any, base: str, **options: Any) -> Iterator[Any]:
    """Open a window; whatever the page complains of, or asks of anybody else, fails the test."""
    context = browser.new_context(**options)
    page, told, asked = context.new_page(), [], []
    page.on("console", lambda message: told.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    try:
        yield page
        assert told == []
        assert [url for url in asked if not url.startswith((base, "data:"))] == []
    finally:
        context.close()


def test_unsubscribing_and_back(stage: Stage, base: str, browser: Any) -> None:
    """One button; the page says what came of it, and takes it back."""
    path = path_of(stage.tell("news.made", locale="en"))

    with opened(browser, base) as page:
        page.goto(base + path)
        heading = page.get_by_role("heading").inner_text()
        page.get_by_role("button", name="Unsubscribe").click()
        page.get_by_role("heading", name="You are unsubscribed").wait_for()
        said = page.get_by_role("status").inner_text()
        is_silent = stage.tell("news.made") is None
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("heading", name="Welcome back").wait_for()

    assert heading == "Unsubscribe?"
    assert "News of the shop" in said
    assert is_silent
    assert stage.tell("news.made") is not None


def test_the_page_needs_no_script(stage: Stage, base: str, browser: Any) -> None:
    """Choosing in German with scripts off, and finding it so when coming back."""
    path = path_of(stage.tell("news.made", locale="de"), "p")

    with opened(browser, base, java_script_enabled=False) as page:
        page.goto(base + path)
        language = page.locator("html").get_attribute("lang")
        topics = page.locator("legend").all_inner_texts()
        page.get_by_role("group", name="Angebote").get_by_role("checkbox", name="E-Mail").uncheck()
        page.get_by_label("Ruhezeiten").select_option(label="Montag bis Freitag")
        page.get_by_label("Wie oft").select_option("daily")
        page.get_by_role("button", name="Speichern").click()
        page.get_by_text("Gespeichert.").wait_for()
        page.goto(base + path)
        is_wanted = page.get_by_role("group", name="Angebote").get_by_role("checkbox").is_checked()
        quiet = page.get_by_label("Ruhezeiten").input_value()

    assert language == "de"
    assert topics == ["Club", "It", "Law", "Neues aus dem Laden", "Angebote", "Orders"]
    assert (is_wanted, quiet) == (False, "week")
    assert stage.suppressed() == {("offers", "unsubscribed")}


def test_keys_are_enough(stage: Stage, base: str, browser: Any) -> None:
    """Each control is reached by Tab, in the order it is read, with a ring around it."""
    path = path_of(stage.tell("news.made", locale="en"), "p")

    with opened(browser, base) as page:
        page.goto(base + path)
        names, rings = [], []
        for _ in range(30):
            page.keyboard.press("Tab")
            found = page.evaluate(
                "() => { const at = document.activeElement; return [at.name || at.tagName.toLowerCase(),"
                " at.value, getComputedStyle(at).outlineStyle] }"
            )
            if names and names[-1] == found[0]:  # the parts of a field of time
                continue
            names.append(found[0])
            rings.append(found[2])
            if found[0] == "c:news:email":
                page.keyboard.press("Space")
            if found[0] == "button":
                page.keyboard.press("Enter")
                break
        page.get_by_text("Saved.").wait_for()

    assert names == [
        "c:club:email", "c:club:sms", "c:it:email", "c:news:email", "c:offers:email", "digest", "least", "quiet",
        "from", "until", "zone", "consent:tracking:opens", "consent:tracking:clicks", "button",
    ]  # fmt: skip
    assert set(rings) == {"solid"}
    assert stage.suppressed() == {("news", "unsubscribed")}


@pytest.mark.parametrize("page_name", ["u", "p"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone_by_day_and_by_night(
    stage: Stage, base: str, browser: Any, page_name: str, scheme: str
) -> None:
    """320 px wide nothing runs out of the screen; contrast is at least 4.5 (WCAG 1.4.3, 1.4.10)."""
    path = path_of(stage.tell("news.made", locale="fr"), page_name)

    with opened(browser, base, color_scheme=scheme, viewport={"width": 320, "height": 640}) as page:
        page.goto(base + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        heights = page.evaluate(
            "[...document.querySelectorAll('button, select, .choice, input[type=time]')]"
            ".map(one => one.getBoundingClientRect().height)"
        )
        colors = page.evaluate(_COLORS)

    assert width <= 320
    assert min(heights) >= 44
    assert len(colors) > 4
    for text, ground in colors:
        assert _contrast(text, ground) >= 4.5, (text, ground)


_COLORS = """() => [...document.querySelectorAll('h1, h2, p, a, legend, button, label, .field span')].map(one => {
  let at = one
  while (getComputedStyle(at).backgroundColor === 'rgba(0, 0, 0, 0)') at = at.parentElement
  return [getComputedStyle(one).color, getComputedStyle(at).backgroundColor]
})"""


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as browsers write them (WCAG 2.2, relative luminance)."""
    lights = sorted(_luminance(color) for color in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(color: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (int(text) / 255 for text in color.removeprefix("rgb(").removesuffix(")").split(","))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
