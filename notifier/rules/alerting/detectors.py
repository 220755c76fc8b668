"""Turn a rule's ``detect:`` and ``flap:`` into the thresholds that decide.

Never decides anything itself, and checks nothing that the shapes have checked.
"""

from notifier.rules.alerting.counting import Count
from notifier.rules.alerting.crossing import Crossing, Side
from notifier.rules.alerting.detect_model import (
    CountEntry,
    CrossingEntry,
    DetectEntry,
    DistinctEntry,
    FlapEntry,
    FlatlineEntry,
    SpikeEntry,
)
from notifier.rules.alerting.distinct import Distinct
from notifier.rules.alerting.flapping import Flapping
from notifier.rules.alerting.flatline import Flatline
from notifier.rules.alerting.heartbeat import Heartbeat
from notifier.rules.alerting.sightings import Detector, Memory, Reading, Sighting
from notifier.rules.alerting.spikes import Direction, Spike

__all__ = ["Detector", "Memory", "Reading", "Sighting", "detector_of", "flapping_of"]


def detector_of(entry: DetectEntry) -> Detector:
    """Return the detector a rule asks for."""
    match entry.chosen:
        case CountEntry() as count:
            return Count(at_least=count.at_least, within=count.within, is_restarting=count.restart)
        case DistinctEntry() as distinct:
            return Distinct(
                within=distinct.within, more_than=distinct.more_than, fewer_than=distinct.fewer_than
            )
        case SpikeEntry() as spike:
            return _spike(spike)
        case FlatlineEntry() as flat:
            return Flatline(fewer_than=flat.fewer_than, within=flat.within, is_forgetting=flat.forget_keys)
        case CrossingEntry() as crossing:
            side = Side.ABOVE if crossing.below is None else Side.BELOW
            return Crossing(limit=crossing.limit, side=side, rearm=crossing.rearm)
        case heartbeat:
            return Heartbeat(every=heartbeat.every, grace=heartbeat.grace)


def flapping_of(entry: FlapEntry) -> Flapping:
    """Return the flap hold a rule asks for."""
    return Flapping(within=entry.within, hold_at=entry.hold_at, release_at=entry.release_at)


def _spike(entry: SpikeEntry) -> Spike:
    return Spike(
        within=entry.within,
        height=entry.height,
        direction=Direction(entry.direction),
        min_now=entry.min_now,
        min_before=entry.least_before,
        is_new_key_told=entry.new_keys,
        is_pause_skipped=entry.pauses == "skip",
    )
