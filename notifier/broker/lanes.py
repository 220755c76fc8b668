"""Publish each type's lane and how much a lane may hold, so that clients put events where they belong."""

from collections.abc import Mapping

import redis

from notifier.broker.connection import speaking
from notifier.client.wire import LANES_KEY, LIMIT_FIELD


def publish_lanes(client: redis.Redis, lanes: Mapping[str, str], *, limit: int | None = None) -> None:
    """Replace the map; ``limit`` is how many entries one lane may hold."""
    published = [*lanes.items(), *([] if limit is None else [(LIMIT_FIELD, str(limit))])]
    with speaking(), client.pipeline() as pipe:
        pipe.delete(LANES_KEY)
        if published:
            pipe.hset(LANES_KEY, mapping={str(name): value for name, value in published})
        pipe.execute()


def has_lanes(client: redis.Redis) -> bool:
    """Tell whether the map is there: Redis may have lost its memory since."""
    with speaking():
        return bool(client.exists(LANES_KEY))
