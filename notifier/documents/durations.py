"""Read lengths of time as people write them: ``90s``, ``10m``, ``1h30m``.

Knows no file and no field.
"""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def read_duration(value: Any) -> Any:
    """Read ``90s``, ``10m``, ``1h30m``, ``3d`` or ``50ms``; leave a timedelta as it is.

    Raises:
        ValueError: the text is no duration.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([0-9]+(ms|[dhms]))+", value):
        raise ValueError("must be a duration such as 90s, 10m, 1h30m or 3d")
    try:
        return sum(
            (int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)(ms|[dhms])", value)),
            start=timedelta(),
        )
    except (OverflowError, ValueError):  # int() refuses thousands of digits with a ValueError of its own
        raise ValueError("is too long a duration: at most 999999999d") from None


Duration = Annotated[timedelta, BeforeValidator(read_duration)]
"""A length of time, written ``90s``, ``10m``, ``1h30m`` or ``3d``."""
