"""``notifier template``: see a message before anybody gets it, and check all templates."""

from datetime import UTC, datetime
from pathlib import Path

import click

from notifier.bootstrap import Services
from notifier.cli.arguments import json_object
from notifier.cli.config import report
from notifier.cli.configuration import inspect_templates
from notifier.cli.opening import opened
from notifier.cli.output import json_option, say, show_json
from notifier.errors import ConfigError, TemplateError
from notifier.events import Json
from notifier.messages import ChannelName, Rendered
from notifier.pipeline.planning.samples import Use, sample_context, uses


@click.group()
def template() -> None:
    """Preview and check templates."""


@template.command()
@click.argument("name")
@click.option(
    "--channel", type=click.Choice([one.value for one in ChannelName]), default="email", show_default=True
)
@click.option("--locale", help="Such as de; the configured one otherwise.")
@click.option("--data", type=json_object, metavar="@FILE|JSON", help="Instead of the type's sample.")
@click.option(
    "--live", type=json_object, metavar="@FILE|JSON", help="Live data, where the type looks some up."
)
@click.option("--type", "type_", metavar="TYPE", help="The event type, where several take the template.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the HTML there.")
@json_option
def preview(
    *, name: str, channel: str, locale: str | None, data: dict[str, Json] | None,
    live: dict[str, Json] | None, type_: str | None, out: Path | None, is_json: bool,
) -> None:  # fmt: skip
    """Render a template as it would go out, on the sample of its event type."""
    with opened() as services:
        templates, wanted = services.templates, locale or services.settings.locale
        if name not in templates.names():
            templates.version(name)  # says which one may be meant
        use = _use(services, name, type_)
        if data is not None:
            services.catalog.check(use.entry.type, data)
        context = sample_context(
            use, services.rules, brand=services.settings.brand.model_dump(), zone=services.settings.zone,
            locale=wanted, now=datetime.now(UTC), data=data, live=live,
        )  # fmt: skip
        content = templates.render(name, ChannelName(channel), wanted, context)
    if out is not None:
        _write(out, content, name)
    _show(content, out, is_json=is_json)


@template.command()
@json_option
def check(*, is_json: bool) -> None:
    """Render every template in every language on its sample; report what its readers would mind."""
    with opened() as services:
        findings = inspect_templates(services.templates, services.catalog, services.rules, services.settings)
    report(findings, is_json=is_json)


def _use(services: Services, name: str, type_: str | None) -> Use:
    if type_ is not None:
        entry = services.catalog[type_]
        for rule in services.rules.rules_for(type_):
            if rule.telling.template_for(type_) == name:
                return Use(entry=entry, rule=rule)
        raise ConfigError(f"no rule for {type_} takes the template {name}", field="--type")
    found = uses(services.catalog, services.rules).get(name)
    if found is None:
        raise ConfigError(f"no rule takes the template {name}, so there is no sample for it", field="NAME")
    return found


def _write(out: Path, content: Rendered, name: str) -> None:
    if content.html is None:
        raise TemplateError("has no HTML on this channel: leave --out away", template=name)
    try:
        out.write_text(content.html, encoding="utf-8")
    except OSError as error:
        raise ConfigError(error.strerror or "cannot be written", file=out, mend="name another file") from None


def _show(content: Rendered, out: Path | None, *, is_json: bool) -> None:
    if is_json:
        show_json(content)
        return
    if content.subject:
        say(f"Subject: {content.subject}\n")
    for line in content.text.rstrip().splitlines():
        say(line)
    if out is not None:
        say(f"\nthe HTML is in {out}", is_error=True)
