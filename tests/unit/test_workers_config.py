"""Celery is set up so that a lost or doubled message costs time and nothing else (law 1)."""

import ssl
from typing import Any

import pytest
from kombu.transport import get_transport_cls

from notifier.broker.transport import Channel, SentinelChannel, SentinelTransport
from notifier.settings import Settings
from workers.config import QUEUES, celery_config


def config(url: str) -> dict[str, Any]:
    """Celery's configuration for a Redis URL."""
    return celery_config(Settings(redis_url=url))


def test_every_queue_has_a_stage_and_a_lane() -> None:
    """A wake-up names its queue by stage and lane; none may be missing."""
    from notifier.broker.wakeups import WakeUp
    from notifier.events import LANES

    wanted = {WakeUp(stage, lane.value).queue for stage in ("ingest", "deliver") for lane in LANES}

    assert wanted < set(QUEUES)


def test_sentinels_are_said_in_kombus_words() -> None:
    """One URL per sentinel, the service as an option, for broker and results."""
    found = config("sentinel://a:1,b:2/main?db=3&password=p%40ss")

    assert found["broker_url"] == "sentinel://:p%40ss@a:1/3;sentinel://:p%40ss@b:2/3"
    assert found["broker_transport"] == "notifier.broker.transport:SentinelTransport"
    assert get_transport_cls(found["broker_transport"]) is get_transport_cls("sentinel") is SentinelTransport
    assert found["broker_transport_options"]["master_name"] == "main"
    assert found["result_backend_transport_options"]["master_name"] == "main"


@pytest.mark.parametrize("options", ["broker_transport_options", "result_backend_transport_options"])
def test_a_sentinel_that_is_away_is_not_asked_again_before_the_next_one(options: str) -> None:
    """Nor waited for without end."""
    kwargs = config("sentinel://a:1,b:2/main")[options]["sentinel_kwargs"]

    assert kwargs["retry"].get_retries() == 0
    assert kwargs["socket_timeout"] == kwargs["socket_connect_timeout"] == 5


def test_tls_checks_certificates() -> None:
    """Celery would refuse a rediss URL that leaves it open."""
    found = config("rediss://host:6380/0")

    assert found["broker_use_ssl"]["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    assert found["redis_backend_use_ssl"]["ssl_cert_reqs"] == ssl.CERT_REQUIRED


def test_no_message_is_ever_given_up_for_a_broker_that_is_away() -> None:
    """Neither the connection nor a task ends for it; and nothing is pickled."""
    found = config("redis://host/0")

    assert found["broker_connection_max_retries"] is None
    assert found["accept_content"] == ["json"]
    assert found["task_acks_late"] is True


def test_kombus_private_hooks_are_still_there() -> None:
    """The kept client relies on two private methods; an upgrade that renames them must not pass unseen."""
    from kombu.transport import redis as kombu_redis

    for name in ("_create_client", "_disconnect_pools"):
        assert callable(getattr(kombu_redis.Channel, name))
        assert name in vars(Channel)
        assert getattr(SentinelChannel, name) is getattr(Channel, name)
