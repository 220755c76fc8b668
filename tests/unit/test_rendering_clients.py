"""What some mail program ignores is found; what does no harm is said to, with a reason."""

from pathlib import Path

import pytest

from notifier.errors import ConfigError
from notifier.rendering.clients import ACCEPTED_FILE, gaps, read_accepted

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("document", "feature", "client"),
    [
        ('<p style="display: flex">x</p>', "css-display-flex", "outlook.windows"),
        ('<p style="position: absolute; left: 0">x</p>', "css-position", "gmail.desktop-webmail"),
        ("<style>p::before { content: 'x' }</style>", "css-pseudo-element-before", "outlook.windows"),
        (
            "<style>@media (hover: hover) { p { color: red } }</style>",
            "css-at-media-hover",
            "outlook.windows",
        ),
        ('<p style="color: var(--ink)">x</p>', "css-variables", "gmail.desktop-webmail"),
        ("<form><input type='text'></form>", "html-form", "outlook.windows"),
        ('<img src="https://x.example/logo.svg" alt="">', "image-svg", "gmail.desktop-webmail"),
        ("<video src='x.mp4'></video>", "html-video", "gmail.desktop-webmail"),
    ],
)
def test_what_a_program_ignores_is_found(document: str, feature: str, client: str) -> None:
    """By element, attribute, property, value, function, selector, media query or kind of image."""
    found = {gap.feature: gap for gap in gaps(f"<!doctype html><html><body>{document}</body></html>")}

    assert client in found[feature].clients


def test_plain_markup_has_no_gaps_of_its_own() -> None:
    """A table, a paragraph, a link and a colour work everywhere."""
    document = '<table><tr><td style="color: #333"><p>Hello <a href="https://x.example">you</a></p></td></tr></table>'

    assert {gap.feature for gap in gaps(document)} <= {"html-body"}


def test_what_is_accepted_is_used_and_has_a_reason() -> None:
    """The shipped list names nothing that no shipped mail uses: the base layout alone has most of it."""
    accepted = read_accepted(ROOT / "templates")

    assert accepted
    assert all(len(reason) > 20 for reason in accepted.values())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- css-opacity\n", "mapping"),
        ("css-opasity: it fades\n", "no feature"),
        ("css-opacity: ''\n", "reason"),
    ],
)
def test_a_wrong_list_says_where(tmp_path: Path, text: str, problem: str) -> None:
    """With file and line."""
    (tmp_path / "_layouts").mkdir()
    (tmp_path / ACCEPTED_FILE).write_text(text)

    with pytest.raises(ConfigError, match=problem) as refusal:
        read_accepted(tmp_path)

    assert str(tmp_path) in str(refusal.value)
