"""Ask a provider about our account, by a documented request that changes nothing and costs nothing.

Knows no provider: each adapter says what to ask and what an answer means. Never repeats one: Twilio's has the token.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import httpcore
import httpx

from notifier.channels.http_deadline import DeadlineBackend, read_answer, target, trusted
from notifier.channels.http_dialect import Answer, Request

_ANSWER_LIMIT = 262_144
_NAME_LIMIT = 40
_MOST = 2
"""Questions: the second where a key may send and not ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an answer says of our account, in words for people, and how to mend it."""

    level: Literal["pass", "warn", "fail"]
    words: str
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A question, and who reads the answer: into what is seen, or into the next question."""

    request: Request
    judge: "Callable[[Answer], Seen | Inquiry]"
    method: Literal["GET", "POST"] = "GET"


def ask(inquiry: Inquiry, seconds: float) -> Seen:
    """Ask, and return what was seen; all of it within ``seconds``.

    Raises:
        NOT_CONNECTED, NOT_WRITTEN, NOT_ANSWERED of ``http_deadline``: there is no answer.
    """
    backend = DeadlineBackend()
    backend.deadline = time.monotonic() + seconds
    with httpcore.ConnectionPool(ssl_context=trusted(), network_backend=backend) as pool:
        for _ in range(_MOST):
            found = inquiry.judge(_answered(pool, inquiry))
            if isinstance(found, Seen):
                return found
            inquiry = found
    return Seen(level="warn", words="nobody can tell", mend="try it with a message")


def refused(answer: Answer, mend: str) -> Seen | None:
    """Return what a status says where nobody reads its words; None of a yes that can be read.

    Args:
        answer: What was said.
        mend: What to do where our credentials are not taken.
    """
    said, words = f"answers {answer.status}", "not as it is documented"
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        words = "it does not take our credentials"
    elif answer.status == HTTPStatus.NOT_FOUND:
        words = "it knows no such account"
    elif answer.status == HTTPStatus.TOO_MANY_REQUESTS or httpx.codes.is_server_error(answer.status):
        return Seen(
            level="warn", words=said, mend="look again later, or ask the provider; messages wait meanwhile"
        )
    elif answer.is_success and answer.json():
        return None
    else:
        mend = "check base_url"
    return Seen(level="fail", words=f"{said}: {words}", mend=mend)


def named(said: Mapping[str, object], key: str) -> str:
    """Return a word of an answer fit to be shown, empty where there is none."""
    value = said.get(key)
    return value[:_NAME_LIMIT] if isinstance(value, str) and value.isprintable() else ""


def _answered(pool: httpcore.ConnectionPool, inquiry: Inquiry) -> Answer:
    # Also an empty POST says how long it is, or some answer 411.
    body = inquiry.request.body if inquiry.method == "POST" else None
    headers, url = inquiry.request.wire_headers(), target(inquiry.request.url)
    with pool.stream(inquiry.method, url, headers=headers, content=body) as response:
        return read_answer(response, _ANSWER_LIMIT)
