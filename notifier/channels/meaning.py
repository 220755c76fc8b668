"""What a provider's error code means to us: whose fault it is, and whether waiting helps.

Values only; each adapter has its own table of them.
"""

from dataclasses import dataclass

from notifier.errors import Fault


@dataclass(frozen=True, slots=True)
class Meaning:
    """The verdict on a code."""

    fault: Fault
    reason: str
    is_temporary: bool = False
    is_account: bool = False
    """It is about our account or sender, so every message would meet it: the flow rests."""
    is_hard: bool = False
    """The address is dead: nothing is to be sent there again."""


RATE = Meaning(Fault.RATE, "rate-limited", is_temporary=True)
AWAY = Meaning(Fault.PROVIDER, "provider", is_temporary=True)
CREDENTIALS = Meaning(Fault.CREDENTIALS, "credentials")
