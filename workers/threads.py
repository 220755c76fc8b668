"""Decide how many threads a process gets: enough that a provider which hangs holds its own share only.

A thread that sends holds one of its provider's connections, so one thread for each of them is enough. What
``-c`` says on the command line goes first.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from celery.app.utils import Settings as CeleryConfig

from notifier.channels.configured import connections
from notifier.settings import Settings
from workers.config import QUEUES

CORE = 7
"""For what never calls a provider: one sweep, as there is never more than one in a process, one for what comes back,
and five for the lanes of intake, which end their stints after a second so that urgent goes first again."""


def threads_for(queues: Iterable[str], settings: Settings) -> int:
    """Return the threads a process needs that consumes these queues."""
    sending = [queue.startswith("deliver.") for queue in queues]
    return (connections(settings) if any(sending) else 0) + (0 if all(sending) else CORE)


def is_crowded(queues: Iterable[str], threads: int, settings: Settings) -> bool:
    """Tell whether the process sends, and with so few threads that one provider can hold up another."""
    consumed = tuple(queues)
    sends = any(queue.startswith("deliver.") for queue in consumed)
    return sends and threads < threads_for(consumed, settings)


def configure(conf: CeleryConfig, options: Mapping[str, Any], settings: Settings) -> None:
    """Tell Celery how many threads this worker gets, as its command line and our settings have it.

    The command line's own word is kept in the configuration too: the database's pool goes by it.
    """
    queues = set(_names(options.get("queues")) or QUEUES) - set(_names(options.get("exclude_queues")))
    said = options.get("concurrency")
    conf.worker_concurrency = said if isinstance(said, int) and said else threads_for(queues, settings)


def _names(said: str | Iterable[str] | None) -> list[str]:
    """Return names as Celery takes them: a list, or one text with commas."""
    return said.split(",") if isinstance(said, str) else list(said or ())
