"""``notifier rules import``: make rules of another product's configuration."""

from dataclasses import asdict
from pathlib import Path

import click

from notifier.cli.findings import finding_of
from notifier.cli.output import json_option, say, show_json
from notifier.errors import ConfigError
from notifier.rules.imports.alertmanager import Imported, import_alertmanager


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write NAME.yaml into this folder."
)
@click.option("--name", default="alertmanager", show_default=True, help="What the alert rule is called.")
@click.option("--force", is_flag=True, help="Replace the file.")
@json_option
def import_(*, file: Path, out: Path | None, name: str, force: bool, is_json: bool) -> None:
    """Turn FILE, an alertmanager.yml, into rules, and say of everything that has no equal what to do.

    The rules go to standard output, or with --out into a file; the remarks go to standard error, each with its line.
    Exit code 0 with remarks, 2 when the file cannot be read.
    """
    imported = import_alertmanager(_text(file), file, name=name)
    if out is not None:
        _write(out / f"{name}.yaml", imported, is_forced=force)
    if is_json:
        show_json(
            {
                "rules": imported.rules,
                "lists": imported.lists,
                "remarks": [asdict(finding_of(one, "warning")) for one in imported.remarks],
            }
        )
        return
    if out is None:
        click.echo(imported.rules_text, nl=False)
    _remark(imported)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            error.strerror or "cannot be read", file=file, mend="name an alertmanager.yml"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", file=file, mend="save it as UTF-8") from None


def _write(file: Path, imported: Imported, *, is_forced: bool) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w" if is_forced else "x", encoding="utf-8") as written:
            written.write(imported.rules_text)
    except FileExistsError:
        raise click.UsageError(f"{file} is there already: remove it, or add --force") from None
    say(f"written: {file}", is_error=True)


def _remark(imported: Imported) -> None:
    for one in imported.remarks:
        found = finding_of(one)
        say(f"{found.place}: {one.field or 'the file'}: {one.problem}", is_error=True)
        say(f"  to do: {one.mend}", is_error=True)
    if imported.lists:
        names = ", ".join(imported.lists)
        say(f"lists for notifier.yaml, and for `audience` of alertmanager.alert: {names}", is_error=True)
    say(f"remarks: {len(imported.remarks)}", is_error=True)
