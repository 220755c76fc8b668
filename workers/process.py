"""What a worker process is: its services, its signals, its patience with databases that are away."""

import functools
import gc
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from celery import signals
from celery.app.utils import Settings as CeleryConfig
from celery.worker import WorkController
from celery.worker.consumer import Consumer

from notifier import logs
from notifier.bootstrap import Services
from notifier.broker.connection import BrokerUnavailable
from notifier.errors import KeyMissing, NotifierError
from notifier.health import Health
from notifier.pipeline.intake.letters import describe
from notifier.store.database import DatabaseUnavailable
from notifier.store.database_clock import DatabaseClock
from workers import pulse, threads
from workers.app import app, publish, settings
from workers.failures import DeliveryFailed, StageFailed
from workers.loops import Loops

P = ParamSpec("P")
log = logs.get_logger("worker")

_services: list[Services] = []
_clock = DatabaseClock()
_loops: list[Loops] = []
_CONFIG_ERROR = 78
"""EX_CONFIG of sysexits.h: a supervisor need not guess why."""
health = Health("worker", settings.health_dir)
pulse.connect(health, settings.health_dir)


def services() -> Services:
    """Return this process's services, made when the worker started."""
    if not _services:
        made = Services(settings, publish=publish, clock=_clock, process=health.process, threads=_threads())
        _clock.follow(made.database)
        _services.append(made)
    return _services[0]


def patiently(task: Callable[P, dict[str, Any]]) -> Callable[P, dict[str, Any]]:
    """Let a task end quietly while the database, Redis or a key is away: the sweep calls it again.

    The rows, and the entries of the streams, stay where they are.
    """

    @functools.wraps(task)
    def patient(*args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        try:
            summary = task(*args, **kwargs)
        except (DatabaseUnavailable, BrokerUnavailable, KeyMissing) as error:
            health.waiting(str(error))
            time.sleep(0.2)
            return {"waiting": 1}
        except (DeliveryFailed, NotifierError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be seen
            # An unknown error's text may quote values, and what is raised stays in Flower and the results.
            log.error("worker.failed", error=describe(error), at=_places(error))
            raise StageFailed(describe(error)) from None
        health.fine()
        return summary

    return patient


def _places(error: Exception) -> list[str]:
    """Return where it came from, innermost last: lines of code quote nothing."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return [f"{frame.filename}:{frame.lineno}" for frame in frames]


@signals.setup_logging.connect
def _log(**_: object) -> None:
    logs.configure(health.process, level=settings.log_level)


@signals.celeryd_init.connect
def _begin(conf: CeleryConfig, options: Mapping[str, Any], **_: object) -> None:
    """Say how many threads there will be, before Celery makes them."""
    threads.configure(conf, options, settings)


@signals.worker_init.connect
def _start(sender: WorkController, **_: object) -> None:
    """Load rules and templates before the first task, and wait for the database if need be."""
    # Celery sets logging up later than this.
    logs.configure(health.process, level=settings.log_level)
    try:
        _load(services())
    except NotifierError as error:
        # Celery would swallow an exception here and take tasks it cannot do.
        log.critical("worker.refused", reason=str(error))
        raise SystemExit(_CONFIG_ERROR) from error
    if services().safe_mode is not None:
        log.warning("worker.safe_mode", reason="settings have safe_mode: only whom it names is written to")
    for notice in services().templates.notices:
        log.warning("worker.noticed", template=notice.template, reason=notice.reason)
    _check_threads(sender)
    # What was loaded lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    # A chunk makes tens of thousands of objects and hardly a cycle; Python's 700 would look 50 times a chunk.
    gc.set_threshold(50_000, 20, 50)


def _check_threads(worker: WorkController) -> None:
    """Say so where a provider that hangs could hold up the others."""
    queues = tuple(worker.app.amqp.queues.consume_from)
    if threads.is_crowded(queues, _threads(), settings):
        wanted = threads.threads_for(queues, settings)
        log.warning(
            "worker.crowded",
            threads=_threads(),
            wanted=wanted,
            reason=f"a relay that hangs could hold up others: leave -c away, or say -c {wanted}",
        )


def _load(made: Services) -> None:
    """Make every stage, and wait for the database where it is away.

    Raises:
        NotifierError: a rule, type, template, setting or key is wrong.
    """
    pause = 0.2
    while True:
        try:
            _clock.ask()
            made.adopt_rules(made.rulebook.begin())
            for part in (made.deliver, made.sweep, made.ingest, made.track, made.templates):
                log.debug("worker.loaded", part=type(part).__name__)
        except (DatabaseUnavailable, BrokerUnavailable) as error:
            health.waiting(str(error))
            time.sleep(pause)
            pause = min(pause * 2, 5.0)
        else:
            return


@signals.worker_ready.connect
def _ready(sender: Consumer, **_: object) -> None:
    """Start what runs beside the tasks."""
    health.fine()
    queues = {queue.name for queue in sender.task_consumer.queues}
    log.info("worker.started", queues=sorted(queues))
    loops = Loops(services(), health)
    loops.start(takes_in=any(name.startswith("ingest") for name in queues))
    _loops.append(loops)


@signals.worker_shutting_down.connect
def _stop(**_: object) -> None:
    """Finish the message at hand, give the others back."""
    services().stopping.set()


@signals.worker_shutdown.connect
def _stopped(**_: object) -> None:
    for loops in _loops:
        loops.stop()
    services().close()
    health.stopped()


def _threads() -> int:
    return int(app.conf.worker_concurrency or threads.CORE)
