"""Tell people what happened: nothing lost, nothing sent twice, every decision explained.

A producer needs ``notifier.Client`` and nothing else.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from notifier.client import Client

__version__ = "0.1.0"

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> object:
    # The server's processes import this package too: they need no client.
    if name == "Client":
        from notifier.client import Client  # noqa: PLC0415

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
