"""Which rules a process runs: its files' while they are right, else the last good ones; on a real database."""

import gc
import weakref
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from notifier.bootstrap import Services
from notifier.errors import ConfigError
from notifier.events import Urgency
from notifier.pipeline.checks.rules import check_rules
from notifier.pipeline.incoming import Arrival
from notifier.rules.ruleset import RuleSet
from notifier.store.database import DatabaseUnavailable
from notifier.store.rule_sets import standings, view_rules
from tests.services import ROOT, Flow, MakeFlow

pytestmark = pytest.mark.servers

GOOD = """rules:
  - notify: told
    on: order.shipped
    recipients: [{data: customer.email}]
    channels: [email]
"""
OTHER = GOOD.replace("told", "told-anew")
WRONG = {
    "unknown type": (OTHER.replace("order.shipped", "order.unheard_of"), 3, "unknown event type"),
    "unknown key": (OTHER.replace("recipients", "recipient"), 4, "unknown key"),
    "no yaml": (OTHER + "   - [", 6, "not YAML"),
    "unknown template": (OTHER + "    template: no/such\n", 6, "no template"),
    "a list that is none": (OTHER.replace("data: customer.email", "list: nobody"), 4, "unknown list"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with one rule."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "orders.yaml").write_text(GOOD)
    (tmp_path / "events").symlink_to(ROOT / "config" / "events")
    return tmp_path


@pytest.fixture
def flow(make_flow: MakeFlow, folder: Path, database_url: str) -> Flow:
    """A process that began with it."""
    flow = make_flow(config_dir=folder, outboxes=[database_url])
    begin(flow)
    return flow


def begin(flow: Flow) -> None:
    """Start as a worker does, and make every part there is."""
    services = flow.services
    services.adopt_rules(services.rulebook.begin())
    services.rulebook.note()
    for name, part in vars(Services).items():
        if isinstance(part, cached_property):
            getattr(services, name)


def write(folder: Path, text: str) -> None:
    """Change the file."""
    (folder / "rules" / "orders.yaml").write_text(text)


def look(flow: Flow, times: int = 2) -> list[Mapping[str, Any]]:
    """Let so many moments pass, and return what was told about them."""
    services = flow.services
    with capture_logs() as logs:
        for _ in range(times):
            services.rulebook.look(services.adopt_rules)
            services.rulebook.note()
    return [one for one in logs if one["event"].startswith("rules.")]


def names(flow: Flow) -> list[str]:
    """Return the names of the rules that run."""
    return [rule.name for rule in flow.services.rules]


def rule_sets(services: Services) -> set[int]:
    """Return the identities of all rule sets that anything reached from the services holds."""
    found, seen, queue = set[int](), set[int](), [vars(services)]
    while queue:
        here: Any = queue.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, RuleSet):
            found.add(id(here))
        elif _is_part(here):
            queue += gc.get_referents(here)
    return found


def _is_part(here: object) -> bool:
    """Tell whether to look inside: containers, and objects of ours and their methods."""
    is_ours = type(here).__module__.startswith("notifier.")
    return (
        is_ours
        or isinstance(here, dict | list | tuple | set)
        or (callable(here) and not isinstance(here, type))
    )


def test_good_rules_are_adopted_by_every_part_and_act_on_the_next_event(flow: Flow, folder: Path) -> None:
    """Nothing that is reached from the services holds the old ones; connections stay as they are."""
    services = flow.services
    before, old, databases = services.rules.rules_hash, weakref.ref(services.rules), list(services._databases)
    assert rule_sets(services) == {id(services.rules)}
    write(folder, OTHER)

    told = look(flow)
    flow.ingest(flow.sample("order.shipped"))

    assert names(flow) == ["told-anew"]
    assert [(one["event"], one["before"], one["after"]) for one in told] == [
        ("rules.adopted", before, services.rules.rules_hash)
    ]
    assert rule_sets(services) == {id(services.rules)}
    assert services._databases == databases
    assert flow.query("SELECT DISTINCT rule, reason FROM notification")[0][0] == "told-anew"
    gc.collect()
    assert old() is None


def test_a_part_that_was_taken_before_ends_by_the_rules_it_began_with(flow: Flow, folder: Path) -> None:
    """A batch under way sees one rule set, and its rows are committed as ever."""
    under_way = flow.services.ingest
    write(folder, OTHER)
    look(flow)
    events = [flow.sample("order.shipped", id=name) for name in ("old", "new")]
    arrival = Arrival(payload=flow.payload(events[0]), lane=Urgency.NORMAL, at=datetime.now(UTC))
    under_way.arrivals([arrival])
    flow.ingest(events[1])

    rows = flow.query("SELECT rule FROM notification ORDER BY id")
    assert [row[0] for row in rows] == ["told", "told-anew"]


def test_an_outbox_is_drained_by_the_new_rules_over_the_old_connection(flow: Flow, folder: Path) -> None:
    """Each adoption makes other outboxes; the databases behind them stay the same."""
    before = flow.services.outboxes[0]
    write(folder, OTHER)

    look(flow)

    assert flow.services.outboxes[0] is not before
    assert flow.services.outboxes[0]._database is before._database
    assert flow.services.outboxes[0]._ingest is flow.services.ingest


@pytest.mark.parametrize(("text", "line", "problem"), WRONG.values(), ids=WRONG)
def test_wrong_rules_replace_nothing_and_are_told_once(
    flow: Flow, folder: Path, text: str, line: int, problem: str
) -> None:
    """File, line and mend are in the log; the old rules act; doctor and metrics know."""
    running = flow.services.rules
    write(folder, text)

    told = look(flow, times=5)
    flow.ingest(flow.sample("order.shipped"))

    (refused,) = told
    error = refused["errors"][0]
    assert refused["event"] == "rules.refused"
    assert refused["running"] == running.rules_hash
    assert (error["file"], error["line"]) == (str(folder / "rules" / "orders.yaml"), line)
    assert problem in error["problem"]
    assert error["mend"]
    assert flow.services.rules is running
    assert flow.query("SELECT rule FROM notification") == [("told",)]
    (check,) = check_rules(flow.services.database)
    assert check.state == "warn"
    assert f"orders.yaml:{line}" in check.detail


def test_mended_rules_end_the_warning(flow: Flow, folder: Path) -> None:
    """With the rules that run, or with others."""
    running = flow.services.rules
    for mended, event in ((GOOD, "rules.mended"), (OTHER, "rules.adopted")):
        write(folder, "rules: [")
        look(flow)
        write(folder, mended)

        assert [one["event"] for one in look(flow)] == [event]
        assert [check.state for check in check_rules(flow.services.database)] == ["pass"]

    assert flow.services.rules is not running


def test_a_file_is_not_read_before_it_lay_still_for_a_look(flow: Flow, folder: Path) -> None:
    """Half of it would be wrong, or worse, right."""
    for part in ("rules:", "rules:\n  - notify: told", OTHER[:-10]):
        write(folder, part)
        assert look(flow, times=1) == []
    write(folder, OTHER)

    first, second = look(flow, times=1), look(flow, times=1)

    assert first == []
    assert [one["event"] for one in second] == ["rules.adopted"]


def test_a_comment_changes_no_rules(flow: Flow, folder: Path) -> None:
    """What the rules say is the same: nothing is swapped, nothing told."""
    running = flow.services.rules
    write(folder, "# ours\n" + GOOD)

    assert look(flow) == []
    assert flow.services.rules is running


@pytest.mark.parametrize("how", ["no file", "no folder"])
def test_rules_that_vanished_go_on(flow: Flow, folder: Path, how: str) -> None:
    """A folder that is being replaced is empty for a while; no rules at all have to be said."""
    (folder / "rules" / "orders.yaml").unlink()
    if how == "no folder":
        (folder / "rules").rmdir()

    told = look(flow)

    assert [one["event"] for one in told] == ["rules.refused"]
    assert names(flow) == ["told"]
    (folder / "rules").mkdir(exist_ok=True)
    write(folder, "rules: []\n")
    look(flow)
    assert names(flow) == []


@pytest.mark.parametrize("text", [*(text for text, _, _ in WRONG.values()), None])
def test_a_start_with_wrong_files_runs_what_was_adopted_last(
    flow: Flow, make_flow: MakeFlow, folder: Path, text: str | None
) -> None:
    """By another process, from other files; loudly; and the first good files are adopted as ever."""
    write(folder, OTHER)
    look(flow)
    if text is None:
        (folder / "rules" / "orders.yaml").unlink()
    else:
        write(folder, text)

    later = make_flow(config_dir=folder)
    with capture_logs() as logs:
        begin(later)

    (told,) = [one for one in logs if one["event"].startswith("rules.")]
    assert (told["event"], told["log_level"]) == ("rules.refused", "critical")
    assert told["running"] == flow.services.rules.rules_hash
    assert names(later) == ["told-anew"]
    assert {check.state for check in check_rules(later.services.database)} == {"warn"}
    write(folder, GOOD)
    assert [one["event"] for one in look(later)] == ["rules.adopted"]
    assert names(later) == ["told"]


def test_a_first_start_with_wrong_files_is_refused(make_flow: MakeFlow, folder: Path) -> None:
    """There is nothing to go on with; nothing is kept of them."""
    write(folder, "rules: [")
    flow = make_flow(config_dir=folder)

    with pytest.raises(ConfigError, match=r"orders\.yaml"):
        flow.services.rulebook.begin()

    assert flow.query("SELECT count(*) FROM rule_set") == [(0,)]


def test_kept_rules_that_no_longer_fit_are_not_run(flow: Flow, make_flow: MakeFlow, folder: Path) -> None:
    """They name a type the catalogue has lost: the files' error is what is told, as at a first start."""
    (folder / "events").unlink()
    (folder / "events").mkdir()
    (folder / "events" / "one.yaml").write_text(
        (ROOT / "config/events/orders.yaml").read_text().replace("order.shipped", "order.gone")
    )
    write(folder, "rules: [")

    with pytest.raises(ConfigError, match=r"orders\.yaml"):
        make_flow(config_dir=folder).services.rulebook.begin()


def test_what_rules_say_of_people_is_sealed_and_goes_with_the_next_rules(flow: Flow, folder: Path) -> None:
    """Rotations name people: their addresses stand in no row, and those taken out in no key either."""
    person = "nina.on-call@people.example"
    write(folder, OTHER.replace("data: customer.email", f"email: {person}"))
    look(flow)
    (named,) = flow.query("SELECT sealed, rule_set::text FROM rule_set")

    write(folder, OTHER)
    look(flow)

    (after,) = flow.query("SELECT sealed, rule_set::text FROM rule_set")
    assert person.encode() not in bytes(named[0])
    assert person not in named[1]
    assert bytes(after[0]) != bytes(named[0])


def test_the_web_role_sees_hashes_and_numbers_only(flow: Flow, folder: Path, web_url: str) -> None:
    """What /metrics shows; no row of either table."""
    write(folder, "rules: [")
    look(flow)

    with psycopg.connect(web_url, autocommit=True) as web:
        view = view_rules(web)
        for table in ("rule_set", "rule_worker"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                web.execute(f"SELECT * FROM {table}")

    assert view is not None
    assert (view.running, view.refused) == ((flow.services.rules.rules_hash,), 1)


def test_the_time_of_adoption_stays_where_a_worker_only_starts_again(flow: Flow, make_flow: MakeFlow) -> None:
    """Restarts with the same rules adopt nothing new; other rules do."""
    (before,) = flow.query("SELECT adopted_at FROM rule_set")

    again = make_flow(config_dir=flow.services.settings.config_dir)
    begin(again)

    assert flow.query("SELECT adopted_at FROM rule_set") == [before]


def test_workers_with_different_rules_are_a_finding(flow: Flow, make_flow: MakeFlow, tmp_path: Path) -> None:
    """Each runs its own files; what was adopted last is kept; one that ends is forgotten."""
    other = tmp_path / "other"
    (other / "rules").mkdir(parents=True)
    (other / "events").symlink_to(ROOT / "config" / "events")
    write(other, OTHER)
    second = make_flow(config_dir=other)
    second.services.process = "second"
    begin(second)

    (check,) = check_rules(flow.services.database)
    assert check.state == "warn"
    assert flow.services.rules.rules_hash in check.detail
    assert flow.query("SELECT hash FROM rule_set") == [(second.services.rules.rules_hash,)]
    assert look(flow) == []
    assert names(flow) == ["told"]

    second.services.rulebook.end()

    with flow.services.database.connection() as connection:
        assert [one.hash for one in standings(connection)] == [flow.services.rules.rules_hash]


def test_a_database_that_is_away_stops_no_adoption(make_flow: MakeFlow, folder: Path) -> None:
    """The process works by the new rules; they are kept as soon as the database is back."""
    flow = make_flow(config_dir=folder)
    begin(flow)
    write(folder, OTHER)
    broken = _Broken()
    whole, flow.services.rulebook._database = flow.services.rulebook._database, broken  # type: ignore[assignment]

    told = [one["event"] for one in look(flow, times=4)]
    flow.services.rulebook._database = whole
    flow.services.rulebook.note()

    assert told == ["rules.adopted", "rules.unnoted"]
    assert flow.query("SELECT hash FROM rule_set") == [(flow.services.rules.rules_hash,)]


class _Broken:
    """A database nobody reaches."""

    def transaction(self) -> Iterator[None]:
        raise DatabaseUnavailable("away")
