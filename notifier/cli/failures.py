"""Turn an error into the lines a person reads and the exit code a script reads.

Knows errors by their names, so that it needs none of the packages that raise them.
"""

import errno
from collections.abc import Mapping
from typing import Final

import click

from notifier.errors import NotifierError

OK, FINDING, USAGE, REFUSED, UNAVAILABLE = range(5)

_CODES: Final[Mapping[str, int]] = {
    "MissingServer": USAGE,
    "ConfigError": USAGE,
    "TemplateError": USAGE,
    "EventRefused": REFUSED,
    "ResendRefused": REFUSED,
    "NotRevived": REFUSED,
    "DatabaseUnavailable": UNAVAILABLE,
    "BrokerUnavailable": UNAVAILABLE,
    "IntakeUnavailable": UNAVAILABLE,
    "IntakeFull": UNAVAILABLE,
    "UndefinedTable": UNAVAILABLE,
    "QueryCanceled": UNAVAILABLE,
}
_DRIVER: Final[Mapping[str, str]] = {
    "UndefinedTable": "the database has none of notifier's tables: run `notifier migrate`",
    "QueryCanceled": "the database took too long: narrow it down, for example with --since 1d",
    "InsufficientPrivilege": "the database role may not do that: see database_url",
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


def exit_code(error: Exception) -> int:
    """Return the exit code of an error."""
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_CODES[name] for name in names if name in _CODES), FINDING)


def lines(error: Exception) -> list[str]:
    """Return one line per thing that is wrong; values in foreign errors stay out of it."""
    if isinstance(error, NotifierError):
        several: tuple[Exception, ...] = getattr(error, "errors", ())
        return [" ".join(str(one).split()) for one in several or (error,)]
    name = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return [f"{error.filename}: {error.strerror}" if error.filename else error.strerror]
    return [_DRIVER.get(name, f"{name} (--debug shows where; please report it)")]
