"""Name what client and server share: keys, fields, limits, and the form of a request for a result.

The one place for them; imports nothing but the event's vocabulary and talks to nobody.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

from notifier.events import Json, Urgency

PAYLOAD: Final = "e"
"""The one field of a stream entry: the event's JSON, UTF-8."""

LANES_KEY: Final = "notifier:lanes"
"""A hash the server publishes: event type to lane. Clients cache it for a minute."""

ASKED_KEY: Final = "notifier:asked"
"""A list: requests for results, pushed by clients with RPUSH, popped by the server from the left."""

LIMIT_FIELD: Final = "#limit"
"""The field of that hash which is no event type: how many entries one lane may hold."""

MAX_PENDING: Final = 100_000
"""Entries one lane's stream may hold before a client gets ``IntakeFull``, where no server said otherwise."""

MAX_EVENT_BYTES: Final = 256 * 1024
"""JSON bytes of an event, not counting the content of attachments."""

MAX_EVENT_BYTES_WITH_FILES: Final = 15 * 1024 * 1024
"""JSON bytes of an event with its attachments as base64. Sealing adds a third to what travels."""

OUTBOX_TABLE: Final = "notifier_outbox"

Until = Literal["decided", "settled"]
"""What a result waits for: the rules have spoken, or every notification is in a final state."""


def stream_key(lane: Urgency) -> str:
    """Return the key of a lane's intake stream."""
    return f"notifier:intake:{lane.value}"


def result_key(token: str) -> str:
    """Return the list a result is pushed to; the server sets it to expire at ``Ask.expires_at``."""
    return f"notifier:result:{token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A producer wants to know what became of an event.

    The same ask can come several times (after a cut, or because the last one may be lost): its ``reply``
    key stays the same, and a second answer to it does no harm.
    """

    tenant: str
    source: str
    id: str
    until: Until
    reply: str
    """The list to RPUSH the result's JSON to."""
    expires_at: float
    """Epoch seconds; nobody listens afterwards."""

    def dumps(self) -> str:
        """Return the text that is pushed onto ``ASKED_KEY``."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def loads(cls, text: str | bytes) -> "Ask":
        """Read what was pushed onto ``ASKED_KEY``.

        Raises:
            ValueError: it is not an ask.
        """
        value: Json = json.loads(text)
        try:
            ask = cls(**value)
        except TypeError as error:
            raise ValueError(f"not a request for a result: {error}") from None
        if ask.until not in {"decided", "settled"}:
            raise ValueError(f"not a request for a result: until is {ask.until!r}")
        return ask
