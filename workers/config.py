"""Celery's settings: a message is a wake-up, so losing or doubling one costs nothing but time."""

import ssl
from typing import Any
from urllib.parse import quote

from kombu.entity import Queue
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier.client.addresses import read_sentinel
from notifier.events import LANES
from notifier.settings import Settings

QUEUES = [
    "sweep",
    "track",
    *(f"ingest.{lane}" for lane in LANES),
    *(f"deliver.{lane}" for lane in LANES),
]
"""In the order of their urgency; a worker that consumes several takes the first ones first."""


def celery_config(settings: Settings) -> dict[str, Any]:
    """Return Celery's configuration."""
    broker = settings.redis_url.get_secret_value()
    backend = settings.result_url.get_secret_value() if settings.result_url else broker
    config = {
        "broker_url": broker,
        "broker_transport": "notifier.broker.transport:Transport",
        "broker_transport_options": {
            "visibility_timeout": 900,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 15,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "queue_order_strategy": "priority",
            "priority_steps": [0],
            "client_name": "notifier",
        },
        "broker_connection_retry_on_startup": True,
        # A broker that is away for a day is no reason to die.
        "broker_connection_max_retries": None,
        "task_publish_retry": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "result_backend": backend,
        "result_expires": 3600,
        "result_failure_expires": 7 * 86400,
        "redis_socket_timeout": 10,
        "redis_socket_keepalive": True,
        "worker_pool": "threads",
        "worker_prefetch_multiplier": 1,
        "worker_eta_task_limit": 100,
        "worker_soft_shutdown_timeout": 20.0,
        "worker_disable_rate_limits": True,
        "task_create_missing_queues": False,
        "task_queues": [Queue(name) for name in QUEUES],
        "task_default_queue": "sweep",
        "worker_send_task_events": True,
        "task_send_sent_event": False,
        "event_queue_expires": 60,
        "control_queue_expires": 10,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "enable_utc": True,
        "timezone": "UTC",
        "beat_max_loop_interval": 1,
        "beat_schedule": {
            # A sweep that waited longer than its interval is not worth running: the next one does its work.
            "sweep": {"task": "notifier.sweep", "schedule": 1.0, "options": {"queue": "sweep", "expires": 5}},
        },
        "imports": ["workers.tasks", "workers.process"],
    }
    return _with_servers(config, broker, backend)


def _with_servers(config: dict[str, Any], broker: str, backend: str) -> dict[str, Any]:
    """Say it in Celery's words where the servers are sentinels, or speak TLS."""
    if broker.startswith("sentinel://"):
        url, options = _sentinels(broker)
        config |= {"broker_url": url, "broker_transport": "notifier.broker.transport:SentinelTransport"}
        config["broker_transport_options"] |= options
    if backend.startswith("sentinel://"):
        config["result_backend"], config["result_backend_transport_options"] = _sentinels(backend)
    # Celery insists on being told to check certificates.
    if broker.startswith("rediss://"):
        config["broker_use_ssl"] = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    if backend.startswith("rediss://"):
        config["redis_backend_use_ssl"] = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    return config


def _sentinels(url: str) -> tuple[str, dict[str, Any]]:
    """Return kombu's form of a sentinel URL, one per sentinel, and its options."""
    address = read_sentinel(url)
    login = f":{quote(address.password, safe='')}@" if address.password else ""
    urls = [f"sentinel://{login}{host}:{port}/{address.db}" for host, port in address.sentinels]
    # A sentinel that is away is not asked again but the next one is: Celery comes back for all of them.
    kwargs: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
    }
    if address.sentinel_password:
        kwargs["password"] = address.sentinel_password
    return ";".join(urls), {"master_name": address.service, "sentinel_kwargs": kwargs}
