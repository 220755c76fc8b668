"""How a task fails: with words that may be seen in Flower and stay in the results.

Counts, ids and names of classes; never a value that was worked on.
"""

from notifier.errors import NotifierError


class DeliveryFailed(Exception):
    """A chunk ended with messages that will not be sent; carries counts and ids, nothing personal."""

    def __init__(self, failed: int, total: int, ids: list[str]) -> None:
        super().__init__(failed, total, ids)
        self.failed, self.total, self.ids = failed, total, ids

    def __str__(self) -> str:
        """Say how many of how many, and which."""
        return f"{self.failed} of {self.total}: {', '.join(self.ids)}"

    def __repr__(self) -> str:
        """Say the same: this is what Flower shows."""
        return f"{type(self).__name__}({self})"


class StageFailed(NotifierError):
    """A stage met an error it does not know; the text names its class and constraint, no values."""
