"""Write the page on which somebody chooses what they are told, and read it filled in.

Pure: what is set comes in, HTML goes out; a form comes in, JSON goes out. Works without a script.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from typing import Any
from zoneinfo import available_timezones

from notifier.events import Json
from notifier.setting_tables import Brand
from notifier.web.link_frame import frame, title_of
from notifier.web.page_words import page_words

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_QUIET = ("none", "all", "week", "weekend")
_DIGEST = ("none", "hourly", "daily", "weekly")
_LEAST = ("none", "info", "warning", "error", "critical")
_USUAL = ("22:00", "07:00")


def preference_page(
    view: Mapping[str, Json],
    *,
    language: str,
    brand: Brand,
    titles: Mapping[str, Mapping[str, str]],
    said: str = "",
    unsubscribe: str = "",
) -> str:
    """Return the page.

    Args:
        view: What the worker says is set.
        language: One there are words for.
        brand: Whose mails they are.
        titles: What people call each category, by language.
        said: What came of the form: ``saved``, ``refused`` or nothing.
        unsubscribe: Where the page to unsubscribe is, relative to this one.
    """
    words = page_words()[language]["preferences"]
    body = _status(words, said)
    if view["address"]:
        body += f'<p class="soft">{escape(words["for"].format(address=view["address"]))}</p>'
    rows = "".join(_row(words, row, title_of(row["name"], titles, language)) for row in view["rows"])
    form = f"<h2>{escape(words['topics'])}</h2>{rows}"
    if view["is_known"]:
        form += _when(words, view)
    if view["consents"]:
        form += f"<h2>{escape(words['privacy'])}</h2>" + "".join(
            _check(f"consent:{purpose}", escape(words["consents"][purpose]), is_on=is_on)
            for purpose, is_on in view["consents"].items()
        )
    body += f'<form method="post">{form}<p class="row"><button>{escape(words["save"])}</button></p></form>'
    if unsubscribe and view["is_refusable"]:
        body += f'<hr><p><a href="{escape(unsubscribe)}">{escape(words["stop"])}</a></p>'
    return frame(words["title"], body, language=language, brand=brand)


def read_form(fields: Mapping[str, list[str]], language: str) -> dict[str, Json]:
    """Return what a filled-in page says, as the worker takes it; what it does not show is not in it."""
    rows: dict[str, list[str]] = {}
    for name, values in fields.items():
        kind, _, rest = name.partition(":")
        if kind == "shown":
            rows.setdefault(rest, [])
        elif kind == "c":
            category, _, channel = rest.rpartition(":")
            rows.setdefault(category, []).append(channel if values else "")
    asked = [name for name in fields if name.startswith("asked:")]
    consents = {name[6:]: f"consent:{name[6:]}" in fields for name in asked}
    texts = page_words()[language]["preferences"]["consents"]
    return {
        "rows": rows,
        "settings": dict(_settings(fields)),
        "consents": consents,
        "wording": {purpose: texts.get(purpose, "") for purpose in consents},
    }


def _settings(fields: Mapping[str, list[str]]) -> Iterator[tuple[str, Json]]:
    def one(name: str) -> str:
        return fields.get(name, [""])[-1].strip()

    if one("digest") in _DIGEST:
        yield "digest", one("digest")
    if one("least") in _LEAST:
        yield "least", one("least")
    if one("quiet") == "none":
        yield "quiet", "none"
    elif one("quiet") in _QUIET and _CLOCK.fullmatch(one("from")) and _CLOCK.fullmatch(one("until")):
        yield "quiet", {"days": one("quiet"), "from": one("from"), "until": one("until")}
    if one("zone") in _zones():
        yield "zone", one("zone")


def _status(words: Mapping[str, Any], said: str) -> str:
    if not said:
        return ""
    kind = "bad" if said == "refused" else "good"
    role = "alert" if said == "refused" else "status"
    return f'<p class="{kind}" role="{role}">{escape(words[said])}</p>'


def _row(words: Mapping[str, Any], row: Mapping[str, Json], title: str) -> str:
    name = escape(row["name"])
    if row["is_locked"]:
        return f'<fieldset><legend>{escape(title)}</legend><p class="soft">{escape(words["locked"])}</p></fieldset>'
    checks = "".join(
        _choice(f"c:{name}:{channel}", escape(words["channels"][channel]), is_on=is_on)
        for channel, is_on in row["channels"].items()
    )
    note = f'<p class="soft">{escape(words["essential"])}</p>' if row["has_essential"] else ""
    return (
        f'<fieldset><legend>{escape(title)}</legend><input type="hidden" name="shown:{name}" value="1">'
        f'<div class="choices">{checks}</div>{note}</fieldset>'
    )


def _when(words: Mapping[str, Any], view: Mapping[str, Json]) -> str:
    settings, zone = view["settings"], view["zone"] or ""
    quiet = settings["quiet"]
    times = quiet if isinstance(quiet, dict) else {"from": _USUAL[0], "until": _USUAL[1]}
    days = quiet["days"] if isinstance(quiet, dict) else quiet
    zones = "".join(f"<option>{one}" for one in _zones())
    least = _select("least", words["least"], _LEAST, settings["least"]) if view["has_operations"] else ""
    return (
        f'<h2>{escape(words["when"])}</h2><p class="soft">{escape(words["urgent"])}</p>'
        f'<div class="fields">{_select("digest", words["digest"], _DIGEST, settings["digest"])}{least}</div>'
        f'<div class="fields">{_select("quiet", words["quiet"], _QUIET, days)}'
        f"{_time('from', words['from'], times['from'])}{_time('until', words['until'], times['until'])}</div>"
        f'<div class="fields"><label class="field"><span>{escape(words["zone"])}</span>'
        f'<input type="text" name="zone" list="zones" autocomplete="off" value="{escape(zone)}"></label></div>'
        f'<datalist id="zones">{zones}</datalist>'
    )


def _select(name: str, words: Mapping[str, str], options: tuple[str, ...], chosen: Json) -> str:
    shown = ("own", *options) if chosen == "own" else options
    items = "".join(
        f'<option value="{one}"{" selected" if one == chosen else ""}>{escape(words[one])}</option>'
        for one in shown
    )
    return f'<label class="field"><span>{escape(words["label"])}</span><select name="{name}">{items}</select></label>'


def _time(name: str, label: str, value: str) -> str:
    return (
        f'<label class="field"><span>{escape(label)}</span>'
        f'<input type="time" name="{name}" value="{escape(value)}" required></label>'
    )


def _check(name: str, label: str, *, is_on: bool) -> str:
    asked = f'<input type="hidden" name="asked:{name.partition(":")[2]}" value="1">'
    return f"<fieldset>{asked}{_choice(name, label, is_on=is_on)}</fieldset>"


def _choice(name: str, label: str, *, is_on: bool) -> str:
    checked = " checked" if is_on else ""
    return (
        f'<label class="choice"><input type="checkbox" name="{name}" value="1"{checked}>'
        f"<span>{label}</span></label>"
    )


@cache
def _zones() -> tuple[str, ...]:
    """Return the zones people know: a place of an area, and UTC."""
    areas = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return ("UTC", *sorted(one for one in available_timezones() if one.startswith(areas)))
