"""Read what people type: moments, files of JSON, tenants."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from notifier.documents import read_duration
from notifier.errors import ConfigError
from notifier.events import Json

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

tenant_option: Callable[[FunctionT], FunctionT] = click.option(
    "--tenant", default="default", show_default=True, help="For whom."
)


def moment(text: str | datetime) -> datetime:
    """Read a length of time before now, such as 2h, or an ISO 8601 time; without an offset it is UTC."""
    if isinstance(text, datetime):
        return text
    found = read_moment(text, datetime.now(UTC))
    if found is None:
        raise click.BadParameter(
            f"{text!r} is neither a length of time such as 2h nor a time such as 2026-07-01"
        )
    return found


def json_object(text: str | dict[str, Json]) -> dict[str, Json]:
    """Read ``@file`` with a JSON object, or the object itself."""
    if isinstance(text, dict):
        return text
    try:
        found = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except OSError as error:
        raise click.BadParameter(f"{text[1:]}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{text[1:]}: is not UTF-8") from None
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.BadParameter("must be a JSON object")
    return found


def only(flags: Mapping[str, bool]) -> str | None:
    """Return the flag that was given, None where none was.

    Raises:
        click.UsageError: two of them say different things.
    """
    given = [name for name, is_given in flags.items() if is_given]
    if len(given) > 1:
        raise click.UsageError(
            f"only one of {', '.join(f'--{name}' for name in given)}: they contradict each other"
        )
    return given[0] if given else None


def iso_moment(text: str, option: str) -> datetime:
    """Read an ISO 8601 time, for an option about the future too; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (OverflowError, ValueError):
        raise ConfigError(
            "is no ISO 8601 time", field=option, mend="such as 2026-07-01T18:00Z or 2026-07-01T20:00+02:00"
        ) from None


def read_moment(text: str, now: datetime) -> datetime | None:
    """Return the moment a text means, None where it means none."""
    try:
        span = read_duration(text)
    except (OverflowError, ValueError):
        span = None
    try:
        if isinstance(span, timedelta):
            return now - span
        moment = datetime.fromisoformat(text)
    except (OverflowError, ValueError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
