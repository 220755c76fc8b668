"""Give recipients of an alert's message what they need to take charge, and carry out what they ask for.

Makes links and reply codes while a message is written; acts when the sweep finds that somebody asked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from notifier.clock import Clock
from notifier.crypto import Keyring, SmsKeys
from notifier.errors import CannotUnseal, KeyDestroyed
from notifier.events import Event, Json
from notifier.logs import get_logger
from notifier.messages import ChannelName
from notifier.pipeline.alerting.acknowledge import Acked, Acknowledger
from notifier.pipeline.one_by_one import OneByOne
from notifier.rules.alerting.speaking import SOURCE
from notifier.store import ack_links
from notifier.store.ack_links import AckLink, Asked
from notifier.store.database import Connection, Database, DatabaseUnavailable
from notifier.store.reply_codes import CodeRequest, issue_code
from notifier.tokens import ack_digest, mint_ack_token

log = get_logger("alerts")

_REPLY = {"en": "Reply {code} to take it.", "de": "Antworten Sie {code}, um es zu übernehmen."}
NOBODY = "somebody who was told"
"""Stands for whoever was erased since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AckWays:
    """How a recipient may take charge."""

    url: str
    code: str | None = None
    """What to answer by SMS."""

    def to_json(self) -> dict[str, Json]:
        """Return what templates see as ``alert.links``."""
        return {"ack": self.url, "code": self.code}

    def said(self, text: str, locale: str) -> str:
        """Return the text with how to answer it, unless there is no code or it says so already."""
        if self.code is None or self.code in text.split():
            return text
        words = _REPLY.get(locale[:2].lower(), _REPLY["en"]).format(code=self.code)
        return f"{text.rstrip()} {words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whom a message is for."""

    message: UUID
    person: UUID
    channel: ChannelName
    address: str
    locale: str


class AckLinks:
    """Makes links and codes.

    Args:
        database: Where they are kept.
        keyring: Whose token key signs.
        public_url: Where people reach the web process.
        lifetime: How long after a message was made its link and code may be used.
        sms_keys: Hash the phone numbers of reply codes; None where no SMS come in.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        *,
        public_url: str,
        lifetime: timedelta,
        sms_keys: SmsKeys | None,
    ) -> None:
        self._database, self._keyring = database, keyring
        self._public_url, self._lifetime, self._sms_keys = public_url.rstrip("/"), lifetime, sms_keys

    def of(self, event: Event, reader: Reader, made_at: datetime) -> AckWays | None:
        """Return the ways for a message; None where there is nothing to take charge of.

        A database that is away costs the link, never the message.
        """
        group = group_told(event)
        if group is None:
            return None
        expires_at = made_at + self._lifetime
        token = mint_ack_token(
            self._keyring.token_key,
            message=reader.message,
            person=reader.person,
            about=event.id,
            expires_at=expires_at,
        )
        digest = ack_digest(token)
        if digest is None:
            raise AssertionError  # it was minted a line before
        link = _link(event, group, reader, digest=digest, expires_at=expires_at)
        try:
            with self._database.transaction() as connection:
                ack_links.save_link(connection, link)
                code = self._code(connection, link, reader, made_at)
        except DatabaseUnavailable as error:
            log.warning("alerts.linkless", message_id=str(reader.message), error=type(error).__name__)
            return None
        return AckWays(url=f"{self._public_url}/ack/{token}", code=code)

    def _code(self, connection: Connection, link: AckLink, reader: Reader, made_at: datetime) -> str | None:
        if self._sms_keys is None or reader.channel is not ChannelName.SMS:
            return None
        request = CodeRequest(
            phone_index=self._sms_keys.phone_index(reader.address),
            tenant=link.tenant,
            group_id=link.group_id,
            link=link.digest,
            made_at=made_at,
            expires_at=link.expires_at,
        )
        return issue_code(connection, request)


class AckRequests:
    """Carries out what people asked for by link."""

    def __init__(
        self, database: Database, acknowledger: Acknowledger, keyring: Keyring, clock: Clock
    ) -> None:
        self._acknowledger = acknowledger
        self._keyring, self._clock = keyring, clock
        # A transaction each: alerts are locked before groups, never after.
        self._waiting = OneByOne(
            database=database,
            take=ack_links.take_asked,
            carry_out=self.carry_out,
            put_aside=self._put_aside,
        )

    def run(self) -> int:
        """Carry out what waits, for a stint at most; return how many there were."""
        return self._waiting.run()

    def carry_out(self, connection: Connection, asked: Asked) -> Acked:
        """Take charge of what the link's message told, for its recipient."""
        done = self._acknowledger.group_within(
            connection,
            asked.group_id,
            self._name(connection, asked.message_id),
            self._clock.now(),
            told_until=asked.told_until,
        )
        outcome = "taken" if done.count else "already" if done.already else "over"
        ack_links.finish(connection, asked.digest, outcome)
        log.info("alerts.asked", message_id=str(asked.message_id), outcome=outcome, count=done.count)
        return done

    def _put_aside(self, connection: Connection, asked: Asked, error: Exception) -> None:
        ack_links.fail(connection, asked.digest)
        log.error("alerts.ask_stumbled", message_id=str(asked.message_id), error=type(error).__name__)

    def _name(self, connection: Connection, message: UUID) -> str:
        """Return what the recipient goes by."""
        found = ack_links.recipient_of(connection, message)
        if found is None:
            return NOBODY
        try:
            recipient = orjson.loads(self._keyring.open_data_key(found[0]).unseal(found[1], b"recipient"))
        except (KeyDestroyed, CannotUnseal):
            return NOBODY
        name = recipient.get("name") or recipient.get("email") or recipient.get("phone")
        return str(name or recipient.get("contact") or NOBODY)


def group_told(event: Event) -> UUID | None:
    """Return the group whose message an event is, if it tells that something fires."""
    alert, (kind, *rest) = event.alert, event.id.split(":")
    if alert is None or event.source != SOURCE or kind != "alert" or not rest:
        return None
    if not alert["firing"]:
        return None
    try:
        return UUID(rest[0])
    except ValueError:
        return None


def _link(event: Event, group: UUID, reader: Reader, *, digest: bytes, expires_at: datetime) -> AckLink:
    alert = event.alert or {}
    began = [datetime.fromisoformat(one["started_at"]) for one in alert["firing"] if one["started_at"]]
    return AckLink(
        digest=digest,
        tenant=event.tenant,
        message_id=reader.message,
        group_id=group,
        # A producer's clock may be ahead of ours.
        told_until=max([event.time, *began]),
        rule=alert["rule"],
        subject=event.subject,
        locale=reader.locale,
        expires_at=expires_at,
    )
