"""A process that sends has a thread for every connection it may hold (law 6)."""

from typing import Any

import pytest
from celery import Celery
from pydantic import SecretStr

from notifier.channels import portal
from notifier.setting_tables import Relay, Sms
from notifier.settings import Settings
from workers import threads
from workers.config import QUEUES

SETTINGS = Settings(
    relays={"default": Relay(host="a", connections=5), "urgent": Relay(host="b", connections=3)},
    sms=Sms(base_url="https://c", account_sid="AC1", auth_token=SecretStr("t"), sender="x", connections=2),
)
ALL = 5 + 3 + 2 + portal.CONNECTIONS + 1
"""Over two relays, the gateway, the portal and the console."""


@pytest.mark.parametrize(
    ("queues", "wanted"),
    [
        (["deliver.urgent"], ALL),
        (["deliver.normal", "deliver.bulk"], ALL),
        (["sweep", "ingest.normal"], threads.CORE),
        (QUEUES, ALL + threads.CORE),
    ],
)
def test_threads_follow_from_what_a_process_does(queues: list[str], wanted: int) -> None:
    """What sends needs one per connection; what takes in has a number of its own; what does both, both."""
    assert threads.threads_for(queues, SETTINGS) == wanted


def configured(**options: Any) -> int:
    """Return the threads Celery is told to make for these options of its command line."""
    app = Celery("test", set_as_current=False)
    threads.configure(app.conf, options, SETTINGS)
    return int(app.conf.worker_concurrency)


@pytest.mark.parametrize("said", [None, 0, "auto"])
def test_a_worker_that_is_told_no_number_gets_its_own(said: object) -> None:
    """Whether -Q came as a list or as one text; without it, all queues are consumed."""
    assert configured(queues=["deliver.bulk"], concurrency=said) == ALL
    assert configured(queues="deliver.bulk,sweep", concurrency=said) == ALL + threads.CORE
    assert configured(concurrency=said) == ALL + threads.CORE
    deliveries = [queue for queue in QUEUES if queue.startswith("deliver")]
    assert configured(exclude_queues=deliveries, concurrency=said) == threads.CORE


def test_the_command_line_goes_first() -> None:
    """The configuration then says the same: the pool of database connections is sized by it."""
    assert configured(queues=["deliver.bulk"], concurrency=3) == 3


def test_only_a_process_that_sends_can_be_crowded() -> None:
    """One thread short is enough to say so."""
    assert threads.is_crowded(["deliver.urgent"], ALL - 1, SETTINGS)
    assert not threads.is_crowded(["deliver.urgent"], ALL, SETTINGS)
    assert not threads.is_crowded(["sweep", "ingest.bulk"], 1, SETTINGS)
