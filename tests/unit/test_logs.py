"""Logs are JSON lines on standard error: each record once, with the process's name, whoever writes it."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROLOGUE = "import logging\nfrom notifier import logs\n"


def lines_of(program: str, **environ: str) -> list[dict[str, Any]]:
    """What a program of its own logs: configuring is for a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + program],
        env={**os.environ, **environ}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_record_is_one_json_object_with_its_ids() -> None:
    """Stage, process, level, time, and what is bound around it."""
    (line,) = lines_of(
        "logs.configure('core')\n"
        "with logs.bound_contextvars(message_id='m-1'):\n"
        "    logs.get_logger('deliver').info('deliver.sent', attempt=2, note='a\\nb')\n"
    )

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "deliver.sent", "level": "info", "process": "core", "stage": "deliver", "message_id": "m-1",
        "attempt": 2, "note": "a\nb",
    }  # fmt: skip


def test_libraries_speak_json_too() -> None:
    """From warning on, with the logger's name and a traceback in one line."""
    quiet, loud = (
        lines_of(
            "logs.configure('core')\n"
            "logging.getLogger('celery.worker').info('hidden %s', 1)\n"
            "try:\n    1 / 0\n"
            "except ZeroDivisionError:\n    logging.getLogger('kombu').exception('it %s', 'broke')\n",
            NOTIFIER_LIBRARY_LOG_LEVEL=level,
        )
        for level in ("", "info")
    )

    assert [line["event"] for line in quiet] == ["it broke"]
    assert (quiet[0]["logger"], quiet[0]["process"], quiet[0]["level"]) == ("kombu", "core", "error")
    assert "ZeroDivisionError" in quiet[0]["exception"]
    assert [line["event"] for line in loud] == ["hidden 1", "it broke"]


def test_configuring_again_doubles_nothing() -> None:
    """A worker does it when it starts, and once more when Celery asks."""
    lines = lines_of(
        "for _ in range(3):\n    logs.configure('core')\n"
        "logs.get_logger('a').info('a.done')\nlogging.getLogger('b').warning('b')\n"
    )

    assert [line["event"] for line in lines] == ["a.done", "b"]


def test_the_level_hides_what_is_below() -> None:
    """In whatever case it is written."""
    program = (
        "logs.configure('core', level='{}')\nlog = logs.get_logger('a')\n"
        "log.info('a.info')\nlog.error('a.error')\n"
    )

    assert [line["event"] for line in lines_of(program.format("error"))] == ["a.error"]
    assert [line["event"] for line in lines_of(program.format("INFO"))] == ["a.info", "a.error"]


@pytest.mark.parametrize("setting", ["log_level", "NOTIFIER_LIBRARY_LOG_LEVEL"])
def test_an_unknown_level_is_told_and_stops_nothing(setting: str) -> None:
    """A process without logs would be worse than one with too many."""
    level, library = ("loud", "") if setting == "log_level" else ("INFO", "loud")
    lines = lines_of(
        f"logs.configure('core', level='{level}')\nlogs.get_logger('a').info('a.done')\n",
        NOTIFIER_LIBRARY_LOG_LEVEL=library,
    )

    assert [line["event"] for line in lines] == ["logs.level_unknown", "a.done"]
    assert lines[0]["setting"] == setting


def test_odd_values_break_no_line() -> None:
    """Bytes, half a surrogate pair, an object."""
    (line,) = lines_of(
        "logs.configure('core')\nlogs.get_logger('a').info('a.odd', x=b'1', y='\\ud800', z=object)\n"
    )

    assert line["event"] == "a.odd"
