"""Money, numbers, moments and colours are written for their reader; SMS are counted as gateways bill them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rendering.colors import CONTRAST, contrast, css_color, on_color
from notifier.rendering.formats import FormatError, clock, day, moment, money, number
from notifier.rendering.segments import foreign, segments

MOMENT = "2026-11-30T23:30:00Z"


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "written"),
    [
        (1234.5, "EUR", "en", "€1,234.50"),
        (1234.5, "EUR", "de", "1.234,50\u00a0€"),
        (1234.5, "EUR", "de-AT", "1.234,50\u00a0€"),
        (1234.5, "CHF", "de-CH", "CHF\u00a01\u2019234.50"),
        ("84.9", "USD", "en-US", "$84.90"),
        (-5, "GBP", "en", "-£5.00"),
        (-5, "EUR", "de", "-5,00\u00a0€"),
        (1999, "JPY", "en", "¥1,999"),
        ("1.2345", "KWD", "de", "1,235\u00a0KWD"),
        (0.005, "EUR", "en", "€0.01"),
        (-0.001, "EUR", "en", "€0.00"),
        (10, "SEK", "fr", "SEK\u00a010.00"),
        (None, "EUR", "en", ""),
    ],
)
def test_money_is_written_as_the_reader_writes_it(
    amount: float | str | None, currency: str, locale: str, written: str
) -> None:
    """Symbol, grouping, minor unit and sign follow locale and currency (S2)."""
    assert money(amount, currency, locale) == written


@pytest.mark.parametrize("amount", ["twelve", True, [1], "NaN", "Infinity", "1e99", {}])
def test_an_amount_that_is_no_number_is_refused_without_quoting_it(amount: object) -> None:
    """A wrong amount never reaches a customer, and its text never reaches a log."""
    with pytest.raises(FormatError) as caught:
        money(amount, "EUR", "en")

    assert str(amount) not in str(caught.value)


@pytest.mark.parametrize("currency", ["EURO", "E1R", "", "<b>"])
def test_a_currency_that_is_no_code_is_refused(currency: str) -> None:
    """Only three letters are a currency."""
    with pytest.raises(FormatError, match="ISO 4217"):
        money(1, currency, "en")


@given(
    st.decimals(min_value=-(10**12), max_value=10**12, places=2), st.sampled_from(["en", "de", "de-CH", "fr"])
)
def test_no_cent_is_lost_in_writing(amount: Decimal, locale: str) -> None:
    """What is written, read back by the locale's own rules, is the amount."""
    group = {"en": ",", "de": ".", "de-CH": "\u2019", "fr": ","}[locale]
    point = "," if locale == "de" else "."

    written = number(amount, locale, 2)

    assert Decimal(written.replace(group, "").replace(point, ".")) == amount


@given(st.integers(-1100, 1100))
def test_everyday_numbers_are_written_like_all_others(value: int) -> None:
    """The short cut for small integers changes nothing."""
    assert number(value, "de") == number(Decimal(value), "de")


def test_a_number_keeps_the_digits_it_has() -> None:
    """Without a wish for digits nothing is rounded, and nothing padded."""
    assert [number(value, "de") for value in (1234567.25, 3, 100, "0.10", None)] == [
        "1.234.567,25", "3", "100", "0,1", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("locale", "long", "short"),
    [
        ("en", "30 November 2026", "30 Nov 2026"),
        ("en-US", "November 30, 2026", "Nov 30, 2026"),
        ("de", "30. November 2026", "30.11.2026"),
        ("sv", "2026-11-30", "2026-11-30"),
    ],
)
def test_a_day_has_a_long_and_a_short_form(locale: str, long: str, short: str) -> None:
    """A day without a time is never moved by a zone."""
    assert day("2026-11-30", locale, "Pacific/Kiritimati") == long
    assert day("2026-11-30", locale, "Pacific/Kiritimati", "short") == short


def test_a_moment_falls_on_the_recipients_day() -> None:
    """Half an hour before midnight in London is tomorrow in Berlin."""
    assert day(MOMENT, "en", "Europe/Berlin") == "1 December 2026"
    assert day(MOMENT, "en", "Europe/London") == "30 November 2026"


@pytest.mark.parametrize(
    ("locale", "zone", "written"),
    [
        ("en", "Europe/Berlin", "1 December 2026, 00:30 CET"),
        ("de", "Europe/Berlin", "1. Dezember 2026, 00:30 Uhr MEZ"),
        ("en-US", "America/New_York", "November 30, 2026, 6:30 PM EST"),
        ("en", "Asia/Riyadh", "1 December 2026, 02:30 UTC+03"),
        ("en", "Nowhere/Atlantis", "30 November 2026, 23:30 UTC"),
        ("en", "../../etc/passwd", "30 November 2026, 23:30 UTC"),
        ("en", None, "30 November 2026, 23:30 UTC"),
    ],
)
def test_a_moment_is_told_in_the_recipients_zone_and_says_which(
    locale: str, zone: str | None, written: str
) -> None:
    """The zone's name stands beside the time; an unknown zone is UTC and says so."""
    assert moment(MOMENT, locale, zone) == written
    assert moment(datetime(2026, 11, 30, 23, 30, tzinfo=UTC), locale, zone) == written


def test_the_hour_follows_summer_time() -> None:
    """The same UTC hour is another hour in July."""
    assert clock("2026-07-01T08:00:00Z", "de", "Europe/Berlin") == "10:00 Uhr MESZ"
    assert clock("2026-12-01T08:00:00Z", "de", "Europe/Berlin") == "09:00 Uhr MEZ"


@pytest.mark.parametrize("value", ["soon", "2026-13-01", 20261130, "2026-11-30T10:00:00", True])
def test_what_is_no_moment_is_refused(value: object) -> None:
    """A time without an offset could be anyone's; nothing is guessed."""
    with pytest.raises(FormatError):
        moment(value, "en", "Europe/Berlin")


def test_a_day_is_not_a_moment() -> None:
    """Midnight is not invented for a day without a time."""
    with pytest.raises(FormatError, match="date filter"):
        moment("2026-11-30", "en", None)


@given(st.integers(0, 0xFFFFFF))
def test_the_ink_on_any_brand_colour_can_be_read(value: int) -> None:
    """Black or white always reaches the contrast WCAG asks for."""
    ground = f"#{value:06x}"

    assert contrast(on_color(ground), ground) >= CONTRAST


def test_contrast_is_that_of_wcag() -> None:
    """Black on white is 21; the grey that just passes, and the one that just fails."""
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#777777", "#ffffff") < CONTRAST


@pytest.mark.parametrize(
    "value", ["red", "#12345", "#fff;background:url(//x)", "expression(1)", None, ["#fff"]]
)
def test_only_hexadecimal_colours_reach_a_style(value: object) -> None:
    """Nothing that could be more CSS than a colour passes."""
    with pytest.raises(FormatError, match="#1d4ed8"):
        css_color(value)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3),
        ("€" * 80, 1), ("€" * 81, 2), ("я" * 70, 1), ("я" * 71, 2), ("😀" * 35, 1), ("😀" * 36, 2),
        # Half an emoji never fits: 33 of them fill 66 of the 67 units.
        ("😀" * 67, 3),
    ],
)  # fmt: skip
def test_segments_are_counted_as_gateways_bill_them(text: str, count: int) -> None:
    """GSM 7-bit, its escapes, and UCS-2 with surrogate pairs (3GPP TS 23.038)."""
    assert segments(text) == count


def test_the_characters_that_cost_are_named() -> None:
    """A single character outside the GSM alphabet makes the message more than twice as dear."""
    assert foreign("Grüße, 5\u00a0€ \u201ehier\u201c") == "\u00a0\u201e\u201c"
