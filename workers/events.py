"""Decide what Flower gets to see: tasks that did something, whole; of the others nothing.

A wake-up that finds nothing to do is the normal case, by the thousand. So a task's events wait until its
outcome is known, and an empty one sends none. Changes neither results, acknowledgements nor counts.
"""

from typing import Any

from celery import Task
from celery.worker.request import Request

_NOTHING = repr({})
"""The result, as Celery writes it into events, of a task that did nothing."""


class QuietRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """A request whose events are sent at its end, and only where something was done.

    Flower therefore shows no task as running; its workers page does, as it asks the workers.
    """

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's name
        """Send what Celery would have sent so far, and this; nothing before the end, nor for nothing."""
        eventer = self.eventer
        if not (eventer and eventer.enabled) or type == "task-started" or fields.get("result") == _NOTHING:
            return
        began = {"timestamp": self.time_start} if self.time_start else {}
        eventer.send(
            "task-received", uuid=self.id, name=self.name, args=self.argsrepr, kwargs=self.kwargsrepr,
            root_id=self.root_id, parent_id=self.parent_id, retries=0, eta=None, expires=None, **began,
        )  # fmt: skip
        if began:
            eventer.send("task-started", uuid=self.id, **began)
        eventer.send(type, uuid=self.id, **fields)


class QuietTask(Task):  # type: ignore[misc]  # Celery ships no types
    """A task that Flower sees when it did something."""

    Request = "workers.events:QuietRequest"
    send_events = False
    """So that Celery's strategy announces none before it runs."""
