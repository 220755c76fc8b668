"""Read hostile mails in a process that has nothing: no key, no database, no variables, little memory and time.

Runs as ``python -m notifier.mailin.child MODULE:FUNCTION SECONDS BYTES``; frames go in and out by the standard streams.
Whatever a mail makes it do, the process that listens only sees bytes or an end.
"""

import json
import math
import os
import resource
import struct
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import BinaryIO, Final

from notifier.events import Json

HEAD: Final = struct.Struct(">Id")
"""Before a mail: its length, and when it came (seconds since 1970)."""
LENGTH: Final = struct.Struct(">I")
"""Before an answer."""
READY: Final = b"ready"
LARGEST_ANSWER: Final = 1_048_576

Read = Callable[[bytes, datetime], Json]


def main(target: str, seconds: float, memory: int) -> None:
    """Answer each mail on standard input with what ``target`` makes of it, until the input ends."""
    module, _, function = target.partition(":")
    read: Read = getattr(import_module(module), function)
    mails, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a library prints must not pass for an answer; nor may it stand in a log.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    _confine(memory)
    _say(answers, READY)
    while head := mails.read(HEAD.size):
        length, received_at = HEAD.unpack(head)
        mail = mails.read(length)
        _grant(seconds)
        _say(answers, _answer(read, mail, datetime.fromtimestamp(received_at, UTC)))


def _answer(read: Read, mail: bytes, received_at: datetime) -> bytes:
    """Return what was read, or the kind of error: never its text, which may quote the mail."""
    try:
        answer = json.dumps({"read": read(mail, received_at)}).encode()
    except Exception as error:  # noqa: BLE001 - whatever a mail makes of us
        return json.dumps({"error": type(error).__name__}).encode()
    return answer if len(answer) <= LARGEST_ANSWER else json.dumps({"error": "LargeAnswer"}).encode()


def _say(answers: BinaryIO, answer: bytes) -> None:
    answers.write(LENGTH.pack(len(answer)) + answer)
    answers.flush()


def _confine(memory: int) -> None:
    """Give up what reading needs not: memory, files to write, files to open, core dumps, new processes."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    bound = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        resource.setrlimit(what, (0, 0))


def _grant(seconds: float) -> None:
    """Allow one mail's processor time; beyond it the kernel ends the process, also within a regular expression."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + seconds), most))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
