"""Check the whole configuration as it lies in its files, and find everything that is wrong at once.

Reads files; asks a database only whether it knows the tenants of schedules. A later part is checked even
where an earlier one is broken.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psycopg

from notifier.bootstrap import Services
from notifier.catalog import Catalog
from notifier.channels.configured import sms_provider, smtp_relay
from notifier.channels.registry import check_providers
from notifier.channels.signing import dkim_keys, weaknesses
from notifier.cli.crosschecks import (
    diverted,
    foreign_schedules,
    unchecked_tenants,
    unencrypted,
    unknown_sources,
    unknown_tenants,
    unlinked,
    unsendable,
    untold,
)
from notifier.cli.failures import lines
from notifier.cli.findings import Finding, finding_of
from notifier.cli.lints import as_warnings, lints
from notifier.cli.places import Places, located
from notifier.crypto.server_certificate import ServerCertificate
from notifier.documents import ConfigErrors, Document, load
from notifier.errors import ConfigError, NotifierError, TemplateError
from notifier.events import Json
from notifier.pipeline.planning.samples import sample_context, unsampled, uses
from notifier.recipients.budgets import read_budgets
from notifier.recipients.lists import read_list
from notifier.rendering.check import Finding as TemplateFinding
from notifier.rendering.check import check
from notifier.rendering.clients import read_accepted
from notifier.rendering.templates import Templates
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet, Schedule
from notifier.settings import Settings, defaults, find_config, load_settings, read_document
from notifier.store.tenants import known_tenants

PartT = TypeVar("PartT")


@dataclass(slots=True)
class Inspection:
    """What was found so far."""

    findings: list[Finding] = field(default_factory=list)

    def attempt(self, load: Callable[[], PartT], document: Document | None = None) -> PartT | None:
        """Load a part; keep what is wrong with it, at its place in the document of settings."""
        try:
            return load()
        except ConfigErrors as wrong:
            self.findings += [_found(error, document) for error in wrong.errors]
        except ConfigError as wrong:
            self.findings.append(_found(wrong, document))
        except TemplateError as wrong:
            self.findings.append(_of_template(wrong))
        return None


def inspect() -> list[Finding]:
    """Check settings, catalogue, rules, templates, and what they say of each other."""
    seen = Inspection()
    settings = seen.attempt(load_settings)
    services = Services(settings or defaults())
    if settings is not None:
        document = read_document(settings.config_path / "notifier.yaml")
        for part in _parts(services):
            seen.attempt(part, document)
        seen.findings += [*_weaknesses(settings, document), *diverted(settings, document)]
    catalog = seen.attempt(lambda: services.catalog)
    templates = seen.attempt(lambda: services.templates)
    has_template = (lambda name: name in templates.names()) if templates is not None else None
    lists = list(services.settings.lists) if settings is not None else _named_lists()
    # Without a word about lists, every rule would seem to name an unknown one.
    rules = None if lists is None else seen.attempt(
        lambda: read_rules(
            services.settings.config_path / "rules", lists=lists,
            types=None if catalog is None else [entry.type for entry in catalog], templates=has_template,
        )
    )  # fmt: skip
    if catalog is None:
        return seen.findings
    seen.findings += as_warnings(lints(catalog, services.settings))
    if settings is not None:
        try:
            seen.findings += _cross_checks(catalog, rules, services)
        finally:
            services.close()
    if rules is not None and templates is not None:
        seen.findings += inspect_templates(templates, catalog, rules, services.settings)
    return seen.findings


def inspect_templates(
    templates: Templates, catalog: Catalog, rules: RuleSet, settings: Settings
) -> list[Finding]:
    """Render every template on its type's sample and return what its readers would mind."""
    taken = uses(catalog, rules)
    samples: dict[str, Mapping[str, Json]] = {
        name: sample_context(
            use, rules, brand=settings.brand.model_dump(), zone=settings.zone, locale=settings.locale,
            now=datetime.now(UTC),
        )
        for name, use in taken.items()
    }  # fmt: skip
    folder = settings.templates_path
    accepted = read_accepted(folder)
    # Without a sample of its live data a template is loaded, not rendered.
    unseen = {name for name, use in taken.items() if unsampled(use.entry)}
    unused = set(templates.names()) - set(taken)
    findings = [
        _of_check(one, folder)
        for one in check(templates, samples, accepted=accepted)
        if one.file.rpartition("/")[0] not in unseen and one.file not in unused
    ]
    findings += (_not_rendered(name, folder) for name in sorted(unseen))
    return [*findings, _unused(unused, folder)] if unused else findings


def _named_lists() -> list[str] | None:
    """Return the lists as the file names them, where its settings are wrong elsewhere; None if nobody can read it."""
    try:
        document = load(find_config() / "notifier.yaml")
    except ConfigError:
        return None
    named = document.value.get("lists") if isinstance(document.value, dict) else None
    return list(named) if isinstance(named, dict) else []


def _cross_checks(catalog: Catalog, rules: RuleSet | None, services: Services) -> Iterator[Finding]:
    settings = services.settings
    places = Places(settings.config_path, has_rules=rules is not None)
    yield from unknown_sources(catalog, settings, places)
    if rules is not None:
        yield from unencrypted(catalog, rules, settings, places)
        yield from unsendable(rules, settings, places)
        yield from unlinked(catalog, settings, places)
        yield from untold(settings, read_document(settings.config_path / "notifier.yaml"))
        yield from _tenants(foreign_schedules(rules), services, places)


def _tenants(schedules: list[Schedule], services: Services, places: Places) -> Iterator[Finding]:
    """Ask the database whom it knows, if a schedule makes that worth it and there is one to ask."""
    if not schedules:
        return
    if "database_url" not in services.settings.model_fields_set:
        yield from unchecked_tenants(schedules, "no database is configured", places)
        return
    try:
        with services.database.connection() as connection:
            known = known_tenants(connection)
    except (NotifierError, psycopg.Error) as error:
        yield from unchecked_tenants(schedules, lines(error)[0], places)
    else:
        yield from unknown_tenants(schedules, known, places)


def _parts(services: Services) -> Iterator[Callable[[], object]]:
    settings = services.settings
    yield lambda: services.policy
    yield lambda: read_budgets(settings.budgets)
    yield lambda: services.reply_rules
    # Each by itself: one wrong list must not hide the next.
    for name, entries in settings.lists.items():
        yield lambda name=name, entries=entries: read_list(name, entries)  # type: ignore[misc]
    for name, relay in settings.relays.items():
        yield lambda name=name, relay=relay: smtp_relay(name, relay, settings).tls_context()  # type: ignore[misc]
    for domain, dkim in settings.dkim.items():
        yield lambda domain=domain, dkim=dkim: dkim_keys(domain, dkim)  # type: ignore[misc]
    if (tls := settings.mail_in.tls) is not None:
        yield lambda: ServerCertificate(tls.cert_file, tls.key_file, field="mail_in.tls")
    if settings.sms is not None:
        sms = settings.sms
        yield lambda: sms_provider(sms)
    if settings.providers:
        yield lambda: check_providers(services.providers)
    if settings.master_key is not None:
        yield lambda: services.master_keys


def _weaknesses(settings: Settings, document: Document) -> list[Finding]:
    try:
        return [finding_of(located(one, document), "warning") for one in weaknesses(settings)]
    except ConfigError:  # a key that cannot be read is an error of its own
        return []


def _found(error: ConfigError, document: Document | None) -> Finding:
    return finding_of(located(error, document) if document is not None else error)


def _of_template(error: TemplateError) -> Finding:
    return Finding(
        severity="error", file=error.template, line=error.line, field=error.variable, problem=error.problem,
        mend=None,
    )  # fmt: skip


def _of_check(found: TemplateFinding, folder: Path) -> Finding:
    return Finding(
        severity=found.severity.value,
        file=str(folder / found.file), line=found.line, field=None, problem=found.text,
        mend=found.mend,
    )  # fmt: skip


def _not_rendered(name: str, folder: Path) -> Finding:
    return Finding(
        severity="warning", file=str(folder / name), line=None, field=None,
        problem="not tried: its type looks up live data that has no sample",
        mend=f"add a sample to each look-up, or try: notifier template preview {name} --live @file",
    )  # fmt: skip


def _unused(names: set[str], folder: Path) -> Finding:
    return Finding(
        severity="warning", file=str(folder), line=None, field=None,
        problem=f"not tried, since no rule takes them: {', '.join(sorted(names))}", mend=None,
    )  # fmt: skip
