"""What the web process asks Redis: whether it is there, the counts, the intake's lengths."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.broker.connection import connect, speaking
from notifier.broker.counters import Counters
from notifier.broker.intake import Intake
from notifier.events import Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerView:
    """What Redis knows at one moment."""

    counts: Mapping[str, int]
    """Messages by ``channel|outcome|lane``."""
    latencies: Mapping[str, float]
    """Histogram fields ``channel|lane|bound`` and ``channel|lane|sum``."""
    intake: Mapping[Urgency, int]
    receipts: Mapping[str, int] = field(default_factory=dict)
    """What was reported of messages, by ``channel|kind|class``."""


class BrokerProbe:
    """Asks Redis over a connection of its own, with short time limits."""

    def __init__(self, url: str, *, within: float) -> None:
        self._client = connect(url, within=within)
        self._counters, self._intake = Counters(self._client), Intake(self._client, "web")

    def ping(self) -> bool:
        """Tell that Redis answers.

        Raises:
            BrokerUnavailable: it does not.
        """
        with speaking():
            return bool(self._client.ping())

    def view(self) -> BrokerView:
        """Return everything ``/metrics`` shows of Redis.

        Raises:
            BrokerUnavailable: it is away.
        """
        counts, latencies = self._counters.read()
        return BrokerView(
            counts=counts,
            latencies=latencies,
            intake=self._intake.lengths(),
            receipts=self._counters.receipts(),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
