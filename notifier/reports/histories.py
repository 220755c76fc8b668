"""Load the story of an event, a notification or a message, unsealed for people.

Reads only. What the keys no longer open is named as such; a type's secrets stay blank.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

import orjson
from psycopg.rows import dict_row

from notifier.catalog import Catalog
from notifier.crypto import Keyring
from notifier.events import Json
from notifier.messages import ChannelName
from notifier.pipeline.composing.keeping import REDIRECTED
from notifier.reports.history import (
    Content,
    EventHistory,
    MessageHistory,
    NotificationHistory,
    ReceiptRecord,
    TryRecord,
    Waiting,
)
from notifier.reports.naming import Kind, Named, NotFound
from notifier.reports.sealed import Withheld, unseal, unseal_json, without_secrets
from notifier.reports.search import address_of
from notifier.store.database import Connection
from notifier.store.messages import unpack
from notifier.store.work import WorkState
from notifier.tokens import mint_message_id

Row = dict[str, Any]

_EVENT = """SELECT event.*, decision.rules_hash, decision.notified, decision.sealed AS decision_sealed
            FROM event LEFT JOIN decision ON decision.event_id = event.id WHERE event.id = %(id)s"""
_NOTIFICATIONS = """
SELECT notification.*, person.data_key FROM notification
LEFT JOIN person ON person.id = notification.person_id
WHERE """
_MESSAGES = """
SELECT message.*, body.sealed AS body_sealed, work.state, work.due_at, work.expires_at, work.attempt,
       work.is_sending, tenant.paused_at IS NOT NULL AS is_tenant_paused,
       rest.until, rest.reason AS rests_because
FROM message
LEFT JOIN body ON body.message_id = message.id
LEFT JOIN work ON work.message_id = message.id
LEFT JOIN tenant ON tenant.id = message.tenant
LEFT JOIN LATERAL (
    SELECT until, reason FROM relay_pause WHERE relay = work.relay AND until > now()
    UNION ALL
    SELECT until, reason || ', its flow slows down' FROM throttle
    WHERE relay = work.relay AND destination IN ('*', work.destination) AND until > now()
    ORDER BY until DESC LIMIT 1) AS rest ON true
WHERE message.notification_id = ANY (%(ids)s) ORDER BY message.id"""
_TRIES = "SELECT * FROM attempt WHERE message_id = ANY (%(ids)s) ORDER BY id"
_RECEIPTS = """SELECT message_id, kind, at, source, bounce, reason, status, code, sealed FROM receipt
               WHERE message_id = ANY (%(ids)s) ORDER BY id"""

_EVENT_FIELDS = (
    "id", "tenant", "source", "external_id", "type", "subject", "time", "received_at", "lane", "rules_hash",
)  # fmt: skip
_NOTIFICATION_FIELDS = (
    "id", "rule", "reason", "category", "urgency", "template", "stage", "deadline",
    "state", "state_reason", "settled_at",
)  # fmt: skip
_MESSAGE_FIELDS = (
    "id", "channel", "status", "reason", "position", "resend_of", "template_version", "created_at",
    "settled_at", "fate", "fate_at", "fate_reason",
)  # fmt: skip
_RECEIPT_FIELDS = ("kind", "at", "source", "bounce", "reason", "status", "code")
_TRY_FIELDS = (
    "number", "relay", "started_at", "finished_at", "outcome", "reason", "phase", "code", "enhanced",
)  # fmt: skip


class Histories:
    """Loads stories; ``domain`` is the right-hand side of our Message-IDs."""

    def __init__(self, keyring: Keyring, catalog: Catalog, domain: str) -> None:
        self._keyring, self._catalog, self._domain = keyring, catalog, domain

    def load(self, connection: Connection, named: Named) -> EventHistory:
        """Return the story around a row: of an event all notifications, else only the one in question.

        Raises:
            NotFound: a part of it is past retention.
        """
        only = self._notification_of(connection, named)
        event = named.id if only is None else self._event_of(connection, only)
        rows = _rows(connection, _EVENT, id=event)
        if not rows:
            raise NotFound(f"the event {event} is past the log's retention")
        return self._event(connection, rows[0], only)

    def _notification_of(self, connection: Connection, named: Named) -> UUID | None:
        if named.kind is Kind.EVENT:
            return None
        if named.kind is Kind.NOTIFICATION:
            return named.id
        row = connection.execute("SELECT notification_id FROM message WHERE id = %s", [named.id]).fetchone()
        return row[0] if row else None

    def _event_of(self, connection: Connection, notification: UUID) -> UUID:
        row = connection.execute("SELECT event_id FROM notification WHERE id = %s", [notification]).fetchone()
        if row is None:
            raise NotFound(f"the notification {notification} is past the log's retention")
        found: UUID = row[0]
        return found

    def _event(self, connection: Connection, row: Row, only: UUID | None) -> EventHistory:
        private = unseal_json(self._keyring, row["data_key"], row["sealed"], b"event")
        is_gone = isinstance(private, Withheld)
        decision: Json = []
        if row["decision_sealed"] is not None:
            decision = unseal_json(self._keyring, row["data_key"], row["decision_sealed"], b"decision")
        return EventHistory(
            **{name: row[name] for name in _EVENT_FIELDS},
            data=private if is_gone else without_secrets(self._catalog, row["type"], private["data"]),
            to=private if is_gone else private.get("to", []),
            attachments=private if is_gone else [_file(one) for one in private.get("attachments", [])],
            notified=row["notified"] or 0,
            decision=decision,
            notifications=self._notifications(connection, row["id"], only),
        )

    def _notifications(
        self, connection: Connection, event: UUID, only: UUID | None
    ) -> tuple[NotificationHistory, ...]:
        rows = (
            _rows(connection, _NOTIFICATIONS + "event_id = %(id)s ORDER BY notification.id", id=event)
            if only is None
            else _rows(connection, _NOTIFICATIONS + "notification.id = %(id)s", id=only)
        )
        messages = _grouped(
            _rows(connection, _MESSAGES, ids=[row["id"] for row in rows]) if rows else [], "notification_id"
        )
        ids = [message["id"] for found in messages.values() for message in found]
        tries = _grouped(_rows(connection, _TRIES, ids=ids) if ids else [], "message_id")
        receipts = _grouped(_rows(connection, _RECEIPTS, ids=ids) if ids else [], "message_id")
        return tuple(self._notification(row, messages[row["id"]], tries, receipts) for row in rows)

    def _notification(
        self, row: Row, messages: Sequence[Row], tries: Mapping[UUID, list[Row]],
        receipts: Mapping[UUID, list[Row]],
    ) -> NotificationHistory:  # fmt: skip
        recipient = unseal_json(self._keyring, row["data_key"], row["sealed"], b"recipient")
        return NotificationHistory(
            **{name: row[name] for name in _NOTIFICATION_FIELDS},
            recipient=recipient,
            channels=tuple(step["channel"] for step in row["plan"]),
            messages=tuple(
                self._message(one, row["data_key"], recipient, tries[one["id"]], receipts[one["id"]])
                for one in messages
            ),
        )

    def _message(
        self, row: Row, key: bytes | None, recipient: Json, tries: Sequence[Row], receipts: Sequence[Row]
    ) -> MessageHistory:
        live, content, is_redirected = self._body(key, row["body_sealed"])
        is_mail = row["channel"] == ChannelName.EMAIL
        return MessageHistory(
            **{name: row[name] for name in _MESSAGE_FIELDS},
            to=address_of(recipient, row["channel"]),
            message_id=mint_message_id(self._keyring.token_key, row["id"], self._domain) if is_mail else None,
            waiting=_waiting(row) if row["state"] is not None else None,
            tries=tuple(self._try(one, key) for one in tries),
            receipts=tuple(self._receipt(one, key) for one in receipts),
            live=live,
            content=content,
            is_redirected=is_redirected,
        )

    def _try(self, row: Row, key: bytes | None) -> TryRecord:
        reply: bytes | Withheld = b""
        if row["sealed"] is not None:
            reply = unseal(self._keyring, key, row["sealed"], b"reply")
        text = reply.value if isinstance(reply, Withheld) else reply.decode("utf-8", "replace")
        return TryRecord(**{name: row[name] for name in _TRY_FIELDS}, reply=text)

    def _receipt(self, row: Row, key: bytes | None) -> ReceiptRecord:
        known = {name: row[name] for name in _RECEIPT_FIELDS}
        if row["sealed"] is None:
            return ReceiptRecord(**known)
        said = unseal_json(self._keyring, key, row["sealed"], b"receipt")
        if isinstance(said, Withheld):
            return ReceiptRecord(**known, text=said.value)
        detail = said.get("detail", {})
        return ReceiptRecord(
            **known,
            text=said.get("text", ""),
            verdict=detail.get("verdict"),
            link=detail.get("url"),
            feedback=detail.get("feedback_type"),
        )

    def _body(self, key: bytes | None, sealed: bytes | None) -> tuple[Json, Content | str | None, bool]:
        """Return the live data, the content, and whether safe mode sent it elsewhere."""
        if sealed is None:
            return None, None, False
        opened = unseal(self._keyring, key, sealed, b"body")
        if isinstance(opened, Withheld):
            return opened, opened, False
        kept = orjson.loads(unpack(opened))
        content = Content(**{name: kept[name] for name in ("subject", "text", "html", "template")})
        return kept["live"], content, bool(kept.get(REDIRECTED))


def _rows(connection: Connection, statement: LiteralString, **parameters: object) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def _grouped(rows: Sequence[Row], name: str) -> Mapping[UUID, list[Row]]:
    groups: defaultdict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[name]].append(row)
    return groups


def _waiting(row: Row) -> Waiting:
    is_sending = row["state"] == WorkState.TAKEN and row["is_sending"]
    return Waiting(
        state="sending" if is_sending else WorkState(row["state"]).name.lower(),
        due_at=row["due_at"], expires_at=row["expires_at"],
        attempts=row["attempt"], is_tenant_paused=row["is_tenant_paused"], rests_until=row["until"],
        rests_because=row["rests_because"],
    )  # fmt: skip


def _file(attachment: Mapping[str, str]) -> dict[str, Json]:
    """Describe an attachment without its content."""
    shown: dict[str, Json] = {
        name: attachment[name] for name in ("name", "media_type", "url", "cid") if name in attachment
    }
    if "content" in attachment:
        shown["bytes"] = len(attachment["content"]) * 3 // 4 - attachment["content"][-2:].count("=")
    return shown
