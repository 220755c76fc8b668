"""What sessions share that hold no connection open: a portal's, a console's, those of groups of targets.

Never reaches a provider; each channel's own session sends.
"""


class UnconnectedSession:
    """The part of a session that is the same for all: usable until it failed or was closed."""

    def __init__(self, relay: str) -> None:
        self.relay = relay
        self._is_usable = True

    @property
    def is_usable(self) -> bool:
        """Say whether another message may be sent."""
        return self._is_usable

    def refresh(self) -> None:
        """Nothing to do: there is no connection to lose."""

    def close(self) -> None:
        """Nothing is held open; what was written to stays its owner's."""
        self._is_usable = False
