"""One rig for all fault tests of a process: starting it takes longer than any of them."""

from collections.abc import Iterator

import pytest

from tests.faults.recording_sink import RecordingSink
from tests.faults.rig import Rig, a_rig
from tests.faults.stages import SINK, TIGHT, Bench, relay_of
from tests.services import MakeFlow


@pytest.fixture(scope="session")
def running_rig() -> Iterator[Rig]:
    """The rig, whatever state the last test left it in."""
    with a_rig() as rig:
        yield rig


@pytest.fixture
def rig(running_rig: Rig) -> Rig:
    """The rig, whole again."""
    running_rig.mend()
    return running_rig


@pytest.fixture
def bench(make_flow: MakeFlow, database_url: str, redis_url: str) -> Iterator[Bench]:
    """A notifier run by hand, with the recording sink for a relay that takes its time."""
    with RecordingSink(SINK, delay=0.3) as sink:
        flow = make_flow(
            relays={"default": relay_of(sink)}, tuning=TIGHT, delivery={"normal": {"first": "1s"}}
        )
        yield Bench(flow, sink, database_url, redis_url)
