"""Hand out tokens for all processes together: one script call for all flows of a chunk.

Server time decides, so workers' clocks need not agree. Buckets that Redis forgot are full again: at worst a
second's worth too many goes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import redis

from notifier.broker.connection import speaking
from notifier.delivery.buckets import burst
from notifier.events import Urgency

_KEY = "notifier:tokens:{}:{}"
_RANKS = {Urgency.URGENT.value: 0, Urgency.NORMAL.value: 1, Urgency.BULK.value: 2}

# KEYS: buckets. ARGV: the lane's rank, then rate, size and tokens wanted for each. A lane that did not get all it
# wanted leaves a mark; for two seconds lanes behind it get a quarter of what there is at most, so that it has the
# rest at its next turn. Where a quarter is less than a token, they get one of about four: urgent mail without end must
# not keep all other mail for ever. Redis may come back with another machine's clock: a mark of the future is none.
_TAKE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local rank = tonumber(ARGV[1])
local granted = {}
for i, key in ipairs(KEYS) do
  local rate, size = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local wanted = tonumber(ARGV[3 * i + 1])
  local state = redis.call('HMGET', key, 'level', 'at', 'hungry0', 'hungry1', 'fed1', 'fed2')
  local level = tonumber(state[1] or size)
  local at = tonumber(state[2] or now)
  level = math.min(size, level + math.max(0, now - at) * rate)
  local usable = level
  for before = 0, rank - 1 do
    local since = tonumber(state[3 + before] or 0)
    if math.abs(now - since) < 2 then usable = level / 4 end
  end
  if usable < 1 and level >= 1 and wanted > 0 then
    local fed = tonumber(state[4 + rank])
    if fed and math.abs(now - fed) * rate >= 4 then usable = 1 end
    if not fed or usable == 1 then redis.call('HSET', key, 'fed' .. rank, string.format('%.6f', now)) end
  end
  local got = math.min(wanted, math.floor(usable))
  level = level - got
  redis.call('HSET', key, 'level', tostring(level), 'at', string.format('%.6f', now))
  if rank < 2 then
    if got < wanted then
      redis.call('HSET', key, 'hungry' .. rank, string.format('%.6f', now))
    else
      redis.call('HDEL', key, 'hungry' .. rank)
    end
  end
  redis.call('PEXPIRE', key, math.ceil(size / rate * 1000) + 60000)
  granted[i] = got
end
return granted
"""

_GIVE_BACK = """
for i, key in ipairs(KEYS) do
  local level = redis.call('HGET', key, 'level')
  if level then
    redis.call('HSET', key, 'level', tostring(math.min(tonumber(ARGV[2 * i - 1]), tonumber(level) + ARGV[2 * i])))
  end
end
return 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How many tokens a flow wants, and how fast its bucket fills."""

    relay: str
    destination: str
    rate: float
    """Tokens a second; above zero."""
    count: int

    @property
    def key(self) -> str:
        """The bucket's key."""
        return _KEY.format(self.relay, self.destination)


class Buckets:
    """The token buckets."""

    def __init__(self, client: redis.Redis) -> None:
        self._take, self._give_back = client.register_script(_TAKE), client.register_script(_GIVE_BACK)

    def take(self, lane: str, asks: Sequence[Ask]) -> list[int]:
        """Return how many tokens each gets.

        Raises:
            BrokerUnavailable: nobody counts right now.
        """
        values: list[str | int] = [_RANKS[lane]]
        for one in asks:
            values += [repr(one.rate), repr(burst(one.rate)), one.count]
        with speaking():
            return cast("list[int]", self._take(keys=[one.key for one in asks], args=values))

    def give_back(self, asks: Sequence[Ask]) -> None:
        """Return tokens that were not used.

        Raises:
            BrokerUnavailable: nobody counts right now.
        """
        values = [value for one in asks for value in (repr(burst(one.rate)), one.count)]
        with speaking():
            self._give_back(keys=[one.key for one in asks], args=values)
