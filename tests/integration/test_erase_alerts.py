"""Alerts and their groups know people, too: erasing a person reaches them (C8)."""

from pathlib import Path

import orjson
import pytest

from notifier.pipeline.alerting.alert_states import open_state
from notifier.pipeline.people.erase import Eraser
from tests.alerting import Stage
from tests.services import MakeFlow

pytestmark = pytest.mark.servers

ANN = "ann.weber@example.com"
RULES = """
rules:
  - alert: failed-logins
    on: login.failed
    labels: {account: data.account, system: data.system}
    key: [account]
    group_by: [system]
    first_after: 0s
    recipients: [to]
    channels: [email]
    ttl: %s
"""


def stage_with(make_flow: MakeFlow, folder: Path, ttl: str = "7d") -> Stage:
    """A notifier that has told Ann, and Ben, that Ann's sign-ins fail."""
    stage = Stage(make_flow, folder, RULES % ttl)
    event = stage.flow.sample("login.failed", time=stage.clock.now().isoformat(), to=[ANN, "ben@example.com"])
    event["data"] = {**event["data"], "account": ANN}
    stage.flow.ingest(event)
    stage.told()
    return stage


def states(stage: Stage) -> list[str]:
    """Return what is readable of all alerts and groups."""
    keyring = stage.flow.services.keyring
    alerts = stage.flow.query("SELECT data_key, sealed FROM alert")
    groups = stage.flow.query("SELECT data_key, sealed FROM alert_group")
    return [
        *(str(open_state(keyring, *row)) for row in alerts),
        *(str(keyring.open_data_key(row[0]).unseal(row[1], b"alert-group")) for row in groups),
    ]


def erase(stage: Stage) -> int:
    """Erase Ann; return how many alerts and groups spoke of her."""
    services = stage.flow.services
    erased = Eraser(services.database, services.keyring, services.catalog).erase("default", ANN)
    assert erased is not None
    return erased.alerts


def test_what_fires_goes_on_without_the_person(make_flow: MakeFlow, tmp_path: Path) -> None:
    """The alert stays and fires; neither it nor a group names the person any more."""
    stage = stage_with(make_flow, tmp_path)
    assert any(ANN in state for state in states(stage))

    count = erase(stage)

    assert count >= 2
    assert not any(ANN in state for state in states(stage))
    assert stage.flow.query("SELECT count(*) FROM alert WHERE status = 'firing'") == [(1,)]


def test_what_is_over_goes_with_the_person(make_flow: MakeFlow, tmp_path: Path) -> None:
    """An alert whose end was told is removed."""
    stage = stage_with(make_flow, tmp_path, ttl="10m")
    stage.told(minutes=11)
    stage.told(minutes=6)

    erase(stage)

    assert not any(ANN in state for state in states(stage))
    assert stage.flow.query("SELECT count(*) FROM alert") == [(0,)]


def test_who_was_told_hears_of_the_end_after_the_person_was_erased(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """What is over, and not told as over yet, stays without the name; its end reaches the others."""
    stage = stage_with(make_flow, tmp_path, ttl="10m")
    early = stage.told(minutes=11)
    waiting = stage.flow.query("SELECT DISTINCT status, told_firing FROM alert, alert_member")

    erase(stage)
    kept = states(stage)
    end = stage.told(minutes=6)

    assert (early, waiting) == ([], [("resolved", True)])
    assert len(kept) == 2
    assert not any(ANN in state for state in kept)
    assert [mail["To"] for mail in end] == ["ben@example.com"]
    assert not any(ANN in str(mail) for mail in end)
    assert stage.counts("alert_group", "alert_member") == [0, 0]


def test_whoever_was_told_keeps_their_place(make_flow: MakeFlow, tmp_path: Path) -> None:
    """What groups remember of those they told goes by position: who was erased leaves a gap."""
    stage = stage_with(make_flow, tmp_path)
    before = told_by_group(stage)

    erase(stage)

    assert told_by_group(stage) == [None if one == ANN else one for one in before]
    assert ANN in before
    assert "ben@example.com" in before


def told_by_group(stage: Stage) -> list[str | None]:
    """Return the addresses of whom the groups told, in their order."""
    keyring = stage.flow.services.keyring
    rows = stage.flow.query("SELECT data_key, sealed FROM alert_group ORDER BY id")
    groups = [orjson.loads(keyring.open_data_key(row[0]).unseal(row[1], b"alert-group")) for row in rows]
    return [one and one["email"] for group in groups for one in group["told"]]
