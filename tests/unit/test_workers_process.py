"""A task that fails says so without a value it worked on: Flower and the results keep its words."""

import traceback
from typing import Any

import psycopg
import pytest

from notifier.broker.connection import BrokerUnavailable
from notifier.errors import KeyMissing, NotifierError
from notifier.store.database import DatabaseUnavailable
from workers.failures import DeliveryFailed, StageFailed
from workers.process import health, patiently

SECRET = "ada@example.com"


def run(error: Exception | None) -> dict[str, Any]:
    """What a task that raises this does."""

    @patiently
    def task() -> dict[str, Any]:
        if error is not None:
            raise error
        return {"sent": 1}

    return task()


@pytest.mark.parametrize(
    "error",
    [ValueError(SECRET), KeyError(SECRET), psycopg.errors.UniqueViolation(SECRET), RecursionError(SECRET)],
)
def test_an_unknown_error_is_told_by_its_class(error: Exception) -> None:
    """Neither its text nor its traceback goes on."""
    with pytest.raises(StageFailed) as caught:
        run(error)

    told = "".join(traceback.format_exception(caught.value))
    assert str(caught.value).startswith(type(error).__name__)
    assert SECRET not in told + repr(caught.value)


@pytest.mark.parametrize("error", [DeliveryFailed(1, 2, ["m-1"]), NotifierError("the ring has no key")])
def test_errors_of_ours_pass_as_they_are(error: Exception) -> None:
    """They carry ids and counts, and say what to do."""
    with pytest.raises(type(error)) as caught:
        run(error)

    assert caught.value is error


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("away"), BrokerUnavailable("away"), KeyMissing("a key")]
)
def test_what_is_away_is_waited_for(error: Exception) -> None:
    """The task ends well; the sweep calls it again."""
    assert run(error) == {"waiting": 1}
    assert run(None) == {"sent": 1}


def test_a_failed_chunk_shows_counts_and_ids() -> None:
    """As Flower prints it."""
    assert repr(DeliveryFailed(1, 2, ["m-1"])) == "DeliveryFailed(1 of 2: m-1)"
    assert health.process
