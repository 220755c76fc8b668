"""Bring the files of a message together: content as it came, references fetched from allowed places."""

from collections.abc import Iterable

import httpx

from notifier.errors import Fault, PermanentFailure, Phase, Reply, TemporaryFailure
from notifier.events import Attachment
from notifier.messages import File
from notifier.settings import Limits

_SECONDS = 20.0


def fetch_files(attachments: Iterable[Attachment], limits: Limits) -> tuple[File, ...]:
    """Return the files, all of them or none.

    Raises:
        PermanentFailure: a reference points outside the allowed places, is gone, or all is too large.
        TemporaryFailure: a reference cannot be fetched right now.
    """
    files = tuple(
        File(name=one.name, media_type=one.media_type, cid=one.cid, content=_content(one, limits))
        for one in attachments
    )
    if sum(len(file.content) for file in files) > limits.attachment_bytes:
        raise _refuse(f"the attachments are larger than {limits.attachment_bytes} bytes")
    return files


def _content(one: Attachment, limits: Limits) -> bytes:
    if one.content is not None:
        return one.content
    url = one.url or ""
    if not any(url.startswith(prefix) for prefix in limits.attachment_urls):
        raise _refuse("an attachment's address is not below any of limits.attachment_urls")
    return _download(url, limits)


def _download(url: str, limits: Limits) -> bytes:
    content = bytearray()
    try:
        # No redirects: they could lead out of the allowed places.
        with httpx.stream("GET", url, timeout=_SECONDS, follow_redirects=False) as answer:
            if answer.status_code in {404, 410}:
                raise _refuse(f"an attachment is gone ({answer.status_code})")
            if answer.status_code != httpx.codes.OK:
                raise _later(f"an attachment's server answered {answer.status_code}")
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > limits.attachment_bytes:
                    raise _refuse(f"an attachment is larger than {limits.attachment_bytes} bytes")
    except httpx.HTTPError as error:
        raise _later(f"an attachment cannot be fetched: {type(error).__name__}") from None
    return bytes(content)


def _refuse(problem: str) -> PermanentFailure:
    return PermanentFailure(
        problem, fault=Fault.CONTENT, reply=Reply(phase=Phase.LOCAL, text=problem), reason="attachment"
    )


def _later(problem: str) -> TemporaryFailure:
    return TemporaryFailure(
        problem, fault=Fault.NETWORK, reply=Reply(phase=Phase.LOCAL, text=problem), reason="attachment"
    )
