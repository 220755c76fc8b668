"""Read what a person wants from options of the command line, and write it as people read it.

Makes and reads the JSON form; ``recipients.wishes_form`` says what is wrong with it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from notifier.documents import ConfigErrors
from notifier.errors import ConfigError
from notifier.events import Json
from notifier.recipients.local_times import WEEKDAYS
from notifier.recipients.wishes import ANY
from notifier.recipients.wishes_form import WishesRefused, read_wishes, write_wishes

OPTIONS = {
    "quiet": "--quiet", "at_least": "--min-severity", "digests": "--digest", "opt_ins": "--opt-in",
    "opt_outs": "--opt-out",
}  # fmt: skip
"""Each part of the form, and the option that sets it."""

_QUIET = re.compile(r"(?:(\S+)\s+)?(\d\d:\d\d)-(\d\d:\d\d)")


def form_of(given: Mapping[str, Sequence[str]]) -> dict[str, Json]:
    """Return the JSON form of the options that were given; others are not in it.

    Raises:
        ConfigError: an option that cannot be read at all.
    """
    forms: dict[str, Json] = {}
    if texts := given.get("quiet"):
        forms["quiet"] = [_quiet(text) for text in texts]
    if texts := given.get("at_least"):
        forms["at_least"] = {name: level for name, level in map(_severity, texts)}  # noqa: C416
    if texts := given.get("digests"):
        forms["digests"] = {name: digest for name, digest in map(_digest, texts)}  # noqa: C416
    return forms | {name: list(given[name]) for name in ("opt_ins", "opt_outs") if given.get(name)}


def checked(form: Json, categories: Iterable[str], *, file: str | None = None) -> dict[str, Json]:
    """Return the form as it is stored; a mistake names its option, or its field in the file.

    Raises:
        ConfigErrors: every mistake.
    """
    try:
        return write_wishes(read_wishes(form, categories=sorted(set(categories))))
    except WishesRefused as error:
        raise ConfigErrors(
            [
                ConfigError(problem, file=file, field=field if file else _option(field))
                for field, problem in error.problems
            ]
        ) from None


def lines_of(form: Mapping[str, Json]) -> dict[str, str]:
    """Return each part as people read it, a line for each entry."""
    return {
        "quiet hours": "\n".join(_quiet_line(one) for one in form.get("quiet", ())),
        "least severity": "\n".join(_keyed(form.get("at_least", {}))),
        "digests": "\n".join(
            f"{_named(name)}: {_digest_line(one)}" for name, one in form.get("digests", {}).items()
        ),
        "asked for": ", ".join(form.get("opt_ins", ())),
        "refused": ", ".join(form.get("opt_outs", ())),
    }


def _quiet(text: str) -> dict[str, Json]:
    found = _QUIET.fullmatch(text.strip())
    if found is None:
        raise ConfigError("must be a stretch such as 22:00-07:00 or mon-fri 22:00-07:00", field="--quiet")
    days = {} if found[1] is None else {"weekdays": [_days(part) for part in found[1].split(",")]}
    return {**days, "from": found[2], "until": found[3]}


def _days(text: str) -> str:
    return ":".join(_day(part) for part in re.split("[-:]", text))


def _day(text: str) -> str:
    short = text.casefold()
    return next((day for day in WEEKDAYS if len(short) > 1 and day.startswith(short)), text)


def _severity(text: str) -> tuple[str, str]:
    name, equals, level = text.rpartition("=")
    return (name, level) if equals else (ANY, level)


def _digest(text: str) -> tuple[str, dict[str, Json]]:
    name, equals, how = text.rpartition("=")
    if not equals:
        name = ANY
    if how == "none":
        return name, {"gather": "none"}
    first, colon, span = how.partition(":")
    if first == "first" and colon:
        return name, {"gather": "first_now", **_when(span)}
    return name, {"gather": "accumulate", **_when(how)}


def _when(text: str) -> dict[str, Json]:
    return {"at": text.split(",")} if ":" in text else {"every": text}


def _option(field: str) -> str | None:
    head = re.split(r"[.\[]", field, maxsplit=1)[0]
    return OPTIONS.get(head, field or None)


def _quiet_line(one: Mapping[str, Any]) -> str:
    days = f" on {', '.join(one['weekdays'])}" if "weekdays" in one else ""
    return f"{one['from']} to {one['until']}{days}"


def _keyed(values: Mapping[str, str]) -> Iterator[str]:
    return (f"{_named(name)}: {value}" for name, value in values.items())


def _digest_line(one: Mapping[str, Any]) -> str:
    if one["gather"] == "none":
        return "each by itself"
    days = f" on {', '.join(one['weekdays'])}" if "weekdays" in one else ""
    when = f"every {one['every']}" if "every" in one else f"at {', '.join(one['at'])}{days}"
    return f"the first at once, the rest together, {when}" if one["gather"] == "first_now" else when


def _named(name: str) -> str:
    return "all others" if name == ANY else name
