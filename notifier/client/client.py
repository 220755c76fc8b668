"""Let a program say that something happened, in one call.

Writes, hands over, and gives back receipts; decides nothing about who is told, or how.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from notifier.client import wire
from notifier.client.addresses import REDIS, scheme_of
from notifier.client.outbox import OutboxTransport, write_on
from notifier.client.patience import delays
from notifier.client.receipts import Asker, EnqueueSummary, Receipt, Result
from notifier.client.transport import Handed, Transport
from notifier.client.writing import EventKey, EventSpec, Limits, Seal, To, UrgencyText, Writer, Written, event
from notifier.errors import ConfigError, EventRefused, IntakeFull, IntakeUnavailable, NotDurable
from notifier.events import Attachment, Json

CHUNK: Final = 500
# A wait for the disk takes up to a second: worth more events at a time.
DURABLE_CHUNK: Final = 5_000
_CHUNK_BYTES: Final = 4 * 1024 * 1024


class Client:
    """Hand events to notifier. Safe to share between threads; connects on first use.

    Args:
        url: where the intake is; ``NOTIFIER_URL`` if not given. ``redis://``, ``rediss://`` and
            ``sentinel://host:port,host2:port2/service?db=0&password=..`` lead to the intake stream,
            ``postgresql://`` to the outbox table of the producer's own database.
        source: who you are; an event is stored once per tenant, source and id.
        seal_to: the server's public key (base64): seals data, recipients and attachments.
        results_url: a Redis URL to ask for results, where ``url`` leads to an outbox.
        max_pending: events one lane may hold before :class:`~notifier.errors.IntakeFull`; what the server
            says (``limits.intake_entries``) if not given.
        limits: how large one event may be.
        durable: return only once an event is on the server's disk. Needs its append-only file.
        durable_timeout: seconds to wait for the disk.
        retry_for: seconds to go on trying when the server is away.
        wait_when_full: seconds to wait for room in a full lane before giving up.

    Raises:
        ConfigError: the URL, the source or the key is wrong.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        source: str,
        seal_to: str | None = None,
        results_url: str | None = None,
        max_pending: int | None = None,
        limits: Limits | None = None,
        durable: bool = False,
        durable_timeout: float = 5.0,
        retry_for: float = 10.0,
        wait_when_full: float = 0.0,
    ) -> None:
        url = url or os.environ.get("NOTIFIER_URL")
        if not url:
            raise ConfigError(
                "no URL was given", field="url", mend="pass Client(url, ...) or set NOTIFIER_URL"
            )
        if not source:
            raise ConfigError("must not be empty", field="source", mend="name your program")
        self._durable, self._wait_when_full = durable, wait_when_full
        self._writer = Writer(source, limits=limits or Limits(), seal=_seal(seal_to))
        self._transport: Transport
        if scheme_of(url) in REDIS:
            from notifier.client.stream import StreamTransport  # noqa: PLC0415 - redis is heavy to import

            self._transport = StreamTransport(
                url, max_pending=max_pending, durable_timeout=durable_timeout, retry_for=retry_for
            )
        else:
            self._transport = OutboxTransport(url, retry_for=retry_for, asker=_results(results_url))

    def enqueue(
        self,
        type: str,  # noqa: A002 - CloudEvents' name
        *,
        subject: str,
        data: Mapping[str, Json],
        to: To | None = None,
        tenant: str = "default",
        id: str | None = None,  # noqa: A002 - CloudEvents' name
        time: datetime | None = None,
        urgency: UrgencyText | None = None,
        attachments: Sequence[Attachment] = (),
        durable: bool | None = None,
        on: object | None = None,
    ) -> Receipt:
        """Hand one event over.

        Args:
            type: a type of the catalogue, for example ``returns.approved``.
            subject: what it is about, for example the return's number.
            data: what the type's schema asks for.
            to: who is to be told, where neither data nor the rules say so.
            tenant: for whom you work.
            id: yours, if you have one: the same id again is the same event. Minted otherwise.
            time: when it happened; now if not given.
            urgency: ``urgent``, ``normal`` or ``bulk``; the type's own if not given.
            attachments: files by content or by reference.
            durable: overrides the client's setting for this event.
            on: your SQLAlchemy session or connection, or psycopg connection: the event appears with its
                commit and vanishes with its rollback. Outbox only.

        Raises:
            EventRefused: the event can never be accepted as it is; the error names the field.
            IntakeFull: the lane is at its limit.
            IntakeUnavailable: the server stayed away; send again with the same id.
            NotDurable: the server cannot promise that the event is on disk.
        """
        spec = event(
            type, subject=subject, data=data, to=to, tenant=tenant, id=id, time=time, urgency=urgency,
            attachments=attachments,
        )  # fmt: skip
        written = self._writer.write(spec)
        try:
            return next(self._hand_over([written], durable=durable, on=on))
        except (IntakeFull, IntakeUnavailable, NotDurable) as error:
            error.add_note(f"event id: {written.key[2]}")
            raise

    def enqueue_many(
        self, events: Iterable[EventSpec], *, durable: bool | None = None, on: object | None = None
    ) -> EnqueueSummary:
        """Hand over any number of events, in chunks and in bounded memory.

        When an event is refused or the intake is full, everything before it has been accepted.

        Args:
            events: what :func:`event` returns, or mappings with the arguments of :meth:`enqueue`; a
                generator of any length will do.
            durable: overrides the client's setting; waits once per chunk.
            on: as for :meth:`enqueue`.

        Raises:
            EventRefused: as for :meth:`enqueue`; the field begins with the event's number, from 0.
            IntakeFull: as for :meth:`enqueue`.
            IntakeUnavailable: as for :meth:`enqueue`.
            NotDurable: as for :meth:`enqueue`.
        """
        lanes = Counter(receipt.lane for receipt in self.enqueue_each(events, durable=durable, on=on))
        return EnqueueSummary(accepted=lanes.total(), lanes=dict(lanes))

    def enqueue_each(
        self, events: Iterable[EventSpec], *, durable: bool | None = None, on: object | None = None
    ) -> Iterator[Receipt]:
        """Like :meth:`enqueue_many`, yielding a receipt per event; sends as it is iterated."""
        is_durable = self._durable if durable is None else durable
        for chunk in _chunks(events, self._writer, DURABLE_CHUNK if is_durable else CHUNK):
            yield from self._hand_over(chunk, durable=is_durable, on=on)

    def close(self) -> None:
        """Close the connections; the client opens new ones if used again."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hand_over(
        self, events: Sequence[Written], *, durable: bool | None, on: object | None
    ) -> Iterator[Receipt]:
        pauses = delays(self._wait_when_full)
        while True:
            handed = self._once(events, is_durable=self._durable if durable is None else durable, on=on)
            for written, lane in handed.accepted:
                yield Receipt(event=written.key, lane=lane, asker=self._transport.asker or _NOBODY)
            if not handed.left:
                return
            pause = next(pauses, None)
            if pause is None:
                raise handed.full or IntakeFull
            time.sleep(pause)
            events = handed.left

    def _once(self, events: Sequence[Written], *, is_durable: bool, on: object | None) -> Handed:
        if on is None:
            return self._transport.hand_over(events, is_durable=is_durable)
        if not isinstance(self._transport, OutboxTransport):
            raise ConfigError(
                "only an outbox can be written on your own session", field="on",
                mend="give the client the postgresql:// URL of your database",
            )  # fmt: skip
        return write_on(on, events)


class _NobodyToAsk:
    """Stands where results cannot be asked for, and says why."""

    def ask(self, event: EventKey, *, timeout: float, until: wire.Until) -> Result:  # noqa: ARG002 - the protocol's
        raise ConfigError(
            "results come over Redis, and this client has an outbox only", field="results_url",
            mend="pass results_url='redis://...', the server's",
        )  # fmt: skip


_NOBODY: Final = _NobodyToAsk()


def _results(url: str | None) -> Asker | None:
    if url is None:
        return None
    scheme_of(url, allowed=REDIS, field="results_url")
    from notifier.client.asking import RedisAsker  # noqa: PLC0415 - redis is heavy to import
    from notifier.client.redis_link import open_redis  # noqa: PLC0415

    return RedisAsker(open_redis(url), url)


def _seal(public_key: str | None) -> Seal | None:
    if public_key is None:
        return None
    from notifier.client.sealing import read_public_key, seal_private  # noqa: PLC0415 - optional extra

    read_public_key(public_key)

    def seal(private: Mapping[str, Json], event_key: EventKey) -> str:
        return seal_private(private, public_key, event_key)

    return seal


def _chunks(events: Iterable[EventSpec], writer: Writer, count: int) -> Iterator[list[Written]]:
    """Yield chunks bounded in number and bytes; what came before an error is yielded before it is raised."""
    chunk: list[Written] = []
    size = 0
    try:
        for number, spec in enumerate(events):
            written = _write(writer, spec, number)
            chunk.append(written)
            size += len(written.payload)
            if len(chunk) >= count or size >= _CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
    except Exception:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _write(writer: Writer, spec: EventSpec, number: int) -> Written:
    try:
        return writer.write(spec)
    except EventRefused as refused:
        field = f"events[{number}].{refused.field}" if refused.field else f"events[{number}]"
        raise EventRefused(refused.reason, field=field, code=refused.code) from None
