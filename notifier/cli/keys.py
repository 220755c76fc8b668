"""``notifier keys``: the master key outside, the keyring inside, and what clients seal to."""

import base64
import re

import click

from notifier.cli.opening import opened, who
from notifier.cli.output import json_option, say, show_json
from notifier.crypto import MasterKeys
from notifier.errors import ConfigError
from notifier.logs import get_logger
from notifier.store.keyrings import init_keyring, open_keyring, rotate

log = get_logger("cli")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@click.group()
def keys() -> None:
    """Make, rotate and publish keys."""


@keys.command()
@click.argument("name")
@json_option
def new(*, name: str, is_json: bool) -> None:
    """Print a new master key, as a line for the file of NOTIFIER_MASTER_KEY_FILE.

    The first line of that file seals new data; keep the older ones below until after `notifier keys rotate`.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError("must be letters, digits, dots and dashes", field="NAME", mend="such as 2026-07")
    line = MasterKeys.new_line(name)
    show_json({"line": line}) if is_json else say(line)


@keys.command()
@json_option
def init(*, is_json: bool) -> None:
    """Make the keys the database lacks, under the configured master key; safe to repeat."""
    with opened() as services:
        master = services.master_keys
        with services.database.transaction() as connection:
            made = init_keyring(connection, master)
        # Those that were there may be under another master key: who sets up must hear of it.
        open_keyring(services.database, master)
    log.info("keys.made", count=made, master=master.active, by=who())
    if is_json:
        show_json({"made": made, "master": master.active})
    else:
        say(f"made {made} keys under master key {master.active}" if made else "all keys are there already")


@keys.command("rotate")
@json_option
def rotate_(*, is_json: bool) -> None:
    """Rewrap all keys under the first master key, and start a new data key; old data stays readable."""
    with opened() as services:
        master = services.master_keys
        with services.database.transaction() as connection:
            rewrapped = rotate(connection, master)
    log.info("keys.rotated", count=rewrapped, master=master.active, by=who())
    if is_json:
        show_json({"rewrapped": rewrapped, "master": master.active})
        return
    say(f"rewrapped {rewrapped} keys under master key {master.active}, and started a new data key")
    say("restart the workers; then the other master keys can go")


@keys.command()
@json_option
def public(*, is_json: bool) -> None:
    """Print the public key that clients seal events to: `Client(…, seal_to=…)`."""
    with opened() as services:
        key = services.keyring.sealing_key
    show_json({"public_key": key}) if is_json else say(key)


@keys.command("return-path")
@json_option
def return_path(*, is_json: bool) -> None:
    """Print the key that `notifier mail-in serve` checks return paths with: its `mail_in.key`."""
    with opened() as services:
        key = base64.b64encode(services.keyring.return_path_key).decode()
    show_json({"key": key}) if is_json else say(key)
