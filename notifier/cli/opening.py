"""Open the services for one command, and close them with it."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

import click

from notifier import logs
from notifier.bootstrap import Services


@contextmanager
def opened() -> Iterator[Services]:
    """Lend the services: those the context was given, else new ones from the settings."""
    given = click.get_current_context().find_root().obj
    if isinstance(given, Services):
        yield given
        return
    services = Services(process="cli", threads=1)
    # To stderr: standard output is for what was asked.
    logs.configure("cli", level=services.settings.log_level)
    try:
        yield services
    finally:
        services.close()


def who() -> str:
    """Name who runs the command, for the log."""
    try:
        return f"cli:{getpass.getuser()}"
    except OSError:  # a container's user without a name
        return "cli"
