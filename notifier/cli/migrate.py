"""``notifier migrate``: bring the database to the newest schema, as the owner of the tables."""

import time

import click
from sqlalchemy.exc import DBAPIError, OperationalError

from notifier.cli.output import json_option, say, show_json
from notifier.errors import ConfigError, NotifierError
from notifier.settings import load_settings
from notifier.store.database import DatabaseUnavailable
from notifier.store.migrate import current
from notifier.store.migrate import migrate as upgrade

_PAUSE = 0.5


class MigrationFailed(NotifierError):
    """The database refused the migration; it is as it was."""


@click.command()
@click.option(
    "--wait", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds for it to start."
)
@json_option
def migrate(*, wait: float, is_json: bool) -> None:
    """Create or upgrade notifier's tables; one process at a time, safe to repeat."""
    secret = load_settings().migrator_database_url
    if secret is None:
        raise ConfigError(
            "is not set", field="NOTIFIER_MIGRATOR_DATABASE_URL",
            mend="name the database as the role that owns the tables",
        )  # fmt: skip
    url = secret.get_secret_value()
    before = _when_there(url, wait, is_quiet=is_json)
    try:
        after = upgrade(url)
    except DBAPIError as error:
        # What the driver says of a migration names tables and rights, never rows.
        raise MigrationFailed(f"the database refused: {_first_line(error)}") from error
    if is_json:
        show_json({"before": before, "after": after})
    else:
        say(f"at {after} already" if before == after else f"migrated from {before or 'nothing'} to {after}")


def _when_there(url: str, wait: float, *, is_quiet: bool) -> str | None:
    """Return the revision as soon as the database answers.

    Raises:
        DatabaseUnavailable: it did not within the time.
    """
    end = time.monotonic() + wait
    has_said = is_quiet
    while True:
        try:
            return current(url)
        except OperationalError as error:
            if time.monotonic() + _PAUSE > end:
                raise DatabaseUnavailable(
                    f"no answer from the database in {wait:g} s: {_first_line(error)}"
                ) from error
            if not has_said:
                say(f"waiting for the database: {_first_line(error)}", is_error=True)
                has_said = True
            time.sleep(_PAUSE)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
