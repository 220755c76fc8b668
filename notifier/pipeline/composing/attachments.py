"""Bring the files of a message together: content as it came, references fetched from allowed places."""

import time
from collections.abc import Iterable
from urllib.parse import unquote

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
    if not any(_is_below(url, prefix) for prefix in limits.attachment_urls):
        raise _refuse("an attachment's address is not below any of limits.attachment_urls")
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise _later(f"the attachments take longer than {_SECONDS:g} s to fetch")
    return _download(url, limits, seconds)


def _is_below(url: str, prefix: str) -> bool:
    """Tell whether an address begins as allowed, and neither its host nor a step back leads elsewhere.

    ``https://files.example`` is no prefix of ``https://files.example.net`` or ``https://files.example@evil.net``.
    """
    rest = url.removeprefix(prefix)
    is_host_open = "/" not in prefix.partition("://")[2] and "://" in prefix
    if not url.startswith(prefix) or (is_host_open and rest[:1] not in {"", "/", "?", "#"}):
        return False
    steps = unquote(rest.partition("?")[0].partition("#")[0]).replace("\\", "/").split("/")
    # Some servers leave parameters out before they take the step: "..;a" (RFC 3986 §3.3).
    return not {".", ".."}.intersection(step.partition(";")[0] for step in steps)


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
