"""Bring the files of a message together: content as it came, references fetched from allowed places."""

import time
from collections.abc import Iterable

import httpx

from notifier.errors import Fault, PermanentFailure, Phase, Reply, TemporaryFailure
from notifier.events import Attachment
from notifier.messages import File
from notifier.pipeline.composing.download import TooLong, download
from notifier.setting_tables import Limits

_SECONDS = 20.0
"""For all the files of a message: its chunk waits meanwhile, and loses its claims if that takes too long."""


def fetch_files(attachments: Iterable[Attachment], limits: Limits) -> tuple[File, ...]:
    """Return the files, all of them or none.

    Raises:
        PermanentFailure: a reference points outside the allowed places, is gone, or all is too large.
        TemporaryFailure: a reference cannot be fetched right now.
    """
    end = time.monotonic() + _SECONDS
    files = tuple(
        File(name=one.name, media_type=one.media_type, cid=one.cid, content=_content(one, limits, end))
        for one in attachments
    )
    if sum(len(file.content) for file in files) > limits.attachment_bytes:
        raise _refuse(f"the attachments are larger than {limits.attachment_bytes} bytes")
    return files


def _content(one: Attachment, limits: Limits, end: float) -> bytes:
    if one.content is not None:
        return one.content
    url = one.url or ""
    if not any(url.startswith(prefix) for prefix in limits.attachment_urls):
        raise _refuse("an attachment's address is not below any of limits.attachment_urls")
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise _later(f"the attachments take longer than {_SECONDS:g} s to fetch")
    return _download(url, limits, seconds)


def _download(url: str, limits: Limits, seconds: float) -> bytes:
    try:
        answer = download(url, seconds=seconds, most=limits.attachment_bytes)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError, OverflowError) as error:
        raise _refuse(f"an attachment's address is none: {type(error).__name__}") from None
    except TooLong:
        raise _refuse(f"an attachment is larger than {limits.attachment_bytes} bytes") from None
    except (httpx.HTTPError, OSError) as error:
        raise _later(f"an attachment cannot be fetched: {type(error).__name__}") from None
    if answer.status in {404, 410}:
        raise _refuse(f"an attachment is gone ({answer.status})")
    if answer.status != httpx.codes.OK:
        raise _later(f"an attachment's server answered {answer.status}")
    return answer.content


def _refuse(problem: str) -> PermanentFailure:
    return PermanentFailure(
        problem, fault=Fault.CONTENT, reply=Reply(phase=Phase.LOCAL, text=problem), reason="attachment"
    )


def _later(problem: str) -> TemporaryFailure:
    return TemporaryFailure(
        problem, fault=Fault.NETWORK, reply=Reply(phase=Phase.LOCAL, text=problem), reason="attachment"
    )
