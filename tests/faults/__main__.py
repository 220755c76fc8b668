"""The long form, ``python -m tests.faults --kills 200``: break everything, again and again; print the books.

Each round has a load and a ledger of its own; one flaw in one of them and the command fails.
"""

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from notifier.embedded.leash import signal_group
from notifier.embedded.proxy import Mode
from notifier.embedded.stack import DATABASE
from tests.faults.ledger import Allowance, Ledger, Way
from tests.faults.producers import Producers
from tests.faults.rig import CONNECTIONS, PROCESSES, SENDERS, Rig, a_rig, some_moment
from tests.faults.sabotage import SABOTAGES
from tests.faults.stages import held_ingest

KILLS_A_ROUND = 10
FORGETFUL = frozenset({Way.STREAM, Way.DURABLE})
COLUMNS = ("faults", "receipts", "stored", "forgotten", "lost", "mails", "repeats", "unknown", "allowed")


@dataclass(slots=True)
class Totals:
    """Sums over the rounds of each kind, in the order of their first round."""

    sums: dict[str, Counter[str]] = field(default_factory=dict)
    flaws: list[str] = field(default_factory=list)

    def add(self, kind: str, faults: int, ledger: Ledger) -> None:
        """Add one round."""
        numbers = (
            faults, len(ledger.promises.accepted), ledger.rows.events.total(), len(ledger.excused),
            len(ledger.missing - ledger.excused), len(ledger.mails), ledger.repeats.total(),
            ledger.rows.unknown.total(), ledger.allowance.unknown,
        )  # fmt: skip
        found = Counter(dict(zip(COLUMNS, numbers, strict=True)))
        self.sums.setdefault(kind, Counter()).update(found)
        self.flaws += [f"{kind}: {flaw}" for flaw in ledger.flaws()]

    def table(self) -> str:
        """Return all sums as text."""
        everything = sum(self.sums.values(), Counter[str]())
        rows = [*self.sums.items(), ("all", everything)]
        head = f"{'':<30}" + "".join(f"{column:>10}" for column in COLUMNS)
        return "\n".join(
            [
                head,
                *(
                    f"{kind:<30}" + "".join(f"{sums[column]:>10}" for column in COLUMNS)
                    for kind, sums in rows
                ),
            ]
        )


Fault = Callable[[Rig], Allowance]


def kill(*names: str) -> Fault:
    """Return the kill -9 of processes."""
    return lambda rig: Allowance(unknown=rig.kill(*names))


def kill_valkey(rig: Rig) -> Allowance:
    """Kill -9, then start on the append-only file."""
    rig.stack.valkey.kill()
    some_moment()
    rig.stack.valkey.start()
    return Allowance()


def empty_valkey(rig: Rig) -> Allowance:
    """Kill -9, delete the file, start."""
    rig.stack.valkey.kill()
    rig.stack.valkey.wipe()
    rig.stack.valkey.start()
    return Allowance(forgetful=FORGETFUL, forgot_at=time.monotonic())


def flush_valkey(rig: Rig) -> Allowance:
    """FLUSHALL under the running workers, while they can store nothing: there is something to forget."""
    with held_ingest(rig.stack.postgres.url(DATABASE)):
        some_moment(2.0)
        rig.stack.valkey.wipe()
        return Allowance(forgetful=FORGETFUL, forgot_at=time.monotonic())


def restart_postgres(number: signal.Signals) -> Fault:
    """Return the end of PostgreSQL by a signal, and its start."""

    def restart(rig: Rig) -> Allowance:
        postgres = rig.stack.postgres
        if number == signal.SIGKILL:
            postgres.kill()
        elif postgres.pid is not None:
            signal_group(postgres.pid, number)
            rig.await_true(lambda: postgres.pid is None, "PostgreSQL is down")
        some_moment()
        postgres.start()
        return Allowance()

    return restart


def break_line(name: str, mode: Mode) -> Fault:
    """Return a network that fails for a moment; the relay's may leave one unknown for each connection."""

    def fail(rig: Rig) -> Allowance:
        rig.break_line(name, mode, latency=0.05)
        some_moment(2.0)
        rig.break_line(name, Mode.PASS)
        # A silent line is reset when it speaks again: broken twice.
        return Allowance(
            unknown=2 * CONNECTIONS * len(SENDERS) if name == "relay" and mode is not Mode.SLOW else 0
        )

    return fail


def rounds(kills: int) -> Iterator[tuple[str, list[Fault]]]:
    """Yield the rounds: kills of processes first, then the rarer things, a round for each twenty kills."""
    left = kills
    while left > 0:
        chosen = random.choices([*PROCESSES, "all"], k=min(left, KILLS_A_ROUND))
        yield "processes killed", [kill(*PROCESSES) if name == "all" else kill(name) for name in chosen]
        left -= len(chosen)
    for _ in range(max(1, kills // 20)):
        yield "Valkey killed", [kill_valkey, kill_valkey]
        yield "Valkey emptied", [empty_valkey]
        yield "FLUSHALL", [flush_valkey]
        yield "PostgreSQL killed", [restart_postgres(signal.SIGKILL), restart_postgres(signal.SIGQUIT)]
        yield "PostgreSQL restarted", [restart_postgres(signal.SIGINT)]
        for server in ("postgres", "valkey", "relay"):
            modes = [Mode.CUT, Mode.HALF_OPEN, Mode.SLOW]
            yield f"lines to {server} broken", [break_line(server, mode) for mode in modes]


def play(rig: Rig, faults: list[Fault]) -> Ledger:
    """Run one round: load, faults at random moments, rest, books."""
    rig.mend()
    allowed = Allowance()
    with rig.load() as producers:
        rig.await_mails(producers.promises, 10)
        for fault in faults:
            _gather_way(rig, producers)
            cost = fault(rig)
            allowed = Allowance(
                unknown=allowed.unknown + cost.unknown, forgetful=allowed.forgetful | cost.forgetful,
                forgot_at=max(allowed.forgot_at, cost.forgot_at),
            )  # fmt: skip
        producers.await_accepted(30)
    return rig.settle(producers.promises, allowed, timeout=120)


def _gather_way(rig: Rig, producers: Producers) -> None:
    """Let work flow again before the next fault, mostly: some hit a process that just starts."""
    if random.random() < 0.8:
        rig.await_ready()
        producers.await_accepted(20)
    some_moment(1.0)


def main() -> int:
    """Play all rounds; 1 where the books of any do not agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=200, help="kill -9 of processes; the rest follows from it"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices of a run")
    parser.add_argument("--sabotage", default="", help=f"switch safeguards off: {', '.join(SABOTAGES)}")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    random.seed(seed)
    sys.stdout.write(f"seed {seed}\n")
    totals, started = Totals(), time.monotonic()
    with a_rig(options.sabotage) as rig:
        for number, (kind, faults) in enumerate(rounds(options.kills), 1):
            ledger = play(rig, faults)
            totals.add(kind, len(faults), ledger)
            verdict = "; ".join(ledger.flaws()) or "the books agree"
            sys.stdout.write(
                f"{time.monotonic() - started:7.1f} s  round {number:>3}  {kind:<26} {verdict}\n"
            )
            sys.stdout.flush()
    sys.stdout.write(f"\n{totals.table()}\n\n{len(totals.flaws)} flaws\n")
    return 1 if totals.flaws else 0


if __name__ == "__main__":
    sys.exit(main())
