"""``notifier events``: the catalogue, as producers need it."""

import click

from notifier.catalog import EventType
from notifier.cli.opening import opened
from notifier.cli.output import (
    Column,
    as_json,
    json_option,
    say,
    show_fields,
    show_json,
    show_lines,
    show_table,
)
from notifier.events import Json


@click.command()
@click.argument("type_", metavar="[TYPE]", required=False)
@json_option
def events(*, type_: str | None, is_json: bool) -> None:
    """List the event types, or show one with its schema and a sample."""
    with opened() as services:
        catalog = services.catalog
    if type_ is None:
        _list(sorted(catalog, key=lambda entry: entry.type), is_json=is_json)
        return
    entry = catalog[type_]
    show_json(_document(entry)) if is_json else _show(entry)


def _list(entries: list[EventType], *, is_json: bool) -> None:
    if is_json:
        show_lines(_summary(entry) for entry in entries)
        return
    columns = (
        Column("type", 28), Column("title", 20), Column("class", 13), Column("urgency", 7),
        Column("category", 10, is_optional=True),
    )  # fmt: skip
    rows = [
        (entry.type, entry.title, entry.message_class.value, entry.urgency.value, entry.category)
        for entry in entries
    ]
    show_table(columns, rows, empty="the catalogue is empty")


def _summary(entry: EventType) -> dict[str, Json]:
    return {
        "type": entry.type, "title": entry.title, "category": entry.category,
        "class": entry.message_class.value, "urgency": entry.urgency.value,
    }  # fmt: skip


def _document(entry: EventType) -> dict[str, Json]:
    return {
        **_summary(entry), "audience": entry.audience, "deadline": entry.deadline,
        "is_tls_required": entry.is_tls_required, "unknown": entry.unknown, "pii": entry.pii,
        "secret": entry.secret, "lookup": sorted(entry.lookup), "schema": dict(entry.data_schema),
        "sample": dict(entry.sample), "sample_subject": entry.sample_subject,
    }  # fmt: skip


def _show(entry: EventType) -> None:
    document = _document(entry)
    schema, sample = document.pop("schema"), document.pop("sample")
    show_fields(document)
    say("\nschema of its data")
    say(as_json(schema, indent=2))
    say("\nsample")
    say(as_json(sample, indent=2))
    say(f"\ntry it: notifier enqueue {entry.type} --subject {entry.sample_subject} --data @sample.json")
