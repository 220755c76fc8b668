"""Act on SMS people send us: take charge by a reply code, stop, start, and say what can be said.

Reads each once. Whoever is not known to any tenant gets no answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from notifier.crypto import Keyring, SmsKeys, blind_index
from notifier.logs import get_logger
from notifier.messages import ChannelName
from notifier.pipeline.alerting.ack_links import AckRequests
from notifier.pipeline.one_by_one import OneByOne
from notifier.recipients.safe_mode import SafeMode
from notifier.recipients.sms_answers import answer, short
from notifier.recipients.sms_words import Said, Wish, read_sms
from notifier.recipients.suppression import Cause
from notifier.store import suppressions
from notifier.store.ack_links import find_link
from notifier.store.database import Connection, Database
from notifier.store.reply_codes import OpenCode, open_codes
from notifier.store.sms_in import Read, Waiting, finish_sms, take_sms, tenants_of
from notifier.store.tenants import known_tenants

log = get_logger("alerts")

STOPPED = "stopped by SMS"
"""Why a number is suppressed; START lifts what has this cause and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sender:
    """Who wrote, as far as we know."""

    number: str
    codes: tuple[OpenCode, ...]
    tenants: tuple[str, ...]
    locale: str

    @property
    def open(self) -> list[OpenCode]:
        """What nobody has in hand."""
        return [one for one in self.codes if one.firing]

    @property
    def listed(self) -> list[str]:
        """The open codes, with what they stand for."""
        return [f"{one.code} {short(one.subject)}" for one in self.open]


class InboundSms:
    """Reads SMS."""

    def __init__(
        self,
        database: Database,
        requests: AckRequests,
        keyring: Keyring,
        keys: SmsKeys,
        *,
        locale: str,
        safe_mode: SafeMode | None = None,
    ) -> None:
        self._database, self._requests, self._safe_mode = database, requests, safe_mode
        self._keyring, self._keys, self._locale = keyring, keys, locale
        self._stopped: set[tuple[str, bytes]] = set()
        """Whose claimed messages are taken back once the transaction is committed."""
        # A transaction each: alerts are locked before groups, never after.
        self._waiting = OneByOne(
            database=database,
            take=take_sms,
            carry_out=self._carry_out,
            put_aside=_put_aside,
            committed=self._revoke,
        )

    def run(self) -> int:
        """Read what waits, for a stint at most; return how many there were."""
        return self._waiting.run()

    def _carry_out(self, connection: Connection, waiting: Waiting) -> None:
        self._stopped.clear()
        read = self._read(connection, waiting)
        finish_sms(connection, waiting.id, read)
        log.info("alerts.sms_read", sms=str(waiting.id), kind=read.kind, outcome=read.outcome)

    def _revoke(self, _waiting: Waiting) -> None:
        suppressions.revoke(self._database, self._stopped)

    def _read(self, connection: Connection, waiting: Waiting) -> Read:
        content = orjson.loads(self._keys.unseal(waiting.sealed))
        read = self._act(connection, content)
        mode = self._safe_mode
        if mode is None or mode.is_allowed(ChannelName.SMS, content["from"]):
            return read
        return replace(read, reply=None)  # a staging system writes to nobody, not even to who wrote to it

    def _act(self, connection: Connection, content: Mapping[str, str]) -> Read:
        said, sender = read_sms(content["body"]), self._sender(connection, content["from"])
        if not sender.codes and not sender.tenants:
            return Read(kind=said.wish.value, outcome="stranger")
        if said.wish is Wish.STOP:
            return self._stop(connection, sender)
        if said.wish is Wish.START:
            return self._start(connection, sender)
        if said.wish is Wish.ACKNOWLEDGE:
            return self._acknowledge(connection, sender, said)
        reply = answer("help", sender.locale, codes=sender.listed)
        return Read(kind=said.wish.value, outcome="helped", reply=reply)

    def _sender(self, connection: Connection, number: str) -> _Sender:
        codes = tuple(open_codes(connection, self._keys.phone_index(number)))
        indexes = {one: self._index(one, number) for one in sorted(known_tenants(connection))}
        return _Sender(
            number=number,
            codes=codes,
            tenants=tuple(tenants_of(connection, indexes)),
            locale=codes[0].locale if codes else self._locale,
        )

    def _stop(self, connection: Connection, sender: _Sender) -> Read:
        for tenant in sender.tenants:
            index = self._index(tenant, sender.number)
            suppressions.suppress(connection, tenant, index, STOPPED, cause=Cause.STOP)
            self._stopped.add((tenant, index))
        return Read(kind=Wish.STOP.value, outcome="stopped", reply=answer("stopped", sender.locale))

    def _start(self, connection: Connection, sender: _Sender) -> Read:
        for tenant in sender.tenants:
            suppressions.release(connection, tenant, self._index(tenant, sender.number), causes=[Cause.STOP])
        return Read(kind=Wish.START.value, outcome="started", reply=answer("started", sender.locale))

    def _acknowledge(self, connection: Connection, sender: _Sender, said: Said) -> Read:
        """Take charge by the code that was named, or by the only one there is."""
        if said.code is not None:
            meant = [one for one in sender.codes if one.code == said.code]
            if not meant:
                reply = answer("no_code", sender.locale, code=said.code, codes=sender.listed)
                return Read(kind=Wish.ACKNOWLEDGE.value, outcome="no-such-code", reply=reply)
        else:
            meant = sender.open
            if len(meant) != 1:
                what = "which" if meant else "none"
                return Read(
                    kind=Wish.ACKNOWLEDGE.value,
                    outcome=what,
                    reply=answer(what, sender.locale, codes=sender.listed),
                )
        return self._take(connection, sender, meant[0])

    def _take(self, connection: Connection, sender: _Sender, code: OpenCode) -> Read:
        link = find_link(connection, code.link)
        done = self._requests.carry_out(connection, link) if link is not None else None
        outcome = "over"
        if done is not None and not done.is_over:
            outcome = "taken" if done.count else "already"
        return Read(
            kind=Wish.ACKNOWLEDGE.value,
            outcome=outcome,
            reply=answer(outcome, sender.locale, about=short(code.subject)),
            tenant=code.tenant,
            group_id=code.group_id,
        )

    def _index(self, tenant: str, number: str) -> bytes:
        return blind_index(self._keyring.index_key, tenant, number)


def _put_aside(connection: Connection, waiting: Waiting, error: Exception) -> None:
    finish_sms(connection, waiting.id, Read(kind="unknown", outcome="failed"))
    log.error("alerts.sms_stumbled", sms=str(waiting.id), error=type(error).__name__)
