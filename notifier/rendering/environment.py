"""The Jinja environment templates run in: sandboxed, strict, escaping HTML, bounded in work.

Never reads files; whoever makes it hands over the sources by name.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import BaseLoader, StrictUndefined
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from notifier.events import Json
from notifier.rendering import colors, formats
from notifier.rendering.formats import FormatError

LOOPS: Final = 20_000
"""How many turns all the ranges of one rendering may make together."""

REPEAT: Final = 10_000
"""How long a text or list may become by multiplication."""

POWER: Final = 64

# Not for templates: they would let data become markup (safe, xmlattr, urlize), bring surprises into a mail
# (random, pprint), or build a text of any size (format, center).
_REFUSED_FILTERS = ("safe", "xmlattr", "urlize", "random", "pprint", "format", "center")
_REFUSED_GLOBALS = ("lipsum",)
_DICT_METHODS = frozenset({"items", "keys", "values", "get"})
_ABSENT = object()
_OPEN_TYPES = frozenset({TemplateModule, LoopContext, Namespace})
_LINK = re.compile(r"(?:https?://|mailto:|tel:|cid:)[^\s<>\"]+", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Reader:
    """For whom is rendered right now, and how many loop turns are left."""

    locale: str
    zone: str | None
    loops: int = LOOPS


READER: ContextVar[Reader] = ContextVar("notifier_reader")
"""Set around each rendering, so that filters know the reader inside imported macros as well."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Attribute access on JSON objects means their keys; arithmetic cannot blow up."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Read ``data.items`` as the key, not as the method of dict; methods only where no key is."""
        if type(obj) is not dict:
            # Jinja's own objects have nothing to hide behind public names, and the full check costs 10 µs.
            if type(obj) in _OPEN_TYPES and attribute[0] != "_":
                found = getattr(obj, attribute, _ABSENT)
                if found is not _ABSENT:
                    return found
            return super().getattr(obj, attribute)
        if attribute in obj:
            return obj[attribute]
        if attribute in _DICT_METHODS:
            return getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def call(self, context: Context, called: Any, /, *arguments: Any, **named: Any) -> Any:
        """Call; a macro without the checks of foreign functions, which cost as much as the macro."""
        if type(called) is not Macro:
            return super().call(context, called, *arguments, **named)
        named.pop("_block_vars", None)
        named.pop("_loop_vars", None)
        return called(context.eval_ctx, *arguments, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse what makes a huge value out of small ones."""
        if operator == "%" and isinstance(left, str):
            raise SecurityError("a text cannot be formatted with %; use ~ to join")
        if operator == "**" and isinstance(right, int | float) and right > POWER:
            raise SecurityError(f"a power above {POWER} is not allowed")
        if operator == "*" and _repeated(left, right) > REPEAT:
            raise SecurityError(f"a text or list cannot be repeated beyond {REPEAT}")
        return super().call_binop(context, operator, left, right)


def _repeated(left: Any, right: Any) -> int:
    for one, times in ((left, right), (right, left)):
        if isinstance(one, str | list | tuple) and isinstance(times, int):
            return len(one) * times
    return 0


def sandbox(loader: BaseLoader) -> Sandbox:
    """Return an environment over the templates of ``loader``."""
    environment = Sandbox(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=lambda name: name is None or name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    for refused in _REFUSED_FILTERS:
        environment.filters.pop(refused)
    for refused in _REFUSED_GLOBALS:
        environment.globals.pop(refused)
    environment.globals["range"] = _range
    environment.filters.update(_FILTERS)
    return environment


def _range(*bounds: int) -> range:
    """Count like Python's range, out of one budget, so that nested loops come to an end."""
    turns, reader = range(*bounds), READER.get()
    reader.loops -= len(turns)
    if reader.loops < 0:
        raise SecurityError(f"the ranges of one message make more than {LOOPS} turns")
    return turns


def _money(amount: Json, currency: str) -> str:
    return formats.money(amount, currency, READER.get().locale)


def _number(value: Json, digits: int | None = None) -> str:
    return formats.number(value, READER.get().locale, digits)


def _date(value: Json, length: formats.Length = "long") -> str:
    reader = READER.get()
    return formats.day(value, reader.locale, reader.zone, length)


def _datetime(value: Json, length: formats.Length = "long") -> str:
    reader = READER.get()
    return formats.moment(value, reader.locale, reader.zone, length)


def _time(value: Json) -> str:
    reader = READER.get()
    return formats.clock(value, reader.locale, reader.zone)


def _url(value: Json) -> str:
    """Let only addresses through that a mail may link to: a javascript: URL from data must not."""
    if not isinstance(value, str) or not _LINK.fullmatch(value):
        raise FormatError("must be an http, https, mailto or tel address without spaces")
    return value


def _passing_undefined(write: Callable[..., str]) -> Callable[..., str]:
    """Make a filter fail with the missing variable's name rather than with its own complaint."""

    def filtered(value: Any, *args: Any, **kwargs: Any) -> str:
        if isinstance(value, Undefined):
            str(value)
        return write(value, *args, **kwargs)

    return filtered


_WRITERS: Mapping[str, Callable[..., str]] = {
    "money": _money,
    "number": _number,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "url": _url,
    "css_color": colors.css_color,
    "on_color": colors.on_color,
}
_FILTERS = {name: _passing_undefined(write) for name, write in _WRITERS.items()}
