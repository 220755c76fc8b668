"""A listener for mails that come back, in a thread of the test's, with settings of its choice."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from notifier.clock import SystemClock
from notifier.mailin.desk import Desk
from notifier.mailin.doors import Doors
from notifier.mailin.readers import Readers
from notifier.mailin.serve import READ, Listening
from notifier.setting_tables import MailIn
from notifier.store.database import Database
from notifier.store.person_links import PersonLinkDesk
from notifier.store.reports import ReportDesk
from notifier.store.unreadable import UnreadableDesk


@contextmanager
def listening(url: str, key: bytes, *, reader: str = READ, **settings: Any) -> Iterator[int]:
    """Listen, as the web role, until the block ends; gives the port, 0 on a Unix socket."""
    database = Database(url, size=4, timeout=timedelta(seconds=2))
    chosen = MailIn(**{"port": 1, "readers": 1, "read_timeout": "1s", **settings})
    ready, stop, port = threading.Event(), asyncio.Event(), [0]
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        readers, doors = Readers(chosen, reader), Doors(key, chosen.complaints)
        desk = Desk(
            readers=readers, reports=ReportDesk(database), unreadable=UnreadableDesk(database),
            links=PersonLinkDesk(database), named=doors.message, clock=SystemClock(), threads=2,
        )  # fmt: skip
        listener = Listening(chosen.model_copy(update={"port": 0}), doors, desk)
        await listener.start()
        port[0] = 0 if chosen.socket else listener.port
        ready.set()
        await stop.wait()
        await listener.stop()
        await readers.close()
        desk.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield port[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
        database.dispose()
