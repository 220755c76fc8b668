"""Retry policies: exponential, capped, jittered, one per urgency, overridable key by key."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.delivery.policy import BulkPolicy, DeliveryPolicy, NormalPolicy, RetryPolicy, UrgentPolicy
from notifier.documents import ConfigErrors, parse
from notifier.events import Urgency


@pytest.mark.parametrize(
    ("attempt", "widest"),
    [(0, 30), (1, 30), (2, 60), (3, 120), (7, 1920), (8, 3600), (12, 3600), (10_000, 3600)],
)
def test_waits_double_up_to_the_ceiling(attempt: int, widest: int) -> None:
    """Full jitter: anything from a second to the widest."""
    policy = RetryPolicy()

    assert policy.delay(attempt, 0.0) == timedelta(seconds=1)
    assert policy.delay(attempt, 0.5) == timedelta(seconds=widest / 2)
    assert policy.delay(attempt, 0.999) <= timedelta(seconds=widest)


@given(attempt=st.integers(1, 100), seed=st.integers())
def test_a_wait_stays_within_its_bounds(attempt: int, seed: int) -> None:
    """For every urgency, attempt and throw of the dice."""
    for policy in (UrgentPolicy(), NormalPolicy(), BulkPolicy()):
        delay = policy.delay(attempt, random.Random(seed).random())

        assert timedelta(seconds=1) <= delay <= policy.ceiling


def test_urgent_mail_is_tried_often_and_dies_soon() -> None:
    """A reset code lives for minutes, an invoice for days."""
    policy = DeliveryPolicy()
    created = datetime(2026, 5, 1, tzinfo=UTC)

    assert policy.of(Urgency.URGENT).deadline_of(created) == created + timedelta(minutes=15)
    assert policy.of(Urgency.NORMAL).deadline_of(created) == created + timedelta(days=3)
    assert policy.of(Urgency.BULK).deadline_of(created) == created + timedelta(days=5)
    assert policy.of(Urgency.BULK).deadline_of(created, timedelta(hours=1)) == created + timedelta(hours=1)
    assert policy.urgent.ceiling < policy.normal.first * 3 < policy.bulk.first


def test_a_file_overrides_single_keys() -> None:
    """What it leaves out keeps the default of its own urgency."""
    document = parse("bulk: {attempts: 3}\nurgent: {deadline: 5m, first: 2s}", Path("notifier.yaml"))

    policy = document.read(DeliveryPolicy)

    assert (policy.bulk.attempts, policy.bulk.first) == (3, timedelta(minutes=2))
    assert (policy.urgent.deadline, policy.urgent.first) == (timedelta(minutes=5), timedelta(seconds=2))
    assert policy.normal == NormalPolicy()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bulk: {attempts: 0}", "bulk.attempts"),
        ("bulk: {first: 1d}", "first must not be longer than ceiling"),
        ("bulk: {first: 0s}", "bulk.first"),
        ("bulk: {first: 30}", "must be a duration"),
        ("night: {}", "night: unknown key"),
    ],
)
def test_a_wrong_policy_is_refused(text: str, words: str) -> None:
    """With the file, the line and the field."""
    with pytest.raises(ConfigErrors) as caught:
        parse(text, Path("notifier.yaml")).read(DeliveryPolicy)

    assert "notifier.yaml:1" in str(caught.value)
    assert words in str(caught.value)
