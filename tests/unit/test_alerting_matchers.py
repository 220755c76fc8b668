"""Matchers are read, written and applied as Alertmanager does."""

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.matchers import (
    OPS,
    Matcher,
    MatcherError,
    Op,
    all_match,
    parse_matcher,
    parse_matchers,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MATCHERS = st.builds(Matcher, name=TEXTS, op=st.sampled_from(["=", "!="]), value=TEXTS)


def one(op: str, value: str, name: str = "host") -> Matcher:
    """A matcher on one label."""
    return Matcher(name=name, op=cast("Op", op), value=value)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", []),
        (" \t\n ", []),
        ("{}", []),
        ("{ }", []),
        ("host=web-1", [("host", "=", "web-1")]),
        ("  host  !=  web-1  ,  ", [("host", "!=", "web-1")]),
        ("{host=~web.*,site!~b[ae]r}", [("host", "=~", "web.*"), ("site", "!~", "b[ae]r")]),
        ('host=""', [("host", "=", "")]),
        ('"host name"="a, b = {c}"', [("host name", "=", "a, b = {c}")]),
        (r'host="say \"hi\"\\\t\x41\101\u00e9"', [("host", "=", 'say "hi"\\\tAAé')]),
        (r'host="\xc3\xa9"', [("host", "=", "é")]),
        ("größe=groß", [("größe", "=", "groß")]),
        ("host=a:b/c.d", [("host", "=", "a:b/c.d")]),
        ('""=a', [("", "=", "a")]),
        ("a=1\u2003,b=2", [("a", "=", "1"), ("b", "=", "2")]),
    ],
)
def test_text_is_read_as_matchers(text: str, want: list[tuple[str, str, str]]) -> None:
    """Braces are optional, a comma may end the list, quotes know escapes, bare words none."""
    assert [(matcher.name, matcher.op, matcher.value) for matcher in parse_matchers(text)] == want


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{host=a", "character 8 (the end): expected a comma or the closing brace"),
        ("host=a}", "character 7 ('}'): a closing brace without an opening one"),
        ("}", "character 1 ('}'): a closing brace"),
        ("{host=a}}", "character 9 ('}'): expected the end"),
        ("{{host=a}", "character 2 ('{'): expected a label name"),
        (",", "character 1 (','): expected a label name"),
        ("host=a,,", "character 8 (','): expected a label name"),
        ("host", "character 5 (the end): expected one of =, !=, =~, !~"),
        ("host=", "character 6 (the end): expected a label value"),
        ("host==a", "character 6 ('='): expected a label value"),
        ("host!a", "character 5 ('!'): must stand in quotes"),
        ("host=a site=b", "character 8 ('s'): expected a comma or the end"),
        ('host="a', "character 6 ('\"'): a quote that is never closed"),
        ("host='a'", 'character 6 ("\'"): must stand in quotes'),
        (r"host=a\n", "character 7 ('\\\\'): must stand in quotes"),
        (r'host="\w"', "character 6 ('\"'): no escape: \\w"),
        ('host="\\"', "character 6 ('\"'): a quote that is never closed"),
        (r'host="\ud800"', "no character: \\ud800"),
        (r'host="\U00110000"', "no character: \\U00110000"),
        (r'host="\xc3"', "the escaped bytes are no UTF-8"),
        (r'host="\400"', "no escape: \\4"),
        ('host="a\nb"', "a line break must be written"),
        ('a=1, host=~"web["', "character 12 ('\"'): 'web[' is no RE2 pattern: missing ]"),
        ('host=~"(?=a)"', "is no RE2 pattern"),
        ("host=\ud800", "character 6 is no Unicode character"),
    ],
)
def test_wrong_text_is_refused_with_its_place(text: str, problem: str) -> None:
    """The message names the character, counted from 1, and what was expected there."""
    with pytest.raises(MatcherError) as refused:
        parse_matchers(text)

    assert problem in str(refused.value)


@pytest.mark.parametrize(("text", "found"), [("", "none"), ("{}", "none"), ("a=1,b=2", "2")])
def test_one_matcher_is_neither_none_nor_two(text: str, found: str) -> None:
    """Where one is asked for, the message counts."""
    with pytest.raises(MatcherError, match=f"expected one matcher, found {found}"):
        parse_matcher(text)


@pytest.mark.parametrize(
    ("op", "pattern", "value", "is_match"),
    [
        ("=", "web", "web", True),
        ("=", "web", "web-1", False),
        ("!=", "web", "web", False),
        ("=~", "web", "web-1", False),
        ("=~", "web|web-1", "web-1", True),
        ("=~", "web.*", "web-1", True),
        ("=~", "web.1", "web\n1", False),
        ("=~", "(?s)web.1", "web\n1", True),
        ("=~", "web$", "web\n", False),
        ("=~", "w.b", "wéb", True),
        ("=~", "", "", True),
        ("=~", "(?i)WEB", "web", True),
        ("!~", "web.*", "db-1", True),
        ("!~", ".*1", "web-1", False),
        ("=~", ".*", "\ud800", True),
        ("=", "web", "\ud800", False),
    ],
)
def test_value_matches_as_a_whole(op: str, pattern: str, value: str, *, is_match: bool) -> None:
    """Patterns are RE2 and cover the whole value; a value that is no Unicode never raises."""
    assert one(op, pattern).matches({"host": value}) is is_match


@pytest.mark.parametrize(
    ("op", "value", "is_match"),
    [("=", "", True), ("!=", "", False), ("=~", ".*", True), ("=~", ".+", False), ("!~", ".+", True)],
)
def test_missing_label_equals_the_empty_text(op: str, value: str, *, is_match: bool) -> None:
    """Alertmanager's way: absent and empty are the same."""
    assert one(op, value).matches({}) is is_match
    assert one(op, value).matches({"host": ""}) is is_match


@pytest.mark.parametrize(
    ("labels", "is_match"),
    [({"a": "1", "b": "2"}, True), ({"a": "1"}, False), ({"b": "2"}, False), ({}, False)],
)
def test_list_holds_when_all_do(labels: dict[str, str], *, is_match: bool) -> None:
    """Every one of them must match; none at all always do."""
    assert all_match(parse_matchers("a=1,b=2"), labels) is is_match
    assert all_match((), labels)


def test_unknown_operator_is_refused() -> None:
    """A matcher made from foreign data says which operators there are."""
    with pytest.raises(MatcherError, match="'==' is no operator; write one of =, !=, =~, !~"):
        one("==", "a")


@pytest.mark.parametrize(
    ("matcher", "text"),
    [
        (one("=", "web-1"), 'host="web-1"'),
        (one("!~", "a\\.b"), r'host!~"a\\.b"'),
        (one("=", "\x00\n\x7f"), r'host="\x00\n\x7f"'),
        (one("=", "x", name="host name"), '"host name"="x"'),
        (one("=", "x", name=""), '""="x"'),
    ],
)
def test_canonical_text(matcher: Matcher, text: str) -> None:
    """Values always stand in quotes, names only where they must."""
    assert str(matcher) == text


@given(st.lists(MATCHERS, max_size=4))
@settings(deadline=None, max_examples=150)
def test_canonical_text_is_read_back(matchers: list[Matcher]) -> None:
    """Whatever a matcher holds survives being written."""
    text = ",".join(map(str, matchers))

    assert parse_matchers(text) == tuple(matchers)
    assert parse_matchers("{" + text + "}") == tuple(matchers)


@given(st.text(st.sampled_from("ab=!~{},\"'\\ nx0\n"), max_size=14) | st.text(max_size=10))
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a MatcherError comes out, and what was read reads the same again."""
    try:
        matchers = parse_matchers(text)
    except MatcherError:
        return

    assert parse_matchers(",".join(map(str, matchers))) == matchers


@given(TEXTS, TEXTS)
@settings(deadline=None, max_examples=100)
def test_negative_is_the_opposite(value: str, label: str) -> None:
    """``!=`` holds exactly when ``=`` does not."""
    assert one("=", value).matches({"host": label}) is not one("!=", value).matches({"host": label})
    assert set(OPS) == {"=", "!=", "=~", "!~"}
