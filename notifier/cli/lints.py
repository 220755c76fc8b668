"""Check rules as they lie in their files: what loading refuses, and what it accepts and nobody can have meant.

Reads files; asks no database.
"""

from dataclasses import replace

from notifier.catalog import Catalog
from notifier.cli.findings import Finding, finding_of
from notifier.documents import ConfigErrors, Documents
from notifier.errors import ConfigError
from notifier.events import Recipient
from notifier.recipients.lists import read_list
from notifier.rules.lint import lint
from notifier.rules.load import read_rules
from notifier.settings import Settings


def lints(catalog: Catalog, settings: Settings) -> list[Finding]:
    """Return what the rules say that cannot work; a file that is no YAML is left out."""
    try:
        documents, _ = Documents.readable(settings.config_path / "rules")
    except ConfigError:  # there is no such folder: loading says so
        return []
    return [finding_of(one.error, one.severity) for one in lint(documents, catalog, _lists(settings))]


def as_warnings(findings: list[Finding]) -> list[Finding]:
    """Return the findings without weight: rules that load do run."""
    return [replace(one, severity="warning") for one in findings]


def inspect_rules(catalog: Catalog, settings: Settings) -> list[Finding]:
    """Return all that is wrong with the rules: what is refused first."""
    return _refused(catalog, settings) + lints(catalog, settings)


def _refused(catalog: Catalog, settings: Settings) -> list[Finding]:
    try:
        read_rules(
            settings.config_path / "rules",
            types=[entry.type for entry in catalog],
            lists=list(settings.lists),
            templates=lambda name: (settings.templates_path / name).is_dir(),
        )
    except ConfigErrors as wrong:
        return [finding_of(one) for one in wrong.errors]
    except ConfigError as wrong:
        return [finding_of(wrong)]
    return []


def _lists(settings: Settings) -> dict[str, tuple[Recipient, ...]]:
    """Return the lists that can be read; `config check` tells of the others."""
    found: dict[str, tuple[Recipient, ...]] = {}
    for name, entries in settings.lists.items():
        try:
            found[name] = read_list(name, entries)
        except ConfigError:
            continue
    return found
