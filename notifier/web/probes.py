"""Ask something that may hang, and answer in time anyway.

Knows threads and deadlines; nothing of databases or HTTP.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from notifier.errors import NotifierError
from notifier.logs import get_logger

log = get_logger("web")

ResultT = TypeVar("ResultT")

_GIVEN_UP = 30.0
"""After so many seconds an unanswered question is asked anew, beside the one that hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[ResultT]):
    """What came back in time; without a value the reason says why not."""

    value: ResultT | None = None
    reason: str = ""


class Probe(Generic[ResultT]):
    """One question, asked by one thread at a time however many want to know.

    Args:
        name: Who is asked, for reason and log.
        ask: Blocks as long as it likes; raises a NotifierError where there is no answer.
        within: Seconds a caller waits at most.
    """

    def __init__(self, name: str, ask: Callable[[], ResultT], *, within: float) -> None:
        self._name, self._ask, self._within = name, ask, within
        self._running: Future[ResultT] | None = None
        self._since = 0.0

    async def answer(self) -> Answer[ResultT]:
        """Return the answer, or the reason for none."""
        try:
            # Shielded: others wait for the same answer.
            value = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._future())), self._within)
        except TimeoutError:
            return self._no(f"did not answer within {self._within:g} s", "timeout")
        except NotifierError as error:
            return self._no("cannot be reached", str(error))
        except Exception as error:  # noqa: BLE001 - a probe that fails is an answer too
            return self._no(f"failed: {type(error).__name__}", type(error).__name__)
        return Answer(value=value)

    def _future(self) -> Future[ResultT]:
        running = self._running
        if running is None or running.done() or time.monotonic() - self._since > _GIVEN_UP:
            self._running = running = Future()
            self._since = time.monotonic()
            # A daemon: a question that hangs must not keep the process from ending.
            threading.Thread(
                target=self._run, args=(running,), name=f"probe-{self._name}", daemon=True
            ).start()
        return running

    def _run(self, future: Future[ResultT]) -> None:
        try:
            value = self._ask()
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            with contextlib.suppress(asyncio.InvalidStateError):
                future.set_exception(error)
        else:
            future.set_result(value)

    def _no(self, reason: str, detail: str) -> Answer[ResultT]:
        # The detail names hosts: it is for the log, the reason for whoever asks.
        log.warning("web.unanswered", part=self._name, reason=detail)
        return Answer(reason=reason)
