"""Sizes and times: what is too big, and how the machinery runs.

Shapes only; the defaults suit one to sixteen cores.
"""

from datetime import timedelta

from pydantic import Field

from notifier.documents import Strict
from notifier.setting_tables.values import Wait


class Limits(Strict):
    """What is too big."""

    event_bytes: int = Field(default=262_144, ge=1)
    attachment_bytes: int = Field(default=10_485_760, ge=1)
    message_bytes: int = Field(default=20_971_520, ge=1)
    intake_entries: int = Field(default=100_000, ge=1)
    """Of one lane; published for the producers, who may set their own."""
    attachment_urls: tuple[str, ...] = ()
    """URL prefixes attachments may be fetched from; none by default."""


class Tuning(Strict):
    """Sizes and times of the machinery; the defaults suit one to sixteen cores."""

    ingest_batch: int = Field(default=200, ge=1, le=5000)
    deliver_chunk: int = Field(default=120, ge=1, le=1000)
    claim_lease: Wait = timedelta(seconds=60)
    """After this long a claimed message whose worker died goes to another; longer than a chunk takes."""
    lease_margin: Wait = timedelta(seconds=15)
    """A try to send may overrun the sum of its deadlines by this much before its outcome counts as unknown.

    So long, too, the sweep waits after an outage of the database for those who know an outcome.
    """
    claim_idle: Wait = timedelta(seconds=30)
    """After this long a stream entry whose reader died goes to another."""
    database_timeout: Wait = timedelta(seconds=20)
    outbox_interval: Wait = timedelta(milliseconds=500)
