"""What people answer by SMS, read and worded: pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.recipients.sms_answers import answer, short
from notifier.recipients.sms_words import Said, Wish, read_sms
from notifier.store.reply_codes import CODES


@pytest.mark.parametrize(
    ("text", "wish", "code"),
    [
        ("4A", Wish.ACKNOWLEDGE, "4A"),
        (" 4a. ", Wish.ACKNOWLEDGE, "4A"),
        ("4 a", Wish.ACKNOWLEDGE, "4A"),
        ("\uff14\uff21", Wish.ACKNOWLEDGE, "4A"),
        ("ack 4A", Wish.ACKNOWLEDGE, "4A"),
        ("OK, 4A!", Wish.ACKNOWLEDGE, "4A"),
        ("ACK", Wish.ACKNOWLEDGE, None),
        ("a", Wish.ACKNOWLEDGE, None),
        ("Übernehme", Wish.ACKNOWLEDGE, None),
        ("STOP", Wish.STOP, None),
        ("stop.", Wish.STOP, None),
        ("Unsubscribe", Wish.STOP, None),
        ("opt-out", Wish.STOP, None),
        ("OPTOUT", Wish.STOP, None),
        ("STOP ALL", Wish.STOP, None),
        ("Abmelden", Wish.STOP, None),
        ("START", Wish.START, None),
        ("unstop", Wish.START, None),
        ("HELP", Wish.HELP, None),
        ("Hilfe!", Wish.HELP, None),
        ("stop the server", Wish.UNKNOWN, None),
        ("do not stop", Wish.UNKNOWN, None),
        ("44A", Wish.UNKNOWN, None),
        ("4AB", Wish.UNKNOWN, None),
        ("A4", Wish.UNKNOWN, None),
        ("ack 4A 5B", Wish.UNKNOWN, None),
        ("who is this?", Wish.UNKNOWN, None),
        ("", Wish.UNKNOWN, None),
        ("👍", Wish.UNKNOWN, None),
    ],
)
def test_what_people_answer_is_understood(text: str, wish: Wish, code: str | None) -> None:
    """Whatever their phone does to case, blanks and full stops; a carrier's word only where it stands alone."""
    assert read_sms(text) == Said(wish=wish, code=code)


@given(st.text(max_size=200))
def test_any_text_means_something(text: str) -> None:
    """And only an acknowledgement has a code."""
    said = read_sms(text)

    assert said.code is None or said.wish is Wish.ACKNOWLEDGE


def test_every_code_is_read_as_itself() -> None:
    """In either case; none is a word of its own."""
    assert len(set(CODES)) == len(CODES)
    assert all(read_sms(code.lower()) == Said(wish=Wish.ACKNOWLEDGE, code=code) for code in CODES)


@pytest.mark.parametrize("locale", ["en", "de-AT", "fr"])
def test_an_answer_is_short_and_says_what_is_open(locale: str) -> None:
    """Two SMS at most, however much is open and however long its name is."""
    codes = [f"{code} {short('x' * 100)}" for code in CODES]

    answers = [
        answer(what, locale, about=short("x" * 100), code="4A", codes=codes)
        for what in ("taken", "already", "over", "which", "none", "no_code", "stopped", "started", "help")
    ]

    assert all(0 < len(one) <= 306 for one in answers)
    assert codes[0] in answers[3]
    assert codes[4] not in answers[3]
    assert "4A" in answers[5]
