"""``detect:`` and ``flap:`` as a person writes them: what they become, and what is refused with which words."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from notifier.events import Json
from notifier.rules.alerting.counting import Count
from notifier.rules.alerting.crossing import Crossing, Side
from notifier.rules.alerting.detect_model import DetectEntry, FlapEntry
from notifier.rules.alerting.detectors import Detector, detector_of, flapping_of
from notifier.rules.alerting.distinct import Distinct
from notifier.rules.alerting.flapping import Flapping
from notifier.rules.alerting.flatline import Flatline
from notifier.rules.alerting.heartbeat import Heartbeat
from notifier.rules.alerting.spikes import Direction, Spike

TEN = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("written", "path", "detector"),
    [
        ({"count": {"at_least": 5, "within": "10m"}}, None, Count(at_least=5, within=TEN)),
        (
            {"count": {"at_least": 5, "within": "10m", "restart": True}},
            None,
            Count(at_least=5, within=TEN, is_restarting=True),
        ),
        (
            {"distinct": {"field": "data.user.id", "more_than": 3, "within": "10m"}},
            "data.user.id",
            Distinct(within=TEN, more_than=3),
        ),
        (
            {"distinct": {"field": "event.subject", "fewer_than": 3, "within": "10m"}},
            "event.subject",
            Distinct(within=TEN, fewer_than=3),
        ),
        ({"spike": {"within": "10m", "height": 3}}, None, Spike(within=TEN, height=3, min_before=1)),
        (
            {"spike": {"within": "10m", "height": 3, "direction": "up", "new_keys": True, "min_now": 9}},
            None,
            Spike(within=TEN, height=3, direction=Direction.UP, min_now=9, is_new_key_told=True),
        ),
        (
            {"spike": {"within": "10m", "height": 1.5, "min_before": 0, "pauses": "skip"}},
            None,
            Spike(within=TEN, height=1.5, is_pause_skipped=True),
        ),
        (
            {"flatline": {"fewer_than": 2, "within": "10m", "forget_keys": True}},
            None,
            Flatline(fewer_than=2, within=TEN, is_forgetting=True),
        ),
        (
            {"crossing": {"field": "data.balance", "below": 0, "rearm": 50}},
            "data.balance",
            Crossing(limit=0, side=Side.BELOW, rearm=50),
        ),
        (
            {"crossing": {"field": "data.load", "above": 0.9}},
            "data.load",
            Crossing(limit=0.9, side=Side.ABOVE),
        ),
        ({"heartbeat": {"every": "1d"}}, None, Heartbeat(every=timedelta(days=1))),
        (
            {"heartbeat": {"every": "1d", "grace": "10m"}},
            None,
            Heartbeat(every=timedelta(days=1), grace=TEN),
        ),
    ],
)
def test_each_kind_becomes_its_detector(written: Json, path: str | None, detector: Detector) -> None:
    """What is written is what decides; the path says which value a sighting must carry."""
    entry = DetectEntry.model_validate(written)

    assert detector_of(entry) == detector
    assert entry.path == path


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({}, "needs exactly one of count, distinct, spike, flatline, crossing, heartbeat; there is none"),
        ({"count": {"at_least": 1, "within": "1m"}, "heartbeat": {"every": "1d"}}, "not count and heartbeat"),
        ({"count": {"at_least": 0, "within": "1m"}}, "greater than or equal to 1"),
        ({"count": {"at_least": "5", "within": "1m"}}, "valid integer"),
        ({"count": {"at_least": True, "within": "1m"}}, "valid integer"),
        ({"count": {"at_least": 5, "within": "0s"}}, "greater than"),
        ({"count": {"at_least": 5, "within": "1m", "for": "1m"}}, "not permitted"),
        ({"distinct": {"field": "data.a", "within": "1m"}}, "needs more_than, fewer_than or both"),
        (
            {"distinct": {"field": "data.a", "within": "1m", "more_than": 2, "fewer_than": 3}},
            "leave no number that is right",
        ),
        ({"distinct": {"field": "user", "within": "1m", "more_than": 2}}, "match pattern"),
        ({"spike": {"within": "1m", "height": 1}}, "greater than 1"),
        ({"spike": {"within": "1m", "height": 2, "new_keys": True, "min_before": 1}}, "there is nothing"),
        (
            {"spike": {"within": "1m", "height": 2, "new_keys": True, "direction": "down"}},
            "a new key can only rise",
        ),
        ({"flatline": {"fewer_than": 0, "within": "1m"}}, "greater than or equal to 1"),
        ({"crossing": {"field": "data.a"}}, "needs either below or above"),
        ({"crossing": {"field": "data.a", "below": 1, "above": 2}}, "needs either below or above"),
        ({"crossing": {"field": "data.a", "below": 1, "rearm": 0}}, "rearm: must be 1 (below) or more"),
        ({"crossing": {"field": "data.a", "above": 1, "rearm": 2}}, "rearm: must be 1 (above) or less"),
        ({"heartbeat": {"every": "0s"}}, "greater than"),
    ],
)
def test_what_cannot_work_is_refused(written: Json, words: str) -> None:
    """The words say what is wrong with it."""
    with pytest.raises(ValidationError) as caught:
        DetectEntry.model_validate(written)

    assert words in str(caught.value)


def test_a_flap_hold_has_two_thresholds() -> None:
    """Letting go must need fewer changes than holding."""
    entry = FlapEntry.model_validate({"within": "10m", "hold_at": 6, "release_at": 2})

    assert flapping_of(entry) == Flapping(within=TEN, hold_at=6, release_at=2)
    with pytest.raises(ValidationError, match="must be less than hold_at"):
        FlapEntry.model_validate({"within": "10m", "hold_at": 6, "release_at": 6})


def test_editors_learn_the_shape() -> None:
    """The JSON Schema names every kind, and how a length of time is written."""
    schema = DetectEntry.model_json_schema()

    assert set(schema["properties"]) == set(DetectEntry.model_fields)
    assert "pattern" in schema["$defs"]["CountEntry"]["properties"]["within"]
