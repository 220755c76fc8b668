"""Keep the health file of a worker or beat fresh for as long as it turns, busy or idle.

A worker's heart beats in the loop that takes tasks; beat's is what it publishes. Both stop when the
broker is away for long, and the file then grows old.
"""

from pathlib import Path

from celery import signals

from notifier.health import Health


def connect(worker: Health, folder: Path | None) -> None:
    """Listen to this process's signals; it is a worker or a beat, or neither."""

    @signals.heartbeat_sent.connect(weak=False)
    def _turn(**_: object) -> None:
        worker.alive()

    @signals.beat_init.connect(weak=False)
    def _begin(**_: object) -> None:
        beat = Health("beat", folder)
        beat.fine()

        @signals.after_task_publish.connect(weak=False)
        def _tick(**_: object) -> None:
            beat.fine()
