"""Take a mail for the doors it came to: have it read, hand in what it says, and answer once that is committed.

Never answers the sender of a mail, and never loses one: what cannot be kept now is refused for now, and the MTA that
brought it keeps it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final
from uuid import UUID

from notifier.clock import Clock
from notifier.logs import get_logger
from notifier.mailin.doors import Door
from notifier.mailin.protocol import AWAY
from notifier.mailin.readers import Readers, ReadersAway, Unreadable
from notifier.receipts import Receipt, ReceiptKind
from notifier.store.database import DatabaseUnavailable
from notifier.store.person_links import BY_MAIL, PersonLinkDesk
from notifier.store.reports import ReportDesk
from notifier.store.unreadable import UnreadableDesk
from notifier.tokens import link_digest

log = get_logger("mail_in")

SOURCE: Final = "mail"
_KEPT = "250 2.0.0 kept"
_OVER = "550 5.1.1 this address is not in use any more"
_MOST: Final = 200
"""Receipts of one mail: a message of ours has one recipient; a report of many is somebody's mistake, or malice."""


class Desk:
    """Takes mails in.

    Args:
        readers: Who reads them.
        reports: Where what they say goes.
        unreadable: Where those go that nobody can read.
        links: Where is asked what a mail to unsubscribe asks for.
        named: Returns the message a return path names; None for one that is not ours.
        clock: Says when a mail came.
        threads: How many wait for the database at once.
    """

    def __init__(
        self,
        *,
        readers: Readers,
        reports: ReportDesk,
        unreadable: UnreadableDesk,
        links: PersonLinkDesk,
        named: Callable[[str], UUID | None],
        clock: Clock,
        threads: int,
    ) -> None:
        self._readers, self._reports, self._unreadable = readers, reports, unreadable
        self._links, self._named, self._clock = links, named, clock
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mail-in")

    async def take(self, mail: bytes, doors: Sequence[Door]) -> list[str]:
        """Return a reply for each door."""
        at = self._clock.now()
        try:
            said = await self._readers.read(mail, at)
            return [await self._kept(mail, door, said) for door in doors]
        except Unreadable as error:
            return [await self._set_aside(mail, door, str(error)) for door in doors]
        except ReadersAway as error:
            log.error("mail_in.deferred", reason=str(error))
            return [AWAY] * len(doors)

    def close(self) -> None:
        """End the threads; what is under way is finished."""
        self._threads.shutdown()

    async def _kept(self, mail: bytes, door: Door, said: Any) -> str:
        """Hand in what a mail says to one door."""
        try:
            if door.link is not None:
                return await self._unsubscribed(door.link, said["machine"])
            receipts = self._receipts(door, said)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unreadable(f"no receipt: {type(error).__name__}") from None
        if door.message and not said["is_understood"]:
            raise Unreadable("not understood")
        reply, new = await self._stored(partial(self._reports.hand_in, SOURCE, receipts, raw=mail))
        kinds = sorted({receipt.kind.value for receipt in receipts})
        if reply == _KEPT:
            message = str(door.message) if door.message else None
            log.info("mail_in.taken", message_id=message, kinds=kinds, receipts=len(receipts), new=new)
        return reply

    async def _unsubscribed(self, link: tuple[str, str], machine: str | None) -> str:
        """Ask what one click on the link asks; a machine's mail asks for nothing, and is taken all the same."""
        if machine is not None:
            log.info("mail_in.ignored", reason=machine)
            return _KEPT
        reply, done = await self._stored(partial(self._ask, *link))
        if reply == _KEPT:
            reply = done
            log.info("mail_in.unsubscribed" if done == _KEPT else "mail_in.refused", reply=done[:3])
        return reply

    def _ask(self, token: str, tag: str) -> str:
        digest = link_digest(token)
        link = self._links.look(digest)
        if link is None or link.is_expired:
            return _OVER
        # Nothing where too much waits on this link already: the mail comes again.
        return _KEPT if self._links.ask(digest, "unsubscribe", how=BY_MAIL, tag=tag) else AWAY

    async def _set_aside(self, mail: bytes, door: Door, reason: str) -> str:
        """Keep a mail nobody can read, and take it: brought again it would be no more readable."""
        work = partial(self._unreadable.hand_in, mail, message=door.message, reason=reason)
        reply, digest = await self._stored(work)
        if reply == _KEPT:
            log.warning("mail_in.unreadable", reason=reason, digest=digest, size=len(mail))
        return reply

    async def _stored(self, work: Callable[[], Any]) -> tuple[str, Any]:
        """Do what the database must have done before we answer; where it is away, the mail must come again."""
        try:
            return _KEPT, await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except DatabaseUnavailable as error:
            log.warning("mail_in.deferred", reason=type(error).__name__)
            return AWAY, None

    def _receipts(self, door: Door, said: Mapping[str, Any]) -> list[Receipt]:
        """Return the receipts, about the message that the door or a return path names and no other.

        Who reads may be deceived by the mail: a message's id is only believed with its MAC.
        """
        message = door.message or next(filter(None, map(self._named, said["return_paths"])), None)
        about = message.hex if message else "-"
        receipts = [
            replace(Receipt.from_json(one), message=message, source=SOURCE, key=f"{about}:{one['key']}")
            for one in said["receipts"][:_MOST]
        ]
        # An answer to nobody's message is somebody's mail to an address for complaints.
        return [one for one in receipts if message or one.kind is not ReceiptKind.REPLIED]
