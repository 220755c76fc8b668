"""Mint UUIDv7 ids (RFC 9562 §5.7): time-ordered, so time order is id order.

Ids say when a row was made and nothing else; secrets never go into one.
"""

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """Return a new id, greater than every id this process minted before.

    The 12 bits after the milliseconds count fractions of it (RFC 9562 §6.2, method 3), so ids of one
    process keep their order even within a millisecond and when the clock steps back.
    """
    global _last  # noqa: PLW0603 - one monotone counter per process is the point
    tick = (time.time_ns() << 12) // 1_000_000
    with _lock:
        _last = tick = max(tick, _last + 1)
    # Unique, not secret: Python's own generator, which a fork seeds anew, makes no system call.
    return _assemble(tick, random.getrandbits(62))


def uuid7_floor(moment: datetime) -> UUID:
    """Return the smallest id a row made at ``moment`` can have; the bound of a partition or a page."""
    # Whole numbers: a float of seconds is off by a millisecond now and then.
    return UUID(int=((moment - _EPOCH) // _MILLISECOND << 80) | (7 << 76) | (2 << 62))


def uuid7_time(value: UUID) -> datetime:
    """Return when the id was minted, to the millisecond, aware UTC."""
    return _EPOCH + (value.int >> 80) * _MILLISECOND


def _assemble(tick: int, noise: int) -> UUID:
    millis, fraction = tick >> 12, tick & 0xFFF
    return UUID(int=(millis << 80) | (7 << 76) | (fraction << 64) | (2 << 62) | noise)
