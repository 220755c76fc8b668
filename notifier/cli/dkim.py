"""``notifier dkim``: make the keys that sign mails, and show what DNS must say of them."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from notifier.channels.signing import dkim_keys
from notifier.cli.output import json_option, say, show_json, show_lines
from notifier.crypto.dkim_keys import Algorithm, new_key, read_key, record, record_line, record_name
from notifier.errors import ConfigError
from notifier.forms import is_host
from notifier.mime import DkimKey
from notifier.settings import load_settings


@click.group()
def dkim() -> None:
    """Make DKIM keys, and show what DNS must say of them."""


@dkim.command()
@click.argument("domain")
@click.option("--selector", help="Its name in DNS; by default made of year and month.")
@click.option("--file", "file", type=click.Path(path_type=Path), help="Where the private key goes.")
@click.option("--ed25519", "is_ed25519", is_flag=True, help="Make the second key, which signs beside RSA.")
@json_option
def key(*, domain: str, selector: str | None, file: Path | None, is_ed25519: bool, is_json: bool) -> None:
    """Make a key: write its private half to a file that only you can read, and print the DNS record.

    A file that is there is never overwritten. Publish the record first, wait until it is visible, then name the
    file under `dkim` in notifier.yaml.
    """
    algorithm: Algorithm = "ed25519" if is_ed25519 else "rsa"
    domain = domain.lower().removesuffix(".")
    selector = (selector or f"n{datetime.now(UTC):%Y%m}{'e' if is_ed25519 else ''}").lower()
    for name, field in ((domain, "DOMAIN"), (selector, "--selector")):
        if not is_host(name):
            raise ConfigError("must be a name as DNS takes it", field=field, mend="such as example.com")
    target = file or Path(f"dkim-{domain}-{selector}.pem")
    pem = new_key(algorithm)
    _write(target, pem)
    text = record(read_key(pem))
    if is_json:
        show_json({
            "file": str(target), "selector": selector, "name": record_name(selector, domain), "text": text,
        })  # fmt: skip
        return
    say(
        f"wrote the private key to {target}; publish this record, then add the lines below to notifier.yaml:\n"
    )
    say(record_line(selector, domain, text))
    say(_setting(domain, selector, target, is_ed25519=is_ed25519))


@dkim.command("record")
@click.argument("domain", required=False)
@json_option
def record_(*, domain: str | None, is_json: bool) -> None:
    """Print the DNS records of the configured keys, or of one domain's."""
    settings = load_settings()
    if domain is not None and domain not in settings.dkim:
        known = ", ".join(settings.dkim) or "none is configured"
        raise ConfigError("no key is configured for it", field="DOMAIN", mend=f"one of: {known}")
    wanted = settings.dkim if domain is None else {domain: settings.dkim[domain]}
    keys = [one for name, entry in wanted.items() for one in dkim_keys(name, entry)]
    if is_json:
        show_lines([_row(one) for one in keys])
        return
    if not keys:
        say("no key is configured; `notifier dkim key DOMAIN` makes one")
    for one in keys:
        say(record_line(one.selector, one.domain, record(one.key)))


def _row(key: DkimKey) -> dict[str, str | None]:
    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": "ed25519" if isinstance(key.key, Ed25519PrivateKey) else "rsa",
        "active_from": key.active_from.isoformat() if key.active_from is not None else None,
        "name": record_name(key.selector, key.domain),
        "text": record(key.key),
    }


def _write(file: Path, pem: bytes) -> None:
    try:
        # O_EXCL follows no link either, so nobody can have put one there before us.
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        mend = "name another --file or --selector; a key in use must not be lost"
        raise ConfigError("is there already", file=file, mend=mend) from None
    except OSError as error:
        raise ConfigError(error.strerror or "cannot be written", file=file, mend="check the folder") from None
    with os.fdopen(handle, "wb") as out:
        out.write(pem)


def _setting(domain: str, selector: str, file: Path, *, is_ed25519: bool) -> str:
    entry = f"selector: {selector}, key_file: {file.resolve()}"
    below = f"ed25519: {{{entry}}}" if is_ed25519 else entry.replace(", ", "\n    ")
    return f"\ndkim:\n  {domain}:\n    {below}"
