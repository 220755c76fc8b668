"""Set up structured logs: one JSON object a line, ids bound once, never an address.

An event's name is ``<stage>.<past participle>``; values are ids, counts and codes.
"""

import logging
import os
import sys
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, WrappedLogger

_LIBRARIES = "NOTIFIER_LIBRARY_LOG_LEVEL"

__all__ = ["bound_contextvars", "configure", "get_logger"]


def configure(process: str, *, level: str = "INFO") -> None:
    """Send structlog and stdlib records to stderr as JSON lines, each with the process's name.

    Configuring again replaces what was; an unknown level is told and read as the default.
    """
    named = {"log_level": (level, "INFO"), _LIBRARIES: (os.environ.get(_LIBRARIES) or "WARNING", "WARNING")}
    levels = {name: _level(*words) for name, words in named.items()}
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(process),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(levels["log_level"]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=levels[_LIBRARIES], force=True)
    for name, (word, default) in named.items():
        if word.strip().upper() not in logging.getLevelNamesMapping():
            get_logger("logs").warning("logs.level_unknown", setting=name, taken=default)


def get_logger(stage: str) -> Any:
    """Return the logger of a stage; its records carry ``stage``."""
    return structlog.get_logger(stage=stage)


def _level(word: str, default: str) -> int:
    known = logging.getLevelNamesMapping()
    return known.get(word.strip().upper(), known[default])


def _named(process: str) -> Any:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add
