"""Readers of mails for tests of what surrounds them: each does one thing, most of them badly."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

WRITTEN = Path(__file__).with_suffix(".written")


def spin() -> NoReturn:
    """Never end."""
    while True:
        pass


def fail() -> NoReturn:
    """Quote the mail in an error."""
    raise RuntimeError("ann@example.org")


def talk() -> None:
    """Say what could pass for an answer."""
    sys.stdout.write("ready" * 1000)
    sys.stdout.flush()
    os.write(2, b"ann@example.org")


DEEDS: Mapping[str, Callable[[], object]] = {
    "sleep": lambda: time.sleep(60),
    "spin": spin,
    "eat": lambda: bytearray(1 << 40),
    "die": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leave": lambda: os._exit(0),
    "raise": fail,
    "talk": talk,
    "write": lambda: WRITTEN.write_text("x"),
}
ANSWERS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "much": lambda: {"receipts": ["x" * 2_000_000], "return_paths": []},
    "nonsense": lambda: {"receipts": [{"kind": "flown"}], "return_paths": []},
    "pid": lambda: {"pid": os.getpid(), "variables": sorted(os.environ)},
}


def read(mail: bytes, received_at: datetime) -> dict[str, Any]:
    """Do what the mail's first line says below its return path; without a word of these it is a bounce."""
    lines = mail.decode("latin-1").split("\r\n")
    word = next(line for line in lines if not line.startswith("Return-Path")) or "strange"
    DEEDS.get(word, str)()
    if word in ANSWERS:
        return ANSWERS[word]()
    bounce = {"kind": "bounced", "at": received_at.isoformat(), "source": "x", "key": word, "bounce": "hard"}
    # What a mail pretends to be about is not believed without a MAC.
    receipts = [bounce | {"message": "01a201d1-ccce-78e6-a474-899c8b11d596"}]
    return {"receipts": receipts, "return_paths": [], "is_understood": word not in {"strange", "."}}
