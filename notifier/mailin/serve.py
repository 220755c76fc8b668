"""Run the listener until told to stop.

Holds two secrets, the web role's login and the key of return paths: it can hand in reports, and read nothing.
"""

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from notifier import logs
from notifier.bootstrap import Services
from notifier.crypto.server_certificate import ServerCertificate
from notifier.errors import ConfigError
from notifier.health import Health
from notifier.logs import get_logger
from notifier.mailin.desk import Desk
from notifier.mailin.doors import Door, Doors
from notifier.mailin.keys import read_key
from notifier.mailin.protocol import protocol
from notifier.mailin.readers import Readers
from notifier.setting_tables import MailIn
from notifier.store.database import Database, DatabaseUnavailable
from notifier.store.person_links import PersonLinkDesk
from notifier.store.reports import ReportDesk
from notifier.store.unreadable import UnreadableDesk

log = get_logger("mail_in")

READ: Final = "notifier.mailin.reading:read"
_GRACE: Final = 8.0
_BEAT: Final = 10.0


def serve(services: Services) -> None:
    """Listen until SIGTERM or Ctrl-C; mails under way get a few seconds to end.

    Raises:
        ConfigError: a setting is missing, or the address is taken.
    """
    settings = services.settings
    if settings.web_database_url is None:
        raise ConfigError(
            "is required", field="web_database_url", mend="name the database as the role notifier_web"
        )
    doors = Doors(read_key(settings.mail_in.key), settings.mail_in.complaints)
    logs.configure("mail-in", level=settings.log_level)
    database = Database(
        settings.web_database_url.get_secret_value(), size=settings.mail_in.readers + 2,
        timeout=settings.tuning.database_timeout, name="mail-in",
    )  # fmt: skip
    health = Health("mail-in", settings.health_dir)
    try:
        asyncio.run(_run(services, doors, database, health))
    finally:
        health.stopped()
        database.dispose()


async def _run(services: Services, doors: Doors, database: Database, health: Health) -> None:
    settings = services.settings.mail_in
    readers = Readers(settings, READ)
    reports = ReportDesk(database)
    desk = Desk(
        readers=readers, reports=reports, unreadable=UnreadableDesk(database), links=PersonLinkDesk(database),
        named=doors.message, clock=services.clock, threads=settings.readers + 2,
    )  # fmt: skip
    stopping = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stopping.set)
    listening = Listening(settings, doors, desk)
    await listening.start()
    while not stopping.is_set():
        await asyncio.to_thread(_look, reports, health)
        # Here, where handshakes happen: OpenSSL wants nobody to begin one while a context changes.
        listening.renew()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _BEAT)
    await listening.stop()
    await readers.close()
    desk.close()
    log.info("mail_in.stopped")


def _look(reports: ReportDesk, health: Health) -> None:
    """Say whether mails could be kept now; while they cannot, MTAs are told to come again."""
    try:
        reports.check()
    except DatabaseUnavailable as error:
        health.waiting(type(error).__name__)
    else:
        health.fine()
    health.alive()


class Listening:
    """The socket we listen on, and the mails under way."""

    def __init__(self, settings: MailIn, doors: Doors, desk: Desk) -> None:
        self._settings, self._desk = settings, desk
        self._certificate = certificate_of(settings)
        tls = self._certificate.context if self._certificate is not None else None
        self._make = protocol(doors, self._taken, settings, tls)
        self._under_way, self._idle = 0, asyncio.Event()
        self._idle.set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the address is taken, or not ours to take.
        """
        settings, loop = self._settings, asyncio.get_running_loop()
        where = str(settings.socket) if settings.socket else f"{settings.host}:{settings.port}"
        try:
            if settings.socket:
                _clear(settings.socket)
                self._server = await loop.create_unix_server(self._make, settings.socket)
                # Who may reach it the rights of its folder say; an MTA runs under another account than we do.
                settings.socket.chmod(0o666)
            else:
                self._server = await loop.create_server(self._make, settings.host, settings.port)
        except OSError as error:
            field = "mail_in.socket" if settings.socket else "mail_in.port"
            # asyncio puts words of its own before the system's; a name that is not found has no number of the system.
            words = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise ConfigError(
                f"cannot listen on {where}: {words}",
                field=field,
                mend="name one that is free and ours",
            ) from None
        log.info("mail_in.listening", where=where, protocol=settings.protocol)

    def renew(self) -> None:
        """Show a certificate that was renewed since; where it is wrong, go on with the one we have."""
        try:
            if self._certificate is not None and self._certificate.renew():
                log.info("mail_in.renewed", expires_at=self._certificate.expires_at.isoformat())
        except ConfigError as error:
            log.error("mail_in.not_renewed", field=error.field, reason=error.problem)

    @property
    def port(self) -> int:
        """The port in use."""
        assert self._server is not None  # noqa: S101 - it was started
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Take no more mails, and end those under way; what is cut comes again, and is known by its key."""
        assert self._server is not None  # noqa: S101 - it was started
        self._server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), _GRACE)

    async def _taken(self, mail: bytes, doors: Sequence[Door]) -> list[str]:
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._desk.take(mail, doors)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


def certificate_of(settings: MailIn) -> ServerCertificate | None:
    """Return the certificate to show, None where there is none.

    Raises:
        ConfigError: it cannot be used.
    """
    if settings.tls is None:
        return None
    return ServerCertificate(settings.tls.cert_file, settings.tls.key_file, field="mail_in.tls")


def _clear(socket: Path) -> None:
    """Remove the socket a process before us left behind; any other file is not ours to remove."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(socket.stat().st_mode):
            socket.unlink()
