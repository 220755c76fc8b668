"""Kill the only worker that sends, with a batch half out, and prove that nothing is lost.

A repeat is allowed for each connection that was open: nobody can know whether its last mail was taken.
"""

import time
from collections import Counter

from notifier.client import Client
from notifier.embedded.demo.evidence import Evidence
from notifier.embedded.demo.machine import CONNECTIONS, Machine
from notifier.embedded.demo.scenarios import SOURCE, Script
from notifier.embedded.demo.table import Row

BATCH = 200
_KILL_AFTER = 20
_PATIENCE = 90.0
_LOOK_EVERY = 0.1


def row_for(script: Script) -> Row:
    """Return the row to fill."""
    return Row(event=f"{BATCH} invoices, their worker killed", to=f"customer-0 … {BATCH - 1}@{script.domain}")


def kill_in_the_middle(
    script: Script, client: Client, machine: Machine, evidence: Evidence, row: Row
) -> None:
    """Send the batch, kill the worker, and wait until all of it is settled."""
    before, start = evidence.caught(), time.monotonic()
    end = start + _PATIENCE
    client.enqueue_many(script.batch(BATCH))
    while evidence.caught() - before < _KILL_AFTER and time.monotonic() < end:
        time.sleep(0.005)
    machine.kill("deliver")
    at_kill = evidence.caught() - before
    row.why = f"SIGKILL after {at_kill} mails; the rest waited in the database for the next worker"
    states = _settled(script, evidence, row, end)
    row.seconds = time.monotonic() - start
    if not _KILL_AFTER <= at_kill < BATCH:
        row.problems.append(f"the kill was to hit the middle of the batch, {at_kill} were out")
    if states != {"sent": BATCH}:
        row.problems.append(f"notifications: expected {BATCH} sent, found {dict(states)}")
    _count_arrived(script, evidence, row)
    row.is_over = True


def _settled(script: Script, evidence: Evidence, row: Row, end: float) -> Counter[str]:
    while True:
        states = evidence.states(SOURCE, f"{script.run}-batch-")
        row.happened = f"{states['sent']} of {BATCH} sent"
        is_settled = states.total() == BATCH and not states["pending"]
        if is_settled or time.monotonic() > end:
            return states
        time.sleep(_LOOK_EVERY)


def _count_arrived(script: Script, evidence: Evidence, row: Row) -> None:
    mailboxes = evidence.mailboxes(script.domain)
    arrived = Counter({to: count for to, count in mailboxes.items() if to.startswith("customer-")})
    repeats = arrived.total() - len(arrived)
    row.happened = f"{len(arrived)} of {BATCH} arrived, {repeats} twice (at most {CONNECTIONS})"
    row.tries = arrived.total()
    if len(arrived) != BATCH or repeats > CONNECTIONS:
        row.problems.append(row.happened)
