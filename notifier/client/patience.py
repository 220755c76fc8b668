"""Try again while a server is away: exponential backoff with full jitter, within a time limit.

Knows neither Redis nor PostgreSQL; the caller says which errors pass.
"""

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_FIRST, _CEILING = 0.05, 1.0


def delays(limit: float) -> Iterator[float]:
    """Yield pauses until ``limit`` seconds have passed; always at least one when the limit is positive."""
    deadline, step = time.monotonic() + limit, _FIRST
    while (left := deadline - time.monotonic()) > 0:
        # Full jitter, but never nothing: a thousand producers must not come back in step.
        yield min(left, random.uniform(_FIRST / 10, step))  # noqa: S311 - no secret
        step = min(_CEILING, step * 2)


def try_again(action: Callable[[], T], *, passing: Callable[[Exception], bool], limit: float) -> T:
    """Return what ``action`` returns; repeat it while its error is passing and the limit is not reached.

    The last error is raised as it is.
    """
    pauses = delays(limit)
    while True:
        try:
            return action()
        except Exception as error:
            pause = next(pauses, None) if passing(error) else None
            if pause is None:
                raise
        time.sleep(pause)
