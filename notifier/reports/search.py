"""Search the log: the messages of an address, a subject, a time; newest first, a page at a time.

A page is found by an index and ends at a message's id; nothing is ever counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg import sql
from psycopg.rows import dict_row

from notifier.crypto import Keyring, blind_index
from notifier.events import Json, Recipient
from notifier.ids import uuid7_floor
from notifier.messages import ChannelName
from notifier.recipients.resolve import address_on
from notifier.reports.sealed import Withheld, unseal_json
from notifier.store.database import Connection
from notifier.store.tenants import known_tenants

LIMIT = 1000
"""Rows of the longest page."""

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """What to look for; everything that is set must hold."""

    address: str | None = None
    subject: str | None = None
    type: str | None = None
    statuses: tuple[str, ...] = ()
    """Any of these, as it was sent or as it became; all where empty."""
    channel: str | None = None
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    message: UUID | None = None
    after: UUID | None = None
    """The last id of the page before."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """A message, as the log shows it."""

    id: UUID
    created_at: datetime
    tenant: str
    type: str
    subject: str
    channel: str
    to: str
    """The address it went to; ``[erased]`` once the person is forgotten."""
    status: str
    reason: str | None
    fate: str | None
    """What became of it after it left: delivered, deferred, rejected, bounced, complained."""
    fate_reason: str | None
    attempts: int
    relay: str | None
    rule: str | None
    resend_of: UUID | None
    settled_at: datetime | None
    notification_id: UUID
    event_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """One page; ``has_more`` tells whether another follows its last row."""

    rows: tuple[LogRow, ...]
    has_more: bool


def search(connection: Connection, keyring: Keyring, query: LogQuery) -> LogPage:
    """Return a page of the log."""
    statement, parameters = compose(query, keyring.index_key, tenants_of(connection, query))
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(statement, parameters).fetchall()
    rows = tuple(_row(row, keyring) for row in found[: query.limit])
    return LogPage(rows=rows, has_more=len(found) > query.limit)


def tenants_of(connection: Connection, query: LogQuery) -> list[str]:
    """Return the tenants to look in."""
    return [query.tenant] if query.tenant is not None else sorted(known_tenants(connection))


def compose(
    query: LogQuery, index_key: bytes, tenants: Sequence[str]
) -> tuple[sql.Composed, dict[str, object]]:
    """Return the statement and its parameters; values are always parameters."""
    conditions, parameters = _conditions(query)
    parameters["limit"] = query.limit + 1
    scope = sql.SQL("")
    if query.address is not None:
        # Address and subject are indexed within a tenant: one short index scan each, merged.
        scope = sql.SQL("unnest(%(tenants)s::text[], %(indexes)s::bytea[]) AS scope (tenant, address_index)")
        conditions += [_same_tenant, sql.SQL("message.address_index = scope.address_index")]
        parameters["indexes"] = [blind_index(index_key, tenant, query.address) for tenant in tenants]
    elif query.subject is not None:
        scope = sql.SQL("unnest(%(tenants)s::text[]) AS scope (tenant)")
        conditions.append(_same_tenant)
    elif query.tenant is not None:
        conditions.append(sql.SQL("message.tenant = %(tenant)s"))
        parameters["tenant"] = query.tenant
    if query.address is not None or query.subject is not None:
        parameters["tenants"] = list(tenants)
        source = sql.SQL("{}, LATERAL ({}) AS page").format(scope, _page(conditions))
    else:
        source = sql.SQL("({}) AS page").format(_page(conditions))
    return _STATEMENT.format(source=source), parameters


_same_tenant = sql.SQL("message.tenant = scope.tenant")
_STATEMENT = sql.SQL(
    """WITH page AS MATERIALIZED (SELECT page.* FROM {source} ORDER BY page.id DESC LIMIT %(limit)s)
       SELECT page.*, notification.rule, notification.sealed, person.data_key
       FROM page
       LEFT JOIN notification ON notification.id = page.notification_id
       LEFT JOIN person ON person.id = page.person_id
       ORDER BY page.id DESC"""
)
_PAGE = sql.SQL(
    """SELECT id, tenant, notification_id, event_id, type, subject, channel, person_id, resend_of, status,
              reason, fate, fate_reason, attempts, relay, created_at, settled_at
       FROM message {where} ORDER BY id DESC LIMIT %(limit)s"""
)


def _page(conditions: Sequence[sql.Composable]) -> sql.Composed:
    where = sql.SQL("WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL("")
    return _PAGE.format(where=where)


def _conditions(query: LogQuery) -> tuple[list[sql.Composable], dict[str, object]]:
    """Return what each set field asks for; times become bounds of ids, which prunes partitions."""
    wanted = {
        "subject": ("subject = {}", query.subject),
        "type": ("type = {}", query.type),
        "channel": ("channel = {}", query.channel),
        "message": ("id = {}", query.message),
        "after": ("id < {}", query.after),
        "since": ("id >= {}", _floor(query.since)),
        "until": ("id < {}", _floor(query.until)),
    }
    held = {name: pair for name, pair in wanted.items() if pair[1] is not None}
    conditions: list[sql.Composable] = [
        sql.SQL(f"message.{test}").format(sql.Placeholder(name)) for name, (test, _) in held.items()
    ]
    parameters: dict[str, object] = {name: value for name, (_, value) in held.items()}
    if query.statuses:
        conditions.append(sql.SQL("(message.status = ANY(%(statuses)s) OR message.fate = ANY(%(statuses)s))"))
        parameters["statuses"] = list(query.statuses)
    return conditions, parameters


def _floor(moment: datetime | None) -> UUID | None:
    return uuid7_floor(max(moment, _EPOCH)) if moment is not None else None


def _row(row: dict[str, Json], keyring: Keyring) -> LogRow:
    data_key, sealed, _ = row.pop("data_key"), row.pop("sealed"), row.pop("person_id")
    recipient = unseal_json(keyring, data_key, sealed, b"recipient")
    return LogRow(to=address_of(recipient, row["channel"]), **row)


def address_of(recipient: Json, channel: str) -> str:
    """Return where an unsealed recipient was reached on a channel."""
    if isinstance(recipient, Withheld):
        return recipient.value
    return address_on(Recipient(**recipient), ChannelName(channel))
