"""Mails are read by processes that have little and may die: nothing else suffers (O10)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.mailin.readers import Readers, ReadersAway, Unreadable
from notifier.mailin.serve import READ
from notifier.setting_tables import MailIn
from tests.mail_readers import WRITTEN

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
TARGET = "tests.mail_readers:read"
SETTINGS = MailIn(readers=1, read_timeout=timedelta(seconds=0.5), read_memory=134_217_728)


@asynccontextmanager
async def reading(target: str = TARGET) -> AsyncIterator[Readers]:
    """Lend readers, and end them."""
    readers = Readers(SETTINGS, target)
    yield readers
    await readers.close()


def with_readers(work: Callable[[Readers], Awaitable[Any]], target: str = TARGET) -> Any:
    """Run a test's work on readers."""

    async def run() -> Any:
        async with reading(target) as readers:
            return await work(readers)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("spin", "too (much processor time|slow)"),  # whichever is first on a busy machine
        ("sleep", "too slow"),
        ("eat", "error MemoryError"),
        ("die", "crashed"),
        ("leave", "crashed"),
        ("raise", "error RuntimeError"),
        ("much", "error LargeAnswer"),
    ],
)
def test_a_mail_that_breaks_its_reader_harms_no_other(word: str, reason: str) -> None:
    """It is told why, without a word of the mail; the next mail is read as if nothing had been."""

    async def work(readers: Readers) -> Any:
        with pytest.raises(Unreadable) as caught:
            await readers.read(word.encode() + b"\r\n", AT)
        return str(caught.value), await readers.read(b"fine\r\n", AT)

    told, after = with_readers(work)

    assert re.fullmatch(reason, told)
    assert after["receipts"][0]["key"] == "fine"


def test_a_reader_that_was_killed_from_outside_is_not_the_mails_fault() -> None:
    """The system was short of memory, or an operator did it: the mail must come again."""

    async def work(readers: Readers) -> None:
        with pytest.raises(ReadersAway, match="signal 9"):
            await readers.read(b"killed\r\n", AT)

    with_readers(work)


def test_a_reader_that_does_not_start_blames_no_mail() -> None:
    """A broken installation must not throw bounces away."""

    async def work(readers: Readers) -> None:
        with pytest.raises(ReadersAway):
            await readers.read(b"fine\r\n", AT)

    with_readers(work, "tests.mail_readers:missing")


def test_a_reader_is_kept_and_has_no_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two mails, one process, and nothing in its environment that anybody could want."""
    monkeypatch.setenv("NOTIFIER_MAIL_IN__KEY", "secret")

    async def work(readers: Readers) -> Any:
        return await readers.read(b"pid\r\n", AT), await readers.read(b"pid\r\n", AT)

    first, second = with_readers(work)

    assert first["pid"] == second["pid"]
    assert not [name for name in first["variables"] if name.startswith("NOTIFIER")]


def test_what_a_reader_prints_is_no_answer() -> None:
    """Its standard output leads nowhere once it reads."""

    async def work(readers: Readers) -> Any:
        return await readers.read(b"talk\r\n", AT)

    assert with_readers(work)["receipts"][0]["key"] == "talk"


def test_a_reader_writes_no_files() -> None:
    """The kernel does not let it: of a file it may at most make the name."""

    async def work(readers: Readers) -> None:
        with pytest.raises(Unreadable, match="error OSError"):
            await readers.read(b"write\r\n", AT)

    try:
        with_readers(work)
    finally:
        WRITTEN.unlink(missing_ok=True)


def test_who_gives_up_waiting_leaves_no_answer_for_the_next() -> None:
    """A connection that breaks in the middle of a mail must not shift the answers by one."""

    async def work(readers: Readers) -> Any:
        await readers.read(b"fine\r\n", AT)
        waiting = asyncio.create_task(readers.read(b"sleep\r\n", AT))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await readers.read(b"next\r\n", AT)

    assert with_readers(work)["receipts"][0]["key"] == "next"


def test_the_real_reader_survives_what_mails_can_be() -> None:
    """Parts nested three thousand deep, four million empty lines, thirty thousand recipients: read, or set aside."""
    nested = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(3000))
    status = "--b\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\n"
    crowded = (
        "Content-Type: multipart/report; boundary=b\r\n\r\n" + f"{status}Action: failed\r\n\r\n" * 30_000
    )
    fine = "From: ann@example.org\r\nSubject: Re: hello\r\n\r\nhello\r\n"

    async def work(readers: Readers) -> Any:
        for mail in (nested, "\r\n" * 4_000_000, crowded):
            with contextlib.suppress(Unreadable):
                await readers.read(mail.encode(), AT)
        return await readers.read(fine.encode(), AT)

    assert with_readers(work, READ)["receipts"][0]["kind"] == "replied"
