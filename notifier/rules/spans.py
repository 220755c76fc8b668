"""Write a length of time as rule files do: ``30s``, ``1h30m``, ``3d``.

What ``documents.read_duration`` reads back.
"""

from datetime import timedelta

_MILLISECOND = timedelta(milliseconds=1)


def span_text(span: timedelta) -> str:
    """Return a length of time; what is less than a millisecond is dropped."""
    seconds, rest = divmod(span, timedelta(seconds=1))
    parts = (
        (seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"),
        (rest // _MILLISECOND, "ms"),
    )  # fmt: skip
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
