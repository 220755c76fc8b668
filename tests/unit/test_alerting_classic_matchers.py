"""Matchers of an older Alertmanager file keep the meaning they have there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.classic_matchers import parse_classic_matchers, read_with_fallback
from notifier.rules.alerting.matchers import MatcherError, parse_matchers


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", []),
        ("{}", []),
        ("host=web-1", [("host", "=", "web-1")]),
        ("{ host = web-1 , site != berlin , }", [("host", "=", "web-1"), ("site", "!=", "berlin")]),
        ("host=", [("host", "=", "")]),
        ('host="a,b",site=c', [("host", "=", "a,b"), ("site", "=", "c")]),
        (r'host="say \"a,b\""', [("host", "=", 'say "a,b"')]),
        (r'host=~"web-\d+\\.\n"', [("host", "=~", "web-\\d+\\.\n")]),
        (r"host=~web\d", [("host", "=~", r"web\d")]),
        (r'host="a\\"', [("host", "=", "a\\")]),
        ("host=a\\", [("host", "=", "a\\")]),
        (r"a=1\,b=2", [("a", "=", "1\\"), ("b", "=", "2")]),
        ("host=a b", [("host", "=", "a b")]),
        ('host="a\nb"', [("host", "=", "a\nb")]),
        ("host=a}", [("host", "=", "a")]),
    ],
)
def test_classic_text_is_read(text: str, want: list[tuple[str, str, str]]) -> None:
    """Braces and the last comma do not matter; a backslash that escapes nothing is itself."""
    assert [(one.name, one.op, one.value) for one in parse_classic_matchers(text)] == want


@pytest.mark.parametrize(
    "text", [",", "host", "a=1,,b=2", 'a="b', 'a=b"', 'a="b"c"', r'a="b\"', '"a"=b', "1a=b", 'a="']
)
def test_what_is_no_classic_text_is_refused(text: str) -> None:
    """Names stand bare, quotes open and close the whole value."""
    with pytest.raises(MatcherError):
        parse_classic_matchers(text)


@pytest.mark.parametrize(
    ("text", "suggestion", "is_classic"),
    [
        ('host="web-1"', 'host="web-1"', False),
        ('"host name"="x"', '"host name"="x"', False),
        (r'host=~"web-\d+"', r'host=~"web-\\d+"', True),
        ("host=", 'host=""', True),
        (r'host="\x41"', r'host="\\x41"', True),
    ],
)
def test_classic_meaning_wins_where_the_two_disagree(text: str, suggestion: str, *, is_classic: bool) -> None:
    """And the suggestion says the same in the newer syntax."""
    reading = read_with_fallback(text)

    assert (reading.suggestion, reading.is_classic) == (suggestion, is_classic)
    assert parse_matchers(reading.suggestion) == reading.matchers


def test_what_neither_syntax_has_is_refused_in_words_of_the_newer() -> None:
    """These say the place."""
    with pytest.raises(MatcherError, match="character 5 "):
        read_with_fallback("host")


@given(st.text(st.sampled_from('ab=!~{},"\\ n'), max_size=14))
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a MatcherError comes out, and what was read can be said in the newer syntax."""
    try:
        reading = read_with_fallback(text)
    except MatcherError:
        return

    assert parse_matchers(reading.suggestion) == reading.matchers
