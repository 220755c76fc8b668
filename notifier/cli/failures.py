"""Turn an error into the lines a person reads, the object a program reads, and the exit code.

Knows errors by their names, so that it needs none of the packages that raise them.
"""

import errno
from collections.abc import Mapping
from typing import Final

import click

from notifier.errors import ConfigError, EventRefused, NotifierError, TemplateError
from notifier.events import Json

OK, FINDING, USAGE, REFUSED, UNAVAILABLE, TIMEOUT = range(6)

_CODES: Final[Mapping[str, int]] = {
    "MissingServer": USAGE,
    "ConfigError": USAGE,
    "TemplateError": USAGE,
    "EventRefused": REFUSED,
    "ResendRefused": REFUSED,
    "NotUnknown": REFUSED,
    "NotRevived": REFUSED,
    "SilenceRefused": REFUSED,
    "DatabaseUnavailable": UNAVAILABLE,
    "BrokerUnavailable": UNAVAILABLE,
    "IntakeUnavailable": UNAVAILABLE,
    "IntakeFull": UNAVAILABLE,
    "NotDurable": UNAVAILABLE,
    "CannotUnseal": USAGE,
    "UndefinedTable": UNAVAILABLE,
    "QueryCanceled": UNAVAILABLE,
    "ResultTimeout": TIMEOUT,
}
_DRIVER: Final[Mapping[str, str]] = {
    "UndefinedTable": "the database has none of notifier's tables: run `notifier migrate`",
    "QueryCanceled": "the database took too long: narrow it down, for example with --since 1d",
    "InsufficientPrivilege": "the database role may not do that: see database_url",
}


_MENDS: Final[Mapping[str, str]] = {
    "DatabaseUnavailable": "is PostgreSQL up, and NOTIFIER_DATABASE_URL right?",
    "KeyMissing": "put its line into the master key's file",
    "CannotUnseal": "set NOTIFIER_MASTER_KEY_FILE to the key that this database was made with",
    "BrokerUnavailable": "is Redis up, and NOTIFIER_REDIS_URL right?",
}


class MissingServer(NotifierError):
    """The command needs the server's packages."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"this command needs the server ({package} is missing): pip install 'notifier[server]'"
        )


def is_ours(error: Exception) -> bool:
    """Tell whether the error is for us to show; click shows its own, and ends quietly with a closed pipe."""
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return False
    return not isinstance(
        error, click.ClickException | click.exceptions.Exit | click.exceptions.Abort | EOFError
    )


def is_clicks(error: Exception) -> bool:
    """Tell whether click itself would show the error as text: wrong usage, or a question left unanswered."""
    return isinstance(error, click.ClickException | click.exceptions.Abort | EOFError)


def exit_code(error: Exception) -> int:
    """Return the exit code of an error."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_CODES[name] for name in names if name in _CODES), FINDING)


def lines(error: Exception) -> list[str]:
    """Return one line per thing that is wrong; values in foreign errors stay out of it."""
    if isinstance(error, NotifierError):
        several: tuple[Exception, ...] = getattr(error, "errors", ())
        mend = _mend(error)
        return [_one_line(str(one)) + (f" (mend: {mend})" if mend else "") for one in several or (error,)]
    name = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return [f"{error.filename}: {error.strerror}" if error.filename else error.strerror]
    return [_DRIVER.get(name, f"{name} (--debug shows where; please report it)")]


def _mend(error: Exception) -> str | None:
    return next((_MENDS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _MENDS), None)


def as_object(error: Exception) -> dict[str, Json]:
    """Return the error for a program: its message, and of where and how to mend it what is known.

    Several things that are wrong at once stand under ``errors``.
    """
    several = getattr(error, "errors", ()) if isinstance(error, NotifierError) else ()
    if len(several) > 1:
        return {"message": f"{len(several)} things are wrong", "errors": [as_object(one) for one in several]}
    parts = _parts(several[0] if several else error)
    return {key: value for key, value in parts.items() if value not in (None, "")}


def _parts(error: Exception) -> dict[str, Json]:
    parts: dict[str, Json] = {"message": lines(error)[0]}
    if mend := _mend(error):
        parts = {"message": _one_line(str(error)), "mend": mend}
    match error:
        case ConfigError():
            file = str(error.file) if error.file else None
            where = {"file": file, "line": error.line, "field": error.field}
            parts = {"message": _one_line(error.problem), **where, "mend": error.mend}
        case TemplateError():
            where = {"file": error.template, "line": error.line, "field": error.variable}
            parts = {"message": _one_line(error.problem), **where}
        case EventRefused():
            parts = {"message": _one_line(error.reason), "field": error.field, "code": error.code}
        case click.ClickException():
            parts = {"message": _one_line(error.format_message()), **_usage(error)}
        case click.exceptions.Abort() | EOFError():
            parts = {"message": "aborted"}
        case OSError(strerror=str(problem)):
            parts = {"message": problem, "file": str(error.filename) if error.filename else None}
    return {**parts, "notes": getattr(error, "__notes__", None)}


def _usage(error: click.ClickException) -> dict[str, Json]:
    """Return the option or argument that is wrong, and which help explains it."""
    field: str | None = None
    if isinstance(error, click.NoSuchOption | click.BadOptionUsage):
        field = error.option_name
    elif isinstance(error, click.BadParameter):
        field = _named(error)
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    return {"field": field, "mend": f"see `{ctx.command_path} --help`" if ctx else None}


def _named(error: click.BadParameter) -> str | None:
    if error.param is None:
        return error.param_hint if isinstance(error.param_hint, str) else None
    if isinstance(error.param, click.Option):
        return max(error.param.opts, key=len)
    return error.param.human_readable_name


def _one_line(text: str) -> str:
    return " ".join(text.split())
