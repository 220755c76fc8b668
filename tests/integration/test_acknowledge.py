"""Taking charge: of an alert, of what a group told, once however often it is said; on real servers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from notifier.pipeline.alerting.acknowledge import Acked
from notifier.pipeline.alerting.alert_states import open_alert
from notifier.store.alerts import firing_alerts
from tests.alerting import RULES, Stage
from tests.services import MakeFlow

pytestmark = pytest.mark.servers


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier with one alert rule."""
    return Stage(make_flow, tmp_path)


def test_who_takes_a_group_takes_all_that_fires_in_it(stage: Stage) -> None:
    """And it is written down who, and when."""
    stage.down("web-1", "web-2")

    done = stage.acknowledger.group(stage.group(), "Ann", stage.clock.now())

    with stage.flow.services.database.connection() as connection:
        states = [
            open_alert(stage.flow.services.keyring, row) for row in firing_alerts(connection, "default")
        ]
    assert done == Acked(count=2, already=0)
    assert stage.statuses() == {"web-1": "acknowledged", "web-2": "acknowledged"}
    assert {(one.acknowledged_by, one.acknowledged_at) for one in states} == {("Ann", stage.clock.now())}


def test_what_somebody_took_charge_of_is_not_reminded_of(stage: Stage) -> None:
    """The end is told all the same."""
    stage.down("web-1")
    stage.acknowledger.group(stage.group(), "Ann", stage.clock.now())

    quiet = [stage.told(minutes=5), stage.told(hours=3)]
    stage.feed("server.recovered", "web-1")
    over = stage.told(minutes=5)

    assert quiet == [[], []]
    assert len(over) == 1


def test_what_is_given_back_is_reminded_of_again(stage: Stage) -> None:
    """Counted from the last message, as if nobody had ever had it."""
    stage.down("web-1")
    stage.acknowledger.group(stage.group(), "Ann", stage.clock.now())
    stage.told(minutes=30)
    (alert,) = stage.flow.query("SELECT id FROM alert")[0]

    back = stage.acknowledger.unacknowledge(alert)
    told = [len(stage.told(minutes=5)), len(stage.told(minutes=25))]

    assert back == Acked(count=1)
    assert told == [0, 1]
    assert stage.acknowledger.unacknowledge(alert) == Acked(already=1)


def test_a_second_word_changes_nothing(stage: Stage) -> None:
    """Neither who has it, nor since when."""
    stage.down("web-1")
    group, first = stage.group(), stage.clock.now()
    stage.acknowledger.group(group, "Ann", first)

    again = stage.acknowledger.group(group, "Bob", first + timedelta(minutes=1))

    with stage.flow.services.database.connection() as connection:
        (row,) = firing_alerts(connection, "default")
    assert again == Acked(already=1)
    assert not again.is_over
    assert open_alert(stage.flow.services.keyring, row).acknowledged_by == "Ann"


def test_what_is_over_stays_over(stage: Stage) -> None:
    """A group that is gone, one whose alerts ended, an id nobody knows."""
    stage.down("web-1")
    group = stage.group()
    (alert,) = stage.flow.query("SELECT id FROM alert")[0]
    stage.feed("server.recovered", "web-1")
    ended = stage.acknowledger.group(group, "Ann", stage.clock.now())
    stage.told(minutes=5)

    gone = stage.acknowledger.group(group, "Ann", stage.clock.now())

    assert ended.is_over
    assert gone.is_over
    assert stage.acknowledger.alert(alert, "Ann", stage.clock.now()).is_over
    assert stage.acknowledger.alert(uuid4(), "Ann", stage.clock.now()).is_over
    assert stage.statuses() == {"web-1": "resolved"}


def test_a_message_answers_for_what_it_told(stage: Stage) -> None:
    """What joined the group afterwards, or began anew, still wants somebody."""
    stage.down("web-1")
    told_until = stage.clock.now()
    stage.clock.advance(timedelta(minutes=1))
    stage.feed("server.down", "web-2")

    done = stage.acknowledger.group(stage.group(), "Ann", stage.clock.now(), told_until=told_until)
    told = stage.told(minutes=5)
    late = stage.acknowledger.group(stage.group(), "Ann", stage.clock.now(), told_until=told_until)

    assert done == Acked(count=1)
    assert len(told) == 1
    assert late == Acked(already=1)
    assert stage.statuses() == {"web-1": "acknowledged", "web-2": "firing"}


def test_one_alert_of_a_group_may_be_taken_alone(stage: Stage) -> None:
    """The others are reminded of."""
    stage.down("web-1", "web-2")
    (alert,) = stage.flow.query("SELECT id FROM alert WHERE subject = 'web-1'")[0]

    stage.acknowledger.alert(alert, "Ann", stage.clock.now())

    assert stage.statuses() == {"web-1": "acknowledged", "web-2": "firing"}
    assert len(stage.told(hours=1)) == 1


def test_many_at_once_take_it_once(stage: Stage) -> None:
    """While events go on coming in for the same alerts."""
    hosts = [f"web-{number}" for number in range(6)]
    stage.down(*hosts)
    group, now = stage.group(), stage.clock.now()

    with ThreadPoolExecutor(6) as pool:
        takers = [pool.submit(stage.acknowledger.group, group, f"Ann {number}", now) for number in range(4)]
        feeders = [pool.submit(stage.feed, "server.down", *reversed(hosts)) for _ in range(2)]
        done = [one.result() for one in takers]
        for one in feeders:
            one.result()

    assert sum(one.count for one in done) == 6
    assert set(stage.statuses().values()) == {"acknowledged"}


CALLS = (
    RULES
    + """
    escalate: chain
  - escalation: chain
    steps:
      - {recipients: [{list: operators}], channels: [email], wait: 10m}
      - {recipients: [{list: operators}], channels: [email], wait: 10m}
    ack_timeout: 1h
"""
)


@pytest.fixture
def calling(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier that calls the next one after ten minutes, unless somebody took charge."""
    return Stage(make_flow, tmp_path, CALLS)


def test_who_takes_charge_stops_the_calls(calling: Stage) -> None:
    """Also of all alerts of the group one by one; until the acknowledgement is void."""
    first = calling.down("web-1", "web-2")
    calling.told(minutes=5)
    for (alert,) in calling.flow.query("SELECT id FROM alert"):
        calling.acknowledger.alert(alert, "Ann", calling.clock.now())

    quiet = [calling.told(minutes=5), calling.told(minutes=20), calling.told(minutes=34)]
    void = [*calling.told(minutes=1), *calling.told(minutes=5)]

    assert len(first) >= 1
    assert quiet == [[], [], []]
    assert len(void) >= 1
    assert set(calling.statuses().values()) == {"firing"}


def test_what_was_given_back_is_called_about_again(calling: Stage) -> None:
    """Nobody has it: the chain goes on."""
    calling.down("web-1")
    calling.acknowledger.group(calling.group(), "Ann", calling.clock.now())
    quiet = calling.told(minutes=30)

    calling.acknowledger.unacknowledge_group(calling.group())
    told = [one for _ in range(4) for one in calling.told(minutes=5)]

    assert quiet == []
    assert len(told) >= 1


def test_the_calls_go_on_for_what_nobody_took(calling: Stage) -> None:
    """One of two is not all."""
    calling.down("web-1", "web-2")
    (alert,) = calling.flow.query("SELECT id FROM alert WHERE subject = 'web-1'")[0]
    calling.acknowledger.alert(alert, "Ann", calling.clock.now())

    assert len(calling.told(minutes=10)) == 1
