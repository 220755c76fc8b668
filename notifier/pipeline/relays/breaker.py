"""Let a relay rest that is away, hangs or is unwell, longer each time, and end that once it works again.

Sends nothing, and blames no message. One breaker serves one stint of a worker over one relay.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from notifier.delivery.outcome import is_unwell
from notifier.errors import Fault, Phase, SendError
from notifier.logs import get_logger
from notifier.store import relays
from notifier.store.database import Connection, Database

log = get_logger("deliver")

_FIRST_REST, _LONGEST_REST = 1.0, 60.0
_IN_A_ROW = 2
"""A single message may be one that a provider stumbles over; so many refused in a row, the provider is unwell."""


@dataclass(slots=True)
class Breaker:
    """What is known of a relay's health in this stint."""

    relay: str
    failures: int
    """How often in a row it failed; then one message of all processes tries it."""
    has_endpoints: bool = False
    """Each recipient is a service of its own: their answers say nothing of the relay."""
    is_resting: bool = False
    """It is away, hangs, limits us, or refused us as a sender: nothing more goes out in this stint."""
    _unwell: int = field(default=0, init=False)
    """How many messages in a row it could not take, whatever they were."""

    def may_try(self, connection: Connection, lease: timedelta) -> bool:
        """Say whether messages may go to the relay; of one that failed, the next one may, unless another does."""
        return not self.failures or relays.begin_try(connection, self.relay, lease)

    def tried(self, database: Database) -> None:
        """Let another message try a relay that failed, where this stint told nothing of it."""
        if self.failures and not self.is_resting:
            with database.connection() as connection:
                relays.end_try(connection, self.relay)

    def works(self, connection: Connection) -> None:
        """Note that the relay took a message, or judged one."""
        self._unwell = 0
        if self.failures:
            relays.clear_pause(connection, self.relay)
            self.failures = 0

    def heard(self, connection: Connection, failure: SendError, *, is_last: bool) -> None:
        """Note what a failed message says of the relay; ``is_last``: no other is there to be refused as well."""
        if self._is_away(failure, is_last=is_last):
            self.rest(connection, failure, self.seconds)
        elif _was_judged(failure):
            self.works(connection)

    @property
    def seconds(self) -> float:
        """How long the relay rests if it fails now."""
        return float(min(_LONGEST_REST, _FIRST_REST * 2 ** min(self.failures, 10)))

    def rest(self, connection: Connection, failure: SendError, seconds: float) -> str:
        """Let nobody use the relay for a while; return why, in words."""
        self.is_resting = True
        reason = f"the relay {self.relay} rests: {failure.reason} at {failure.reply.phase.value}"
        relays.pause_relay(connection, self.relay, timedelta(seconds=seconds), reason)
        log.warning(
            "deliver.rested",
            relay=self.relay,
            reason=failure.reason,
            phase=failure.reply.phase.value,
            code=failure.reply.code,
            seconds=seconds,
        )
        return reason

    def _is_away(self, failure: SendError, *, is_last: bool) -> bool:
        """Say whether it was cut or hung within a session, or is unwell: the next message would fare alike."""
        is_cut = failure.fault is Fault.NETWORK and failure.reply.phase is not Phase.LOCAL
        is_ill = is_unwell(failure) and not self.has_endpoints
        self._unwell += is_ill
        return is_cut or (is_ill and (self.failures > 0 or self._unwell >= _IN_A_ROW or is_last))


def _was_judged(failure: SendError) -> bool:
    """Say whether the relay judged a message: else nobody knows whether it works again."""
    return failure.fault not in {Fault.PROVIDER, Fault.NETWORK} and failure.reply.phase is not Phase.LOCAL
