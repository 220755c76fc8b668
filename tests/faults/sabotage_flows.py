"""Safeguards of pacing and fail-over, each switched off from outside.

Registered in ``sabotage``; changes nothing by itself.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from notifier.delivery.outcome import Next, Retry, SlowDown
from notifier.pipeline.sending import settle
from notifier.store import moves
from notifier.store.database import Connection
from tests.faults.switching import Put


def hand_over_all(put: Put) -> None:
    """Hand over, when a relay is down, what may have arrived by it too."""

    def lock(
        connection: Connection, *, relay: str, channel: str, lane: str, **_: Any
    ) -> list[tuple[UUID, str]]:
        rows = connection.execute(
            "SELECT message_id, tenant FROM work WHERE relay = %s AND channel = %s AND lane = %s AND state = 0 "
            "FOR UPDATE SKIP LOCKED",
            [relay, channel, lane],
        ).fetchall()
        return [(row[0], row[1]) for row in rows]

    put(moves, "lock_waiting", lock)


def rate_costs_tries(put: Put) -> None:
    """Take a rate limit for a failed try of the message."""
    decide = settle.after_failure

    def count(*arguments: Any, **named: Any) -> Next:
        following = decide(*arguments, **named)
        if isinstance(following, SlowDown):
            return Retry(delay=timedelta(0), counts=True, reason=following.reason)
        return following

    put(settle, "after_failure", count)
