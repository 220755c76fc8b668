"""kombu's Redis transport with its client kept: half as much again in consume rate, or twice.

kombu 5.7 builds a new ``redis.Redis`` for each group of commands. The client holds no state but its pool,
so one per channel serves; it goes when kombu drops the pools, as it does after a fork or a reconnect.
Private API: a test watches it.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis


class QoS(kombu_redis.QoS):
    """What a channel has taken and not acknowledged."""

    def restore_unacked(self, client: Any = None) -> None:
        """Put it back, unless the connection is gone: kombu 5.7 falls over that, and the worker with it.

        Nothing is lost: a wake-up that nobody answers is rung again by the sweep.
        """
        if self.channel.connection.client is None:
            self._delivered.clear()
        else:
            super().restore_unacked(client)


class Channel(kombu_redis.Channel):
    """A channel that keeps its synchronous client."""

    QoS = QoS

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._kept is None:
            self._kept = super()._create_client(asynchronous=False)
        return self._kept

    def _disconnect_pools(self) -> None:
        self._kept = None
        super()._disconnect_pools()


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """The same, to whichever server the sentinels call the primary."""


class Transport(kombu_redis.Transport):
    """The transport with such channels."""

    Channel = Channel


class SentinelTransport(kombu_redis.SentinelTransport):
    """The transport through sentinels, with such channels."""

    Channel = SentinelChannel


# A connection that turns to the next sentinel of its list forgets which class it was made with, and goes by
# the URL's scheme from then on.
TRANSPORT_ALIASES["sentinel"] = f"{__name__}:{SentinelTransport.__name__}"
