"""Conditions are compiled once, answered with plain reasons, and never leak a value into a reason."""

from datetime import UTC, datetime

import pytest

from notifier.events import Json
from notifier.rules.conditions import ConditionError, _position, compile_condition, context_of

DATA: dict[str, Json] = {
    "total": 39.9,
    "count": 3,
    "name": "Ann Example",
    "nothing": None,
    "items": [{"price": 1}, {"price": 60}],
    "a-b": {"c": "x"},
    "huge": 2**62,
    "flag": True,
}
FUNCTION = "a function of the condition does not take the value it was given"
VARIABLES: dict[str, Json] = {
    "data": DATA,
    "event": {"type": "order.shipped", "time": datetime(2026, 5, 1, tzinfo=UTC)},
    "journey": {"stage": "approved", "stages": ["approved", "requested"]},
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("data.total > 0", True),
        ("data.count == 3 && data.total < 40.0", True),
        ("data.flag", True),
        ("!has(data.gone)", True),
        ("has(data.gone) && data.gone > 1", False),
        ("data.items.exists(i, i.price > 50)", True),
        ("data.items.all(item, item.price > 50)", False),
        ("event.time < timestamp('2027-01-01T00:00:00Z')", True),
        ("event.type.startsWith('order.')", True),
        ("journey.stage == 'approved' && 'requested' in journey.stages", True),
        ("data['a-b'].c == 'x'", True),
    ],
)
def test_a_condition_is_answered(source: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """CEL over the three variables."""
    answer = compile_condition(source).answer(context_of(VARIABLES))

    assert (answer.is_true, answer.reason) == (expected, "")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("data.gone > 1", "the field 'gone' is absent (guard it with `has(...)`)"),
        ("data[data.name] > 1", "the field it looks for is absent (guard it with `has(...)`)"),
        ("data.nothing > 1", "a field is null, or of another type than the condition expects"),
        ("data.name > 1", "a field is null, or of another type than the condition expects"),
        ("data.items[7].price > 1", "a list is shorter than the condition expects"),
        ("data.count / 0 == 1", "a division by zero, or a number that is too large"),
        ("data.huge * 100 > 1", "a division by zero, or a number that is too large"),
        ("timestamp(data.name) < event.time", FUNCTION),
        ("duration(data.name) > duration('1h')", FUNCTION),
        ("size(data.count) > 1", FUNCTION),
        ("data.name", "it gives a str, not true or false"),
        ("data.count + 1", "it gives a int, not true or false"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_neither_true_nor_false(source: str, reason: str) -> None:
    """The reason is in plain words and quotes no value."""
    answer = compile_condition(source).answer(context_of(VARIABLES))

    assert answer.is_true is None
    assert answer.reason == reason
    assert "Ann" not in answer.reason


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("data.total >", "column 13: mismatched input '<EOF>'"),
        ("", "column 1"),
        ("data.total > 0 &&\n  data.x ==", "line 2, column 12"),
        ("total > 0", "unknown variable 'total'; known here: data, event, journey"),
        ("data.items.all(i, j > 0)", "unknown variable 'j'"),
        ("now() > event.time", "unknown function 'now'"),
        ("data.name.lower() == 'x'", "unknown function 'lower'"),
    ],
)
def test_a_wrong_condition_is_refused_when_it_is_read(source: str, words: str) -> None:
    """Not when the first event comes."""
    with pytest.raises(ConditionError) as caught:
        compile_condition(source)

    assert words in str(caught.value)


def test_only_the_variables_of_the_place_are_known() -> None:
    """Outside of a journey there is no journey."""
    with pytest.raises(ConditionError, match="unknown variable 'journey'; known here: data, event"):
        compile_condition("journey.stage == 'x'", frozenset({"data", "event"}))


@pytest.mark.parametrize(
    ("source", "facts"),
    [
        ("data.total > 0 && data.total < 50", {"data.total": 39.9}),
        ("data.name.startsWith('A')", {"data.name": "Ann Example"}),
        ("data.items[1].price > 5", {"data.items.1.price": 60}),
        ("data['a-b'].c == 'data.total'", {"data.a-b.c": "x"}),
        ('"data.total" != "event.type"', {}),
        ("has(data.gone)", {}),
        ("event.time < timestamp('2027-01-01T00:00:00Z')", {"event.time": "2026-05-01T00:00:00+00:00"}),
        ("journey.stage == event.type", {"journey.stage": "approved", "event.type": "order.shipped"}),
        ("size(data) > 1", {}),
        ("data.items.exists(data, data.price > 1)", {"data.items": DATA["items"]}),
    ],
)  # fmt: skip
def test_the_facts_are_the_fields_the_condition_names(source: str, facts: dict[str, Json]) -> None:
    """No more of the event goes into the trace than the condition looked at."""
    assert compile_condition(source).facts(VARIABLES) == facts


@pytest.mark.parametrize(
    ("secret", "shown"), [(("name",), "(secret)"), (("a-b",), "Ann Example"), (("names",), "Ann Example")]
)
def test_a_secret_field_is_masked(secret: tuple[str, ...], shown: str) -> None:
    """What the catalogue calls secret is in no trace."""
    assert compile_condition("data.name != ''").facts(VARIABLES, secret) == {"data.name": shown}


def test_what_holds_a_secret_or_stands_in_one_is_masked() -> None:
    """A secret does not slip out with its parent."""
    condition = compile_condition("size(data.items) > 0 && data['a-b'].c == 'x'")

    assert condition.facts(VARIABLES, ("items.0.price", "a-b")) == {
        "data.items": "(secret)",
        "data.a-b.c": "(secret)",
    }


def test_data_that_cel_cannot_hold_is_named_and_not_quoted() -> None:
    """A text that is no Unicode makes conditions fail, not the process."""
    with pytest.raises(ConditionError, match="a value that conditions cannot read"):
        context_of({"data": {"name": "\ud800"}})


def test_a_condition_that_is_too_deep_is_refused() -> None:
    """By the parser's own limit."""
    with pytest.raises(ConditionError, match="not a CEL expression"):
        compile_condition("(" * 300 + "true" + ")" * 300)


def test_a_message_of_the_parser_without_a_position_is_kept_out() -> None:
    """Another version of the library may word its errors otherwise."""
    assert _position("Failed to parse expression 'x': too long") == "not a CEL expression"
