"""The catalogue: an entry that could not work is refused with its line, an event with its field."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from notifier.catalog import Catalog
from notifier.catalog.breaches import in_words, place_of
from notifier.catalog.paths import can_exist
from notifier.documents import ConfigErrors
from notifier.errors import ConfigError, EventRefused

ENTRY = """\
events:
  - type: order.placed
    title: Order placed
    category: orders
    class: transactional
    schema:
      type: object
      additionalProperties: false
      required: [customer]
      properties:
        customer:
          type: object
          additionalProperties: false
          properties:
            email: {type: string, format: idn-email}
        lines: {type: array, items: {type: object, properties: {note: {type: string}}}}
    sample: {customer: {email: ada@example.com}}
    sample_subject: O-1
"""

CLOSED = {"type": "object", "additionalProperties": False, "properties": {"email": {"type": "string"}}}


def load(folder: Path, text: str) -> Catalog:
    """The catalogue of one file."""
    (folder / "a.yaml").write_text(text)
    return Catalog.load(folder)


def wrong(folder: Path, text: str) -> list[ConfigError]:
    """What is wrong with one file."""
    with pytest.raises(ConfigErrors) as caught:
        load(folder, text)
    return list(caught.value.errors)


def breach(schema: Mapping[str, Any], value: object) -> tuple[str, str]:
    """Where and how a value breaks a schema."""
    error = next(jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True).iter_errors(value))
    return place_of(error), in_words(error)


def test_an_entry_is_known_by_its_type(tmp_path: Path) -> None:
    """With its defaults, and its lane for clients."""
    catalog = load(tmp_path, ENTRY)

    assert "order.placed" in catalog
    assert catalog["order.placed"].audience == ("*",)
    assert catalog.lanes() == {"order.placed": "normal"}
    assert [entry.type for entry in catalog] == ["order.placed"]


def test_a_file_may_hold_one_entry_alone(tmp_path: Path) -> None:
    """Without the list around it."""
    alone = "\n".join(line[4:] for line in ENTRY.splitlines()[1:])

    assert "order.placed" in load(tmp_path, alone)


@pytest.mark.parametrize(
    ("added", "line", "problem"),
    [
        ("    pii: [customer.mail]", 19, "the schema has no 'customer.mail'"),
        ("    secret: [a, lines.note, lines.text]", 19, "the schema has no 'a'"),
        ("    audience: []", 19, "at least 1 item"),
        ("    audience: [to, 'domain:']", 19, "must be *, to, a list or role"),
        ("    audience: ['ada@example.com']", 19, "must be *, to, a list or role"),
        ("    audiance: [to]", 19, "unknown key"),
        ("    deadline: 99999999999d", 19, "too long a duration"),
        ("    lookup: {a: {many: true}}", 19, "needs exactly one of sql and url"),
        ("    lookup: {a: {sql: SELECT 1, url: /a}}", 19, "needs exactly one of sql and url"),
        ("    lookup: {a: {sql: SELECT 1, many: true, sample: {b: 1}}}", 19, "the sample must be a list"),
        ("types: []", 19, "unknown key"),
        ("    preference: opt_in", 2, "preference opt_in does not go with class transactional"),
        ("    preference: never", 19, "'cant_unsubscribe', 'opt_in' or 'opt_out'"),
    ],
)
def test_an_entry_that_could_not_work_is_refused(tmp_path: Path, added: str, line: int, problem: str) -> None:
    """With the line it stands on."""
    error = wrong(tmp_path, ENTRY + added)[0]

    assert problem in error.problem
    assert error.line == line


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """Of the sample, of the paths, of a second entry."""
    text = ENTRY.replace("sample: {customer: {email: ada@example.com}}", "sample: {customer: {email: ada}}")
    again = ENTRY.partition("\n")[2]

    found = wrong(tmp_path, f"{text}    pii: [nowhere]\n{again}{again}")

    assert [error.problem for error in found] == [
        "the sample breaks the schema: data.customer.email: must be an email address",
        "the schema has no 'nowhere'",
        f"'order.placed' stands twice, first in {tmp_path / 'a.yaml'}:20",
    ]


@pytest.mark.parametrize("text", ["events: {}", "events: nothing"])
def test_the_events_are_a_list(tmp_path: Path, text: str) -> None:
    """A mapping of them would be read as one odd entry."""
    (error,) = wrong(tmp_path, text)

    assert (error.problem, error.field) == ("must be a list", "events")


def test_a_schema_that_is_none_is_refused(tmp_path: Path) -> None:
    """Before any event comes."""
    (error,) = wrong(tmp_path, ENTRY.replace("{type: string}", "{type: text}"))

    assert error.problem.startswith("not a JSON Schema")
    assert error.line == 6


@pytest.mark.parametrize(
    "audience", ["*", "to", "on-call", "domain:example.com", "domain:xn--mller-kva.example"]
)
def test_an_audience_has_four_forms(tmp_path: Path, audience: str) -> None:
    """Everybody, the addressed, a list or role, a domain."""
    catalog = load(tmp_path, f"{ENTRY}    audience: ['{audience}']")

    assert catalog["order.placed"].audience == (audience,)


def test_an_event_is_refused_by_field_without_its_value(tmp_path: Path) -> None:
    """The reason goes to logs and to the producer."""
    catalog = load(tmp_path, ENTRY)

    with pytest.raises(EventRefused) as caught:
        catalog.check("order.placed", {"customer": {"email": "ada.at.example"}})

    assert str(caught.value) == "data.customer.email: must be an email address"
    assert caught.value.code == "schema"
    with pytest.raises(EventRefused, match="unknown event type"):
        catalog.check("order.lost", {})


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"required": ["a"]}, {}, "'a' is required"),
        ({"type": "string"}, 7, "must be of type string"),
        ({"type": ["string", "null"]}, 7, "must be of type null or string"),
        ({"enum": ["card", "cash"]}, "gold", "must be one of card, cash"),
        ({"const": 3}, 4, "must be 3"),
        ({"format": "idn-email"}, "gold", "must be an email address"),
        ({"format": "uri"}, "gold", "must be a URL with its scheme, such as https://example.com/a"),
        ({"format": "date"}, "gold", "must be a date such as 2026-03-01"),
        ({"format": "json-pointer"}, "gold", "must be of the form json-pointer"),
        ({"pattern": "^[A-Z]$"}, "gold", "has not the form ^[A-Z]$"),
        ({"minLength": 1}, "", "must not be empty"),
        ({"minLength": 9}, "gold", "is shorter than 9 characters"),
        ({"maxLength": 1}, "gold", "is longer than 1 character"),
        ({"minItems": 1}, [], "needs at least 1 entry"),
        ({"minItems": 3}, ["gold"], "needs at least 3 entries"),
        ({"maxItems": 1}, ["gold", "silver"], "has more than 1 entry"),
        ({"uniqueItems": True}, ["gold", "gold"], "has an entry twice"),
        ({"minProperties": 1}, {}, "needs at least 1 key"),
        ({"maxProperties": 1}, {"gold": 1, "b": 2}, "has more than 1 key"),
        ({"minimum": 2}, 1, "must be at least 2"),
        ({"maximum": 2}, 777, "must be at most 2"),
        ({"exclusiveMinimum": 2}, 2, "must be more than 2"),
        ({"exclusiveMaximum": 2}, 777, "must be less than 2"),
        ({"multipleOf": 5}, 777, "must be a multiple of 5"),
        ({"properties": {"a": False}}, {"a": "gold"}, "must not be there"),
        ({"not": {"type": "string"}}, "gold", "breaks the rule not"),
        ({"anyOf": [{"type": "null"}, {"type": "array"}]}, "gold", "breaks the rule anyOf"),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"note": "gold"}, "unknown: note"),
        ({**CLOSED, "required": []}, {"gold@example.com": 1}, "unknown: (a key not shown)"),
    ],
)
def test_a_broken_rule_is_told_in_plain_words(schema: dict[str, Any], value: object, words: str) -> None:
    """And never with the value."""
    told = breach(schema, value)[1]

    assert told == words
    assert "gold" not in told
    assert "777" not in told


def test_the_place_is_named_unless_the_key_itself_is_data() -> None:
    """Keys of open objects may be addresses."""
    numbers = {"additionalProperties": {"type": "array", "items": {"type": "integer"}}}

    assert breach(numbers, {"a": [1, "x"]})[0] == "data.a[1]"
    assert breach(numbers, {"ada@example.com": ["x"]})[0] == "data.(a key not shown)[0]"


@pytest.mark.parametrize(
    ("schema", "path", "can"),
    [
        (CLOSED, "email", True),
        (CLOSED, "mail", False),
        (CLOSED, "email.local", False),
        ({}, "anything.at.all", True),
        ({"type": "object"}, "a", True),
        ({"type": ["object", "null"]}, "a", True),
        ({"type": "string"}, "a", False),
        ({"properties": {"a": {}}}, "b", False),
        ({"properties": {"a": True}}, "a.b", True),
        ({"properties": {"a": False}}, "a", False),
        ({"properties": {}, "additionalProperties": True}, "a.b", True),
        ({"additionalProperties": CLOSED}, "x.email", True),
        ({"additionalProperties": CLOSED}, "x.mail", False),
        ({"properties": {"all": {"type": "array", "items": CLOSED}}}, "all.email", True),
        ({"properties": {"all": {"type": "array", "items": CLOSED}}}, "all.mail", False),
        ({"properties": {"all": {"type": "array", "items": CLOSED}}}, "all.0", False),
        ({"allOf": [CLOSED]}, "email", True),
        ({"anyOf": [{"type": "null"}, CLOSED]}, "mail", False),
        ({"if": {}, "then": CLOSED}, "email", True),
        ({"$defs": {"p": CLOSED}, "properties": {"who": {"$ref": "#/$defs/p"}}}, "who.email", True),
        ({"$defs": {"p": CLOSED}, "properties": {"who": {"$ref": "#/$defs/p"}}}, "who.mail", False),
        ({"properties": {"next": {"$ref": "#"}, "name": {"type": "string"}}}, "next.next.name", True),
        ({"$ref": "#"}, "a", False),
    ],
)
def test_a_path_exists_where_data_of_the_schema_can_have_it(
    schema: dict[str, Any],
    path: str,
    can: bool,  # noqa: FBT001
) -> None:
    """Through lists, alternatives and references; an open object takes any."""
    assert can_exist(schema, path) is can
