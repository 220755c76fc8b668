"""Accents are left out of Latin letters, and of nothing else."""

import pytest

from notifier.inbound.spelling import without_accents


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("boîte pleine", "boite pleine"),
        ("użytkownik: łąka", "uzytkownik: laka"),
        ("größe, straße", "grosse, strasse"),
        ("kullan\u0131c\u0131", "kullanici"),
        ("hộp thư đầy", "hop thu day"),
        ("n[ãa]o (?:é|è)", "n[aa]o (?:e|e)"),
        ("cafe\u0301", "cafe"),
    ],
)
def test_latin_letters_lose_their_accents(text: str, plain: str) -> None:
    """As servers write them, whose replies are ASCII; patterns stay patterns."""
    assert without_accents(text) == plain


@pytest.mark.parametrize("text", ["йод ёж", "ガード", "한국어", "παράδοση", "plain"])
def test_other_scripts_keep_their_marks(text: str) -> None:
    """A mark makes another letter there."""
    assert without_accents(text) == text
