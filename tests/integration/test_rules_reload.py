"""Rules that change under running workers: the good act on the next event, the wrong never; in real processes."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

from notifier.events import Urgency
from notifier.rules.files import RuleFiles
from notifier.rules.load import compile_rules
from notifier.store import soundings
from notifier.web.metrics import render
from notifier.web.probes import Answer
from tests.processes import WORKER, Processes
from tests.processes import poll as polled
from tests.services import ROOT, Flow, MakeFlow

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300), pytest.mark.long]

CORE = ("worker", "-n", "core@test", "-Q", "sweep,track,ingest.urgent,ingest.normal,ingest.bulk", *WORKER)
LOOK = 2.0
"""Seconds between two looks at the files."""
RULE = """rules:
  - notify: {name}
    on: order.shipped
    recipients: [{{data: customer.email}}]
    channels: [email]
"""
WRONG = RULE.format(name="wrong").replace("recipients", "recipient")


ResultT = TypeVar("ResultT")


def poll(ask: Callable[[], ResultT | None]) -> ResultT:
    """Ask until there is an answer: a worker that starts on a busy machine takes its time."""
    return polled(ask, 90)


class Site:
    """A notifier whose workers are processes, and whose rules lie in the test's hand."""

    def __init__(self, flow: Flow, directory: Path, web_url: str) -> None:
        settings = flow.services.settings
        assert settings.config_dir is not None
        self.flow, self.directory, self.web_url = flow, directory, web_url
        self.folder = settings.config_dir / "rules"

    def write(self, text: str) -> None:
        """Change the rules as careful people do: written aside, then put into place."""
        aside = self.folder / "all.yaml.new"
        aside.write_text(text)
        aside.replace(self.folder / "all.yaml")

    def told_by(self) -> str:
        """Hand an event to the workers, and return the rule that took it."""
        (before,) = self.flow.query("SELECT count(*) FROM notification")[0]
        event = self.flow.payload(self.flow.sample("order.shipped"))
        self.flow.services.intake.put(Urgency.NORMAL, event)
        statement = "SELECT rule FROM notification ORDER BY id OFFSET %s"
        rows = poll(lambda: self.flow.query(statement, before))
        return str(rows[0][0])

    def log(self, event: str, name: str = "core") -> list[dict[str, Any]]:
        """Return what a worker's log has of an event."""
        lines = (self.directory / f"{name}.log").read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in found if one["event"] == event]

    def metrics(self) -> dict[str, float]:
        """Return what /metrics says of rules, as the web's role sees it."""
        sounding = soundings.sound(self.web_url, timedelta(seconds=5))
        page, _ = render(Answer(value=sounding), Answer(), callbacks={}, is_safe=False, accept="")
        return {
            f"{sample.name}{''.join(sample.labels.values())}": sample.value
            for family in text_string_to_metric_families(page.decode())
            for sample in family.samples
            if sample.name.startswith("notifier_rules")
        }


@pytest.fixture
def site(make_flow: MakeFlow, server_directory: Path, web_url: str) -> Site:
    """The shipped configuration, with one rule in the place of all."""
    config = server_directory / "config"
    shutil.copytree(ROOT / "config", config)
    for file in (config / "rules").rglob("*.yaml"):
        file.unlink()
    # Only what the rule needs: loading all templates is most of a worker's start.
    for folder in ("_layouts", "order/shipped"):
        shutil.copytree(ROOT / "templates" / folder, server_directory / "templates" / folder)
    site = Site(make_flow(config_dir=config), server_directory, web_url)
    site.write(RULE.format(name="first"))
    return site


@pytest.fixture
def processes(site: Site) -> Iterator[Processes]:
    """Its processes."""
    templates = str(site.directory / "templates")
    with Processes(site.flow, site.directory, NOTIFIER_TEMPLATES_DIR=templates) as processes:
        yield processes


def test_a_good_change_acts_on_the_next_event_and_a_wrong_one_changes_nothing(
    site: Site, processes: Processes
) -> None:
    """The wrong one is in the log, with file, line and mend, and in the metrics, until it is mended."""
    processes.start(*CORE, name="core")
    assert site.told_by() == "first"
    before = poll(lambda: site.metrics() or None)

    site.write(RULE.format(name="second"))
    adopted = poll(lambda: site.log("rules.adopted")[1:])
    assert site.told_by() == "second"

    site.write(WRONG)
    refused = poll(lambda: site.log("rules.refused"))
    poll(lambda: site.metrics()["notifier_rules_refused"] == 1)
    kept = site.metrics()
    assert site.told_by() == "second"

    site.write(RULE.format(name="second"))
    poll(lambda: site.log("rules.mended"))
    poll(lambda: site.metrics()["notifier_rules_refused"] == 0)

    (error,) = [one for one in refused[0]["errors"] if one["problem"] == "unknown key"]
    new = adopted[0]["after"]
    assert before.keys() == {
        "notifier_rules_refused", "notifier_rules_adopted_timestamp_seconds",
        f"notifier_rules_info{adopted[0]['before']}",
    }  # fmt: skip
    assert kept[f"notifier_rules_info{new}"] == 1
    stamp = "notifier_rules_adopted_timestamp_seconds"
    assert kept[stamp] > before[stamp]
    assert (error["file"], error["line"]) == (str(site.folder / "all.yaml"), 4)
    assert error["mend"] == "did you mean 'recipients'?"
    assert len(site.log("rules.refused")) == 1


def test_workers_start_with_a_wrong_file_on_what_was_adopted_last(site: Site, processes: Processes) -> None:
    """Core and a worker that only delivers; loudly, and open for what is right."""
    processes.start(*CORE, name="core")
    poll(lambda: site.flow.query("SELECT * FROM rule_worker"))
    site.write(RULE.format(name="second"))
    poll(lambda: site.log("rules.adopted")[1:])
    processes.stop("core")
    ended = site.flow.query("SELECT * FROM rule_worker")
    site.write(WRONG)

    processes.start(*CORE, name="core-again")
    processes.start("worker", "-n", "urgent@test", "-Q", "deliver.urgent", *WORKER, name="urgent")
    told = [poll(lambda name=name: site.log("rules.refused", name)) for name in ("core-again", "urgent")]
    poll(lambda: len(site.flow.query("SELECT * FROM rule_worker WHERE refused_at IS NOT NULL")) == 2)
    acting = site.told_by()
    shown = site.metrics()
    site.write(RULE.format(name="third"))
    poll(lambda: site.log("rules.adopted", "core-again"))

    assert ended == []
    assert [one[0]["level"] for one in told] == ["critical", "critical"]
    assert [one[0]["errors"][0]["line"] for one in told] == [4, 4]
    assert acting == "second"
    assert shown["notifier_rules_refused"] == 1
    assert site.told_by() == "third"


def test_half_a_file_is_never_acted_on(site: Site, processes: Processes) -> None:
    """It grows under the worker's eyes, each part of it right in itself: only the whole is adopted."""
    processes.start(*CORE, name="core")
    assert site.told_by() == "first"
    body = RULE.format(name="half").removeprefix("rules:\n")
    pause, end, number = threading.Event(), time.monotonic() + 3 * LOOK, 0

    with (site.folder / "all.yaml").open("w") as out:
        out.write("rules:\n")
        while time.monotonic() < end:
            number += 1
            out.write(body.replace("half", f"half-{number}"))
            out.flush()
            pause.wait(LOOK / 20)
        acting, early = site.told_by(), site.log("rules.adopted")[1:]
        out.write(body.replace("half", "last"))

    (adopted,) = poll(lambda: site.log("rules.adopted")[1:])
    files = RuleFiles.read(site.folder)
    assert acting == "first"
    assert early == []
    assert number > 3
    assert adopted["after"] == compile_rules(files, types=None).rules_hash
    assert site.log("rules.refused") == []
