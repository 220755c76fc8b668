"""One rig for all fault tests of a process: starting it takes longer than any of them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from notifier.embedded.proxy import Proxy
from tests.faults.recording_sink import RecordingSink
from tests.faults.rig import Rig, a_rig
from tests.faults.stages import SINK, TIGHT, Bench, MakeBench, relay_of
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
def make_bench(make_flow: MakeFlow, database_url: str, redis_url: str) -> Iterator[MakeBench]:
    """Make a notifier run by hand, with settings of the test's choice and a proxy before the relay."""
    with contextlib.ExitStack() as opened:

        def make(*, delay: float = 0.0, dot_timeout: str = "1s", **settings: Any) -> Bench:
            sink = opened.enter_context(RecordingSink(SINK, delay=delay))
            line = opened.enter_context(Proxy(sink.ports[SINK]))
            chosen = {"relays": {"default": relay_of(line.port, dot_timeout)}, "tuning": TIGHT, **settings}
            return Bench(make_flow(**chosen), sink, line, database_url, settings.get("redis_url", redis_url))

        yield make


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    """A notifier run by hand, whose relay takes its time."""
    return make_bench(delay=0.3, delivery={"normal": {"first": "1s"}})
