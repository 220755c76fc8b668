"""Publish each event type's lane, so that clients put events where they belong."""

from collections.abc import Mapping

import redis

from notifier.broker.connection import speaking
from notifier.client.wire import LANES_KEY


def publish_lanes(client: redis.Redis, lanes: Mapping[str, str]) -> None:
    """Replace the map."""
    with speaking(), client.pipeline() as pipe:
        pipe.delete(LANES_KEY)
        if lanes:
            pipe.hset(LANES_KEY, mapping={str(name): lane for name, lane in lanes.items()})
        pipe.execute()


def has_lanes(client: redis.Redis) -> bool:
    """Tell whether the map is there: Redis may have lost its memory since."""
    with speaking():
        return bool(client.exists(LANES_KEY))
