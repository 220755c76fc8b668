"""Carry out what follows from reports about messages: receipts, fates, suppression, another channel, events.

Within the caller's transaction, for a batch at a time. What follows is decided by pure parts
(``notifier.delivery.fate``); this module loads what they ask for and writes what they say.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import orjson

from notifier.crypto import Keyring, blind_index
from notifier.delivery.fate import (
    ARRIVED,
    TAKEN,
    Blame,
    Fate,
    blame_of,
    fate_of,
)
from notifier.errors import CannotUnseal, KeyDestroyed, KeyMissing
from notifier.ids import uuid7
from notifier.messages import MessageStatus
from notifier.pipeline.composing.keeping import REDIRECTED
from notifier.pipeline.sending.soft_rests import weigh
from notifier.pipeline.tracking.delivery_events import DeliveryEvents
from notifier.pipeline.tracking.lost_messages import LostMessages
from notifier.receipts import LINK, ReceiptKind
from notifier.recipients.suppression import ALL, Cause
from notifier.setting_tables import Suppression
from notifier.store import messages, receipts, soft_bounces, suppressions
from notifier.store.database import Connection
from notifier.store.receipts import MessageReport, ReceiptRow
from notifier.store.soft_bounces import AddressKey, SoftBounce
from notifier.store.suppressions import SuppressionRow

_TEXT_LIMIT = 2000
_WORD_LIMIT = 100


@dataclass(slots=True)
class Followed:
    """What a batch led to."""

    counts: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    """``channel|kind|class`` → how many, for ``/metrics``."""
    flows: set[tuple[str, str]] = field(default_factory=set)
    suppressed: set[AddressKey] = field(default_factory=set)
    """Whose claimed messages are to be taken back once this is committed."""


class Aftermath:
    """Writes what follows from reports."""

    def __init__(
        self, *, keyring: Keyring, lost: LostMessages, events: DeliveryEvents, suppression: Suppression
    ) -> None:
        self._keyring, self._lost, self._events, self._policies = keyring, lost, events, suppression

    def follow(self, connection: Connection, reports: Sequence[MessageReport], now: datetime) -> Followed:
        """Write receipts and all that follows from them."""
        done = Followed()
        if not reports:
            return done
        reports = [_dated(one, now) for one in reports]
        receipts.insert_receipts(connection, [self._row(one) for one in reports])
        self._settle(connection, reports)
        self._judge(connection, reports)
        self._blame(connection, reports, done, now)
        done.flows |= self._lost.follow(connection, _lost(reports), now)
        done.flows |= self._events.emit(connection, reports, now)
        for one in reports:
            bounce = one.receipt.bounce.value if one.receipt.bounce else ""
            done.labels[f"{one.message.channel}|{one.receipt.kind.value}|{bounce}"] += 1
            done.counts[one.receipt.kind.value] += 1
        return done

    def _row(self, report: MessageReport) -> ReceiptRow:
        told, message = report.receipt, report.message
        return ReceiptRow(
            id=uuid7(),
            message_id=message.id,
            tenant=message.tenant,
            kind=told.kind.value,
            at=told.at,
            sealed=self._sealed(report),
            source=told.source,
            bounce=told.bounce.value if told.bounce else None,
            reason=told.reason[:_WORD_LIMIT] if told.reason else None,
            status=told.status[:_WORD_LIMIT] if told.status else None,
            code=told.code if told.code is not None and 0 <= told.code < 1000 else None,  # noqa: PLR2004
        )

    def _sealed(self, report: MessageReport) -> bytes | None:
        """Seal what was said under the person's key; nothing of it stays where that was destroyed."""
        told = report.receipt
        said = {
            "text": told.text[:_TEXT_LIMIT],
            "recipient": told.recipient,
            "detail": dict(told.detail),
            "raw": report.raw.decode("utf-8", "replace") if report.raw is not None else None,
        }
        kept = {name: value for name, value in said.items() if value}
        if not kept:
            return None
        try:
            key = self._keyring.open_data_key(report.message.data_key)
        except KeyDestroyed:
            return None
        return key.seal(orjson.dumps(kept), b"receipt")

    def _settle(self, connection: Connection, reports: Sequence[MessageReport]) -> None:
        """End messages of which nobody knew, or that wait to be sent again, though they were taken over."""
        taken, rejected = set[UUID](), set[UUID]()
        for one in reports:
            kind, message = one.receipt.kind, one.message
            if message.is_sending:
                continue
            if kind in TAKEN and message.status == MessageStatus.FAILED and message.fate == Fate.REJECTED:
                taken.add(message.id)  # the rejection came first, and settled it
            if not (message.is_queued or message.may_have_arrived):
                continue
            if kind is ReceiptKind.REJECTED and message.may_have_arrived:
                rejected.add(message.id)
            elif kind in (TAKEN if message.may_have_arrived else ARRIVED):
                taken.add(message.id)
        receipts.settle_messages(connection, sorted(taken), MessageStatus.SENT.value, None)
        receipts.settle_messages(
            connection, sorted(rejected - taken), MessageStatus.FAILED.value, "the provider did not send it"
        )

    def _judge(self, connection: Connection, reports: Sequence[MessageReport]) -> None:
        """Write what became of each message, from everything ever reported of it."""
        known = receipts.known_of(connection, sorted({one.message.id for one in reports}))
        verdicts = [(message, verdict) for message, all_ in known.items() if (verdict := fate_of(all_))]
        receipts.set_fates(connection, verdicts)

    def _blame(
        self, connection: Connection, reports: Sequence[MessageReport], done: Followed, now: datetime
    ) -> None:
        """Suppress whom nothing may be sent to any more, and count what may pass."""
        rows, soft = list[SuppressionRow](), list[SoftBounce]()
        blamed = [(one, blame) for one in reports if (blame := self._blame_of(one)) is not None]
        elsewhere = self._elsewhere(connection, [one for one, _ in blamed])
        for one, blame in blamed:
            if one.message.id in elsewhere:
                continue
            if blame is Blame.SOFT:
                message = one.message
                soft.append(SoftBounce(message.tenant, message.address_index, message.id, one.receipt.at))
            else:
                rows.append(self._suppression(one, blame))
        if rows:
            done.counts["suppressed"] += suppressions.suppress_all(connection, rows)
            done.suppressed |= {(row.tenant, row.address_index) for row in rows}
        self._count_soft(connection, reports, soft, done, now)

    def _blame_of(self, report: MessageReport) -> Blame | None:
        told, message = report.receipt, report.message
        # Who unsubscribed by a link of ours may have thought better of it meanwhile.
        if told.source == LINK:
            return None
        is_about_another = bool(told.recipient) and (
            blind_index(self._keyring.index_key, message.tenant, told.recipient or "")
            != message.address_index
        )
        return blame_of(told.kind, told.bounce, is_about_another=is_about_another)

    def _elsewhere(self, connection: Connection, reports: Sequence[MessageReport]) -> set[UUID]:
        """Return the messages that safe mode sent elsewhere: whom they were for was not even written to."""
        keys = {one.message.id: one.message.data_key for one in reports}
        found = set[UUID]()
        for message, sealed in messages.bodies_of(connection, sorted(keys)) if keys else ():
            try:
                body = self._keyring.open_data_key(keys[message]).unseal(sealed, b"body")
            except KeyMissing:
                raise
            except (KeyDestroyed, CannotUnseal):
                continue
            if orjson.loads(messages.unpack(body)).get(REDIRECTED):
                found.add(message)
        return found

    def _suppression(self, report: MessageReport, blame: Blame) -> SuppressionRow:
        told, message = report.receipt, report.message
        scope, cause = ALL, Cause.HARD_BOUNCE
        answer = " ".join(
            part for part in (told.reason or "", f"({told.status})" if told.status else "") if part
        )
        reason = f"hard bounce: {answer}" if answer else "hard bounce"
        if blame is Blame.COMPLAINT:
            cause, reason = Cause.COMPLAINT, "the recipient called a message spam"
            scope = message.category if self._policies.of(message.tenant).complaint == "category" else ALL
        elif blame is Blame.UNSUBSCRIBE:
            cause, reason = Cause.UNSUBSCRIBE, "the recipient unsubscribed"
            scope = ALL if told.detail.get("scope") == ALL else message.category
        return SuppressionRow(
            tenant=message.tenant, address_index=message.address_index, scope=scope, cause=cause.value,
            reason=reason[:_WORD_LIMIT], since=told.at, message_id=message.id,
        )  # fmt: skip

    def _count_soft(
        self,
        connection: Connection,
        reports: Sequence[MessageReport],
        soft: Sequence[SoftBounce],
        done: Followed,
        now: datetime,
    ) -> None:
        """Let an address rest that bounced too often in a row, and no longer where something was delivered."""
        arrived = {
            (one.message.tenant, one.message.address_index)
            for one in reports
            if one.receipt.kind in ARRIVED - {ReceiptKind.BOUNCED}
        }
        if soft or (arrived and soft_bounces.counted(connection, arrived)):
            addresses = arrived | {(one.tenant, one.address_index) for one in soft}
            done.suppressed |= weigh(connection, soft, addresses, self._policies, now)


def _dated(report: MessageReport, now: datetime) -> MessageReport:
    """Return it with a time that is not to come: other clocks may be wrong."""
    if report.receipt.at <= now:
        return report
    return dataclasses.replace(report, receipt=dataclasses.replace(report.receipt, at=now))


def _lost(reports: Sequence[MessageReport]) -> dict[UUID, str]:
    """Return the messages that did not arrive, and why."""
    words = {ReceiptKind.BOUNCED: "it bounced", ReceiptKind.REJECTED: "the provider rejected it"}
    return {
        one.message.id: ": ".join(filter(None, (words[one.receipt.kind], one.receipt.reason)))[:_WORD_LIMIT]
        for one in reports
        if one.receipt.kind in words
    }
