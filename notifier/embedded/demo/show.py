"""Run the demo: start the machine, send the scenarios, hold each outcome against what was expected.

Waits for real outcomes and decides nothing about them.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from notifier.catalog import Catalog
from notifier.client import Client, Result
from notifier.client.writing import EventKey
from notifier.embedded.demo.evidence import Evidence, Told
from notifier.embedded.demo.judge import differences, miscounts
from notifier.embedded.demo.kill import kill_in_the_middle, row_for
from notifier.embedded.demo.machine import Machine
from notifier.embedded.demo.scenarios import SOURCE, Scenario, Script
from notifier.embedded.demo.table import Row, Screen
from notifier.errors import NotifierError
from notifier.ids import uuid7
from notifier.messages import MessageStatus
from notifier.settings import find_config
from notifier.store.database import Database

_PATIENCE = 60.0
_LOOK_EVERY = 0.1
_WAITING = frozenset({MessageStatus.QUEUED, MessageStatus.DEFERRED})
_INTERRUPTED = 130


def show(folder: Path, *, is_once: bool) -> int:
    """Run the demo and return the exit code: 0 if every outcome was the expected one."""
    screen = Screen()
    signal.signal(signal.SIGTERM, _interrupt)
    code = _INTERRUPTED
    try:
        with Machine(folder) as machine:
            machine.start(screen.tell)
            code = _tell_story(machine, screen)
            machine.wait_for_pages()
            screen.links(machine.pages() | {"in a shell": f". {folder}/env; .venv/bin/notifier log"})
            if not is_once:
                screen.tell("It stays up until Ctrl-C; the next `make demo` goes on with the same data.")
                _wait_for_ctrl_c()
            screen.tell("Stopping ...")
    except KeyboardInterrupt:
        pass
    screen.tell("Everything is stopped.")
    return code


def _tell_story(machine: Machine, screen: Screen) -> int:
    script = Script(Catalog.load(find_config() / "events"), run=uuid7().hex[-8:])
    database = Database(machine.urls.worker, size=4, name="demo")
    evidence = Evidence(database, catcher=machine.page("catcher", ""), gateway=machine.page("sms", ""))
    with Client(machine.urls.redis, source=SOURCE) as client:
        tellers = [_Teller(scenario, client, evidence) for scenario in script.scenarios()]
        killed = row_for(script)
        rows = [*(teller.row for teller in tellers), killed]
        with screen.live(rows):
            _run(tellers, screen)
            kill_in_the_middle(script, client, machine, evidence, killed)
            screen.outcome(killed)
            for teller in tellers:
                teller.count_again()
    database.dispose()
    screen.problems(rows)
    wrong = sum(bool(row.problems) for row in rows)
    screen.tell(f"{len(rows) - wrong} of {len(rows)} outcomes as expected")
    return int(wrong > 0)


class _Teller(threading.Thread):
    """Sends one scenario and fills its row."""

    def __init__(self, scenario: Scenario, client: Client, evidence: Evidence) -> None:
        super().__init__(daemon=True)  # Ctrl-C waits for nobody's outcome
        self._scenario, self._client, self._evidence = scenario, client, evidence
        self.row = Row(event=f"{scenario.title}: {scenario.events[-1]['type']}", to=scenario.to)
        self.key: EventKey | None = None

    def run(self) -> None:
        """Send the events one after the other; the last one's outcome is told."""
        try:
            for spec in self._scenario.events:
                receipt = self._client.enqueue(**spec)
                self.key = receipt.event
                result = receipt.result(_PATIENCE)
            self._wait_for_alert()
            self._tell(result)
        except NotifierError as error:
            self.row.problems.append(str(error))
        self.row.is_over = True

    def look(self) -> None:
        """Show how far it is."""
        if not self.row.is_over and self.key is not None:
            self._fill(self._told())

    def count_again(self) -> None:
        """Look once more, at the very end: a mail too many may come late."""
        expected, evidence = self._scenario.expected, self._evidence
        self.row.problems += miscounts("mails", expected.mails, evidence.mails)
        self.row.problems += miscounts("texts", expected.texts, evidence.texts)

    def _wait_for_alert(self) -> None:
        """The event only begins it; a sweep lets it speak."""
        end = time.monotonic() + _PATIENCE
        expected = len(self._scenario.expected.told)
        while self._scenario.alert is not None and time.monotonic() < end:
            told = self._told()
            if len(told) >= expected and all(one.status not in _WAITING for one in told):
                return
            time.sleep(_LOOK_EVERY)

    def _told(self) -> tuple[Told, ...]:
        return self._evidence.told(self.key, self._scenario.alert) if self.key else ()

    def _tell(self, result: Result) -> None:
        told = self._told()
        self._fill(told)
        if not told:
            self.row.happened = "refused" if result.state == "refused" else "nothing sent"
            self.row.tries, self.row.seconds = 0, None
        trouble = [one.reason for one in told if one.reason and one.status != "sent"]
        # The verdict's word says nothing that the row does not.
        self.row.why = "; ".join(trouble or (reason.replace(": fired:", ":") for reason in result.reasons))
        self.row.problems += differences(self._scenario.expected, result, told)

    def _fill(self, told: Sequence[Told]) -> None:
        if told:
            self.row.happened = ", then ".join(map(str, told))
            self.row.tries = sum(one.tries for one in told)
            self.row.seconds = max(one.seconds for one in told)


def _run(tellers: Sequence[_Teller], screen: Screen) -> None:
    for teller in tellers:
        teller.start()
    waiting = list(tellers)
    while waiting:
        for teller in waiting:
            teller.look()
            if teller.row.is_over:
                screen.outcome(teller.row)
        waiting = [teller for teller in waiting if not teller.row.is_over]
        time.sleep(_LOOK_EVERY)


def _wait_for_ctrl_c() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
