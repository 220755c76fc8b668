"""One rig for all fault tests of a process: starting it takes longer than any of them."""

from collections.abc import Iterator

import pytest

from tests.faults.rig import Rig, a_rig


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
