"""Look whether what comes back is heard: the listener answers, reports are read, and what is old is let go of.

Opens a connection and closes it; hands nothing over.
"""

import base64
import hmac
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import psycopg

from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.crypto.server_certificate import ServerCertificate
from notifier.errors import ConfigError, NotifierError
from notifier.pipeline.checks.verdict import Check, fail, ok, said, warn
from notifier.setting_tables import MailIn
from notifier.store import heartbeats, soundings
from notifier.store.database import Connection, Database

_SECONDS = 3.0
_LATE = timedelta(minutes=5)
_RENEWED = timedelta(days=14)
"""Authorities that certify for 90 days have them renewed a month before the end."""
_UPKEEP = timedelta(days=1)
"""Upkeep runs every six hours."""


def check_returns(database: Database) -> Iterator[Check]:
    """Reports are read in time, mails that came back can be read, and old rows are let go of."""
    try:
        with database.connection() as connection:
            yield _upkeep(heartbeats.age(connection, "upkeep"))
            yield from _reports(connection)
    except (NotifierError, psycopg.Error) as error:
        yield fail("reports", said(error), "see the checks of the database")


def check_listener(mail_in: MailIn) -> Check:
    """Somebody answers where bounces come in."""
    place = str(mail_in.socket) if mail_in.socket else f"{mail_in.host}:{mail_in.port}"
    mend = "start `notifier mail-in serve`; your MTA keeps the mails meanwhile"
    try:
        with closing(_dial(mail_in)) as line:
            greeting = line.recv(512)
    except OSError as error:
        return fail("mail-in", f"{place}: {type(error).__name__}", mend)
    if not greeting.startswith(b"220"):
        return fail("mail-in", f"{place} does not greet as a mail server does", mend)
    if mail_in.protocol == "smtp":
        return ok("mail-in", f"{place} greets, SMTP")
    return ok("mail-in", f"{place} greets, LMTP")


def check_key(mail_in: MailIn, keyring: Callable[[], Keyring]) -> Check:
    """The listener's key is the one return paths are made with; with another it refuses all that comes back."""
    name, mend = "mail-in key", "copy what `notifier keys return-path` prints into mail_in.key"
    given = mail_in.key.get_secret_value() if mail_in.key is not None else ""
    try:
        ours = base64.b64encode(keyring().return_path_key).decode()
    except (NotifierError, psycopg.Error) as error:
        return warn(name, f"not compared: {said(error)}", "see the checks of database and keyring")
    if not hmac.compare_digest(ours.encode(), given.encode()):
        return fail(name, "is not the key return paths are made with: every bounce is refused", mend)
    return ok(name, "is the one return paths are made with")


def check_certificate(mail_in: MailIn, clock: Clock) -> Iterator[Check]:
    """The listener's certificate can be used, and for a while yet."""
    name = "mail-in certificate"
    if mail_in.tls is None:
        return
    try:
        found = ServerCertificate(mail_in.tls.cert_file, mail_in.tls.key_file, field="mail_in.tls")
    except ConfigError as error:
        yield fail(name, f"{error.field}: {error.problem}", error.mend or "`notifier config check`")
        return
    left = found.expires_at - clock.now()
    detail, mend = f"ends {found.expires_at:%Y-%m-%d %H:%M} UTC", "renew it: new files are taken over at once"
    if left <= timedelta(0):
        yield fail(name, detail, mend)
    else:
        yield warn(name, detail, mend) if left < _RENEWED else ok(name, detail)


def _dial(mail_in: MailIn) -> socket.socket:
    if mail_in.socket is None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(mail_in.host, mail_in.host)  # noqa: S104 - compared
        return socket.create_connection((host, mail_in.port), _SECONDS)
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(_SECONDS)
    line.connect(str(mail_in.socket))
    return line


def _upkeep(age: timedelta | None) -> Check:
    mend = "see `sweep.stumbled` in the log of worker core"
    if age is None:
        return fail("retention", "has never run", mend)
    detail = f"last ran {round(age.total_seconds() / 3600, 1)} h ago"
    return fail("retention", detail, mend) if age > _UPKEEP else ok("retention", detail)


def _reports(connection: Connection) -> Iterator[Check]:
    totals = soundings.report_totals(connection)
    if totals is None:
        return
    detail = f"{totals.waiting} wait"
    if totals.oldest > _LATE.total_seconds():
        mend = "see that worker core takes the queue `track`"
        yield fail("reports", f"{detail}, the oldest for {totals.oldest:.0f} s", mend)
    elif totals.failed:
        mend = "see `track.failed` in the log; another release may have written them"
        yield warn("reports", f"{detail}, {totals.failed} could not be processed", mend)
    else:
        yield ok("reports", detail)
    if unreadable := soundings.unreadable_mails(connection):
        yield warn("unreadable mail", f"{unreadable} came back", "`notifier mail-in unreadable` lists them")
