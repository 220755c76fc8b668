"""PostgreSQL and Valkey die, restart and forget: nothing is lost beyond what the laws name (laws 1, 2)."""

import signal
import time

import pytest

from notifier.embedded.leash import signal_group
from tests.faults.ledger import Allowance, Way
from tests.faults.rig import Rig, some_moment

pytestmark = [pytest.mark.faults, pytest.mark.servers, pytest.mark.xdist_group("faults")]

FORGETFUL = frozenset({Way.STREAM, Way.DURABLE})


def test_valkey_killed_and_restarted_with_its_file_loses_nothing(rig: Rig) -> None:
    """The append-only file holds what producers were promised, and no truth is kept anywhere else in it."""
    with rig.load() as producers:
        rig.await_mails(producers.promises, 15)
        some_moment()

        rig.stack.valkey.kill()
        rig.stack.valkey.start()

        producers.await_accepted(40)
    rig.settle(producers.promises).check()


def test_valkey_restarted_empty_costs_at_most_what_was_not_ingested(rig: Rig) -> None:
    """No event of an outbox, and none that was stored: those need no Redis."""
    with rig.load() as producers:
        rig.await_mails(producers.promises, 15)
        some_moment()

        rig.stack.valkey.kill()
        rig.stack.valkey.wipe()
        rig.stack.valkey.start()
        forgot_at = time.monotonic()

        producers.await_accepted(40)
    rig.settle(producers.promises, Allowance(forgetful=FORGETFUL, forgot_at=forgot_at)).check()


def test_flushall_costs_at_most_what_was_not_ingested(rig: Rig) -> None:
    """Groups, flags, queues and bindings vanish under the running workers, and come back by themselves."""
    with rig.load() as producers:
        rig.await_mails(producers.promises, 15)
        some_moment()

        rig.stack.valkey.wipe()
        forgot_at = time.monotonic()

        producers.await_accepted(40)
    rig.settle(producers.promises, Allowance(forgetful=FORGETFUL, forgot_at=forgot_at)).check()


@pytest.mark.parametrize("how", ["killed", "immediate"])
def test_postgresql_restarted_under_load_loses_and_repeats_nothing(rig: Rig, how: str) -> None:
    """A mail the relay took just before is recorded once the database is back: its sender still knows."""
    postgres = rig.stack.postgres
    with rig.load() as producers:
        rig.await_mails(producers.promises, 15)
        some_moment()

        if how == "killed":
            postgres.kill()
        else:
            assert postgres.pid is not None
            signal_group(postgres.pid, signal.SIGQUIT)
            rig.await_true(lambda: postgres.pid is None, "PostgreSQL is down")
        postgres.start()

        producers.await_accepted(40)
    rig.settle(producers.promises).check()
