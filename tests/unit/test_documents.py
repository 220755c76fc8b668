"""Strict documents: an error names the file, the line, the field and the mend; a text stays a text."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from notifier.documents import ConfigErrors, Documents, Duration, Strict, dotted, load, parse, read_duration
from notifier.errors import ConfigError

FILE = Path("some.yaml")


class Leaf(Strict):
    """An inner model."""

    colour: str = "red"
    span: Duration = timedelta(0)
    message_class: str = Field(default="", alias="class")


class Tree(Strict):
    """Models in every place a model can stand."""

    one: Leaf | None = None
    many: tuple[Leaf, ...] = ()
    named: Mapping[str, Annotated[Leaf, Field(description="by name")]] = Field(default_factory=dict)
    height: int = 1


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(minutes=90)),
        ("3d", timedelta(days=3)),
        ("50ms", timedelta(milliseconds=50)),
        ("999999999d", timedelta(days=999_999_999)),
    ],
)
def test_a_duration_is_written_as_people_write_it(text: str, span: timedelta) -> None:
    """Number and unit, as often as needed."""
    assert read_duration(text) == span
    assert read_duration(span) == span


@pytest.mark.parametrize("value", ["", "90", "-1s", "1.5h", "3 d", "1h ", "٣d", 90, None, True, ["1s"]])
def test_what_is_no_duration_is_refused_with_an_example(value: object) -> None:
    """A bare number has no unit, and is no duration."""
    with pytest.raises(ValueError, match="such as 90s"):
        read_duration(value)


@pytest.mark.parametrize("text", ["99999999999d", "999999999d24h", f"{'9' * 400}ms", f"{'9' * 5000}s"])
def test_an_endless_duration_is_refused(text: str) -> None:
    """It is a mistake of the file, not an error of arithmetic."""
    with pytest.raises(ValueError, match="too long a duration: at most 999999999d"):
        read_duration(text)


@given(st.text(alphabet="0123456789dhms", max_size=30))
def test_a_duration_is_read_or_refused(text: str) -> None:
    """Nothing else happens."""
    try:
        span = read_duration(text)
    except ValueError:
        return
    assert span >= timedelta(0)


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "On", "NO", "y", "n", "tRue"])
def test_only_true_and_false_are_booleans(word: str) -> None:
    """YAML 1.1 would make booleans of a key ``on`` and of Norway."""
    assert parse(f"{word}: {word}", FILE).value == {word: word}


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("True", True), ("FALSE", False), ("false", False)]
)
def test_true_and_false_are_booleans(word: str, value: bool) -> None:  # noqa: FBT001
    """And what begins like them is a text."""
    assert parse(f"[{word}, {word}ish, 5, 1.5, ~, null]", FILE).value == [
        value,
        f"{word}ish",
        5,
        1.5,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("text", "where", "known"),
    [
        ("hight: 1", "hight", "height"),
        ("one: {color: red}", "one.color", "colour"),
        ("many:\n- {}\n- {colur: red}", "many[1].colur", "colour"),
        ("named:\n  a:\n    clas: x", "named.a.clas", "class"),
    ],
)
def test_a_mistyped_key_is_answered_with_the_one_meant(text: str, where: str, known: str) -> None:
    """However deep it stands, and by the name files use."""
    (error,) = errors_of(text)

    assert (error.field, error.problem) == (where, "unknown key")
    assert error.mend == f"did you mean {known!r}?"
    assert error.line == text.count("\n") + 1


def test_a_key_like_no_other_is_to_be_removed() -> None:
    """A guess would mislead."""
    (error,) = errors_of("xyzzy: 1")

    assert error.mend == "remove it"


def test_all_errors_come_at_once_each_with_its_line() -> None:
    """A person mends a file in one go."""
    found = errors_of("height: tall\none:\n  span: 99999999999d\nmany: {}\n")

    wrong = {error.field: (error.line, error.problem) for error in found}
    assert {field: line for field, (line, _) in wrong.items()} == {"height": 1, "one.span": 3, "many": 4}
    assert "too long a duration" in wrong["one.span"][1]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key stands twice, first on line 1"),
        ("a: [1\nb: 2\n", 2, "not YAML"),
        ("a: \x07", None, "not YAML"),
        ("? [1, 2]\n: 3\n", 1, "not YAML"),
        ("a: !!python/object/apply:os.system [ls]", 1, "not YAML"),
        ("a: &a [*a]", None, "is nested without end"),
        ("a: 2026-13-45", None, "not YAML: a date"),
        ("a: !!bool maybe", None, "not YAML: a date or tagged value"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, line: int | None, problem: str) -> None:
    """Doubled keys, broken brackets, control characters, tags that would run code, anchors in circles."""
    with pytest.raises(ConfigError) as caught:
        parse(text, FILE)

    assert caught.value.problem.startswith(problem)
    assert caught.value.line == line
    assert caught.value.file == FILE


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    """Comments alone are nothing."""
    (tmp_path / "a.yaml").write_text("# nothing\n")

    assert load(tmp_path / "a.yaml").value == {}


def test_a_folder_is_read_whole_in_the_order_of_names(tmp_path: Path) -> None:
    """Folders below included, other files left alone."""
    (tmp_path / "sub").mkdir()
    for name in ("b.yaml", "a.yaml", "sub/c.yaml", "a.txt"):
        (tmp_path / name).write_text("x: 1")

    assert [document.file.name for document in Documents.of(tmp_path)] == ["a.yaml", "b.yaml", "c.yaml"]


@pytest.mark.parametrize("name", ["a.yml", "sub/a.yml", "a.YAML", "a.Yml"])
def test_a_file_that_would_never_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    """It says what to name it; what else lies there is read all the same."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.yaml").write_text("x: 1")
    (tmp_path / name).write_text("x: 1")

    documents, errors = Documents.readable(tmp_path)

    assert [document.file.name for document in documents] == ["b.yaml"]
    assert [error.file for error in errors] == [tmp_path / name]
    assert (errors[0].mend or "").startswith("name it a.yaml")


def bomb(levels: int, merged: str = "") -> str:
    """Return YAML whose every level stands nine times for the one before."""
    text = "a0: &a0 {x: 1}\n"
    for level in range(1, levels + 1):
        nine = ", ".join([f"*a{level - 1}"] * 9)
        text += f"a{level}: &a{level} {{<<: [{nine}]}}\n" if merged else f"a{level}: &a{level} [{nine}]\n"
    return text


@pytest.mark.parametrize("merged", ["", "<<"])
def test_aliases_of_aliases_do_not_multiply_without_end(merged: str) -> None:
    """A few hundred bytes may not become millions of values; a few aliases are fine."""
    assert parse(bomb(3, merged), FILE).value["a0"] == {"x": 1}

    with pytest.raises(ConfigError, match="its aliases stand for more than 200000 values"):
        parse(bomb(8, merged), FILE)


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    """With what stands in the way."""
    with pytest.raises(ConfigError, match=r"nowhere: the folder does not exist"):
        Documents.of(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Latin-1, or a picture."""
    (tmp_path / "a.yaml").write_bytes(b"name: M\xfcller")

    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(tmp_path / "a.yaml")


def test_a_path_is_written_as_people_would() -> None:
    """Dots for keys, brackets for positions."""
    assert dotted(("rules", 2, "when")) == "rules[2].when"
    assert dotted(()) == ""


def errors_of(text: str) -> list[ConfigError]:
    """What is wrong with a tree."""
    with pytest.raises(ConfigErrors) as caught:
        parse(text, FILE).read(Tree)
    return list(caught.value.errors)


def test_a_right_tree_is_read() -> None:
    """Every place takes its model."""
    value: Any = parse("one: {class: x}\nnamed: {a: {span: 2s}}", FILE).read(Tree)

    assert value.one.message_class == "x"
    assert value.named["a"].span == timedelta(seconds=2)
