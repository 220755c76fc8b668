"""kill -9 of any process at any moment loses nothing, and repeats at most what was on the wire (laws 1-5)."""

import pytest

from tests.faults.ledger import Allowance
from tests.faults.rig import PROCESSES, Rig, some_moment

pytestmark = [pytest.mark.faults, pytest.mark.servers, pytest.mark.xdist_group("faults")]


@pytest.mark.parametrize("process", PROCESSES)
def test_killing_a_process_under_load_costs_nothing_but_unknowns_on_open_connections(
    rig: Rig, process: str
) -> None:
    """Every receipt becomes one mail; a repeat needs a connection that was open when its owner was killed."""
    with rig.load() as producers:
        rig.await_mails(producers.promises, 15)
        some_moment()

        held = rig.kill(process)

        producers.await_accepted(40)
    rig.settle(producers.promises, Allowance(unknown=held)).check()


def test_killing_all_processes_at_once_is_no_worse(rig: Rig) -> None:
    """They need each other neither to die nor to start."""
    with rig.load() as producers:
        rig.await_mails(producers.promises, 15)
        some_moment()

        held = rig.kill(*PROCESSES)

        producers.await_accepted(40)
    rig.settle(producers.promises, Allowance(unknown=held)).check()
