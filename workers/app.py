"""The Celery app: ``celery -A workers.app worker``, ``beat`` and ``flower`` start from here."""

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from notifier.broker.wakeups import WakeUp
from notifier.settings import load_settings
from workers.config import celery_config

settings = load_settings()
app = Celery("notifier")
app.conf.update(celery_config(settings))


def publish(wake_up: WakeUp) -> None:
    """Send a wake-up: the stage, the lane, and the channel where it has one; never an id.

    Raises:
        OSError: the broker is away; the sweep will ring again.
    """
    name = f"notifier.{wake_up.stage}" + (f".{wake_up.channel}" if wake_up.channel else "")
    try:
        lane = {"lane": wake_up.lane} if wake_up.lane else {}
        app.send_task(name, kwargs=lane, queue=wake_up.queue, retry=False)
    # kombu wraps what happens on an open connection, and lets through what happens on the way to one.
    except (OperationalError, RedisError) as error:
        raise OSError("the broker is away") from error
