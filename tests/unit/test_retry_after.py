"""How long a provider's ``Retry-After`` asks us to wait (RFC 9110 §10.2.3)."""

from datetime import timedelta

import pytest

from notifier.channels.http_session import RETRY_AFTER_LIMIT, read_retry_after


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "²", "Mon, 31 Dec 9999 23:59:59 -2300"])
def test_nonsense_is_no_wait(value: str) -> None:
    """Also a date beyond all calendars: whoever answers so did not take the message, and no more follows from it."""
    assert read_retry_after(value) is None


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("99999999999", RETRY_AFTER_LIMIT),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta(0)),
        ("Wed, 21 Oct 2015 07:28:00 -0000", timedelta(0)),
        ("Fri, 21 Oct 2089 07:28:00 GMT", RETRY_AFTER_LIMIT),
    ],
)
def test_seconds_and_dates_are_heard(value: str, wait: timedelta) -> None:
    """What is over is now, and eternity has an end."""
    assert read_retry_after(value) == wait


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("Wed, 21 Oct 2015 07:27:30 GMT", 30),
        ("Wed, 21 Oct 2015 07:29:00 GMT", 0),
        ("Wed, 21 Oct 1015 07:28:00 GMT", RETRY_AFTER_LIMIT.total_seconds()),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_a_date_counts_from_the_answers_own(sent: str, seconds: float) -> None:
    """Whatever our clock shows; where it has none, or nonsense, ours must do."""
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", sent) == timedelta(seconds=seconds)
