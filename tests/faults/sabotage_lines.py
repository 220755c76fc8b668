"""Safeguards on the lines to relay, Valkey and PostgreSQL, each switched off from outside.

Registered in ``sabotage``; changes nothing by itself.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import base

from notifier.broker import connection, wakeups
from notifier.broker.intake import GROUP, Intake
from notifier.channels import smtp_connection, smtp_session
from notifier.channels.smtp_connection import network
from notifier.errors import Phase, SendError
from notifier.pipeline.composing import envelopes
from notifier.pipeline.composing.composer import Composed
from notifier.pipeline.sending.chunk import Chunk
from notifier.store import database
from notifier.store.database import Connection
from notifier.tokens import mint_message_id
from tests.faults.switching import Put

FOR_EVER = 3600


def blame_the_message(put: Put) -> None:
    """Take a relay that is away for a failed try of each message, instead of letting the relay rest."""

    def blame(
        self: Chunk, _connection: Connection, unsent: Sequence[Composed], failure: SendError, *_: object
    ) -> None:
        now = self.tools.clock.now()
        for one in unsent:
            tried = self._try(one.job, now)
            self.settler.fail(one.job, failure, tried, self.report, spent=one.job.claim.attempt + 1)

    put(Chunk, "_rest", blame)


def dot_like_any_phase(put: Put) -> None:
    """Take a cut behind the final dot for one before it: the mail was not accepted."""
    put(smtp_session, "unknown", lambda reason: network(Phase.DOT, reason))


def new_id_each_try(put: Put) -> None:
    """Give each try of a message a Message-ID of its own."""

    def anew(key: bytes, _message: UUID, domain: str) -> str:
        return mint_message_id(key, uuid4(), domain)

    put(envelopes, "mint_message_id", anew)


def lease_without_deadlines(put: Put) -> None:
    """Let the sending lease end while the relay still has time to answer."""
    put(Chunk, "lease", property(lambda _chunk: timedelta(0)))


def patient_with_relays(put: Put) -> None:
    """Wait for a relay as long as it likes, in every phase."""
    put(smtp_connection, "_left", lambda _deadline: float(FOR_EVER))


def patient_with_valkey(put: Put) -> None:
    """Wait for Valkey as long as it likes."""
    put(connection, "_LIMITS", {**connection._LIMITS, "socket_timeout": None})


def patient_with_postgres(put: Put) -> None:
    """Wait for PostgreSQL as long as it likes, for a connection or for an answer."""
    in_no_hurry(put, connect_timeout=FOR_EVER, tcp_user_timeout=FOR_EVER * 1000, keepalives=0)


def patient_with_answers(put: Put) -> None:
    """Trust in PostgreSQL's own time limit to end every statement."""
    put(database.BoundedConnection, "wait", psycopg.Connection.wait)


def in_no_hurry(put: Put, **limits: int) -> None:
    """Open connections to PostgreSQL with other time limits."""

    def engine(url: str, *, connect_args: dict[str, Any], **options: Any) -> Engine:
        return create_engine(url, connect_args=connect_args | limits, **options)

    put(database, "create_engine", engine)


def keep_broken_connections(put: Put) -> None:
    """Hand out connections again that broke."""
    put(base._ConnectionFairy, "invalidate", lambda *_, **__: None)


def flag_for_an_hour(put: Put) -> None:
    """Trust in a wake-up to arrive: ring no second time."""
    put(wakeups, "FLAG_SECONDS", FOR_EVER)


def no_new_group(put: Put) -> None:
    """Leave the readers' group as Valkey has it, or has it not."""
    put(Intake, "_create_group", lambda *_: None)


def group_from_now(put: Put) -> None:
    """Make a group that vanished anew, for what comes from now on."""

    def create(self: Intake, key: str) -> None:
        self._client.xgroup_create(key, GROUP, id="$", mkstream=True)

    put(Intake, "_create_group", create)
