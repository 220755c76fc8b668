"""The network to each server is cut, half-open and slow: everything waits, nothing is lost or repeated."""

import pytest

from notifier.embedded.proxy import Mode
from tests.faults.ledger import Allowance
from tests.faults.rig import CONNECTIONS, SENDERS, Rig

pytestmark = [pytest.mark.faults, pytest.mark.servers, pytest.mark.xdist_group("faults")]


@pytest.mark.parametrize("server", ["postgres", "valkey"])
def test_a_broken_network_to_a_server_loses_and_repeats_nothing(rig: Rig, server: str) -> None:
    """Cut, then silent, then slow: the workers wait, and go on by themselves."""
    with rig.load() as producers:
        rig.await_mails(producers.promises, 10)
        for mode, how in (
            (Mode.CUT, {}),
            (Mode.PASS, {}),
            (Mode.HALF_OPEN, {}),
            (Mode.SLOW, {"latency": 0.01}),
        ):
            rig.break_line(server, mode, **how)
            producers.await_accepted(30)
        rig.break_line(server, Mode.PASS)

    rig.settle(producers.promises).check()


def test_a_broken_network_to_the_relay_leaves_at_most_one_unknown_for_each_connection_broken(
    rig: Rig,
) -> None:
    """A cut behind the final dot is unknown to anybody; everything before it is simply tried again."""
    with rig.load() as producers:
        rig.await_mails(producers.promises, 10)
        for mode, how in (
            (Mode.CUT, {}),
            (Mode.PASS, {}),
            (Mode.HALF_OPEN, {}),
            (Mode.SLOW, {"latency": 0.02}),
        ):
            rig.break_line("relay", mode, **how)
            producers.await_accepted(30)
        rig.break_line("relay", Mode.PASS)

    # Lines are broken three times: cut, silenced, and reset when the silence ends.
    broken = 3 * CONNECTIONS * len(SENDERS)
    rig.settle(producers.promises, Allowance(unknown=broken)).check()


def test_a_relay_that_is_away_delays_and_does_nothing_else(rig: Rig) -> None:
    """No connection, no try: every message waits unblamed, then goes out once."""
    rig.break_line("relay", Mode.CUT)
    with rig.load() as producers:
        producers.await_accepted(60)
        rig.await_true(lambda: bool(rig.rows(producers.promises).events), "events are ingested")

        assert rig.books(producers.promises).mails == []

        rig.break_line("relay", Mode.PASS)
    rig.settle(producers.promises).check()
