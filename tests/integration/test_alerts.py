"""Alerts from the event to the mail: grouped, reminded of, called off, each once; on real servers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from notifier.events import Urgency
from notifier.ids import uuid7
from notifier.rules.alerting.matchers import parse_matchers
from notifier.rules.alerting.silences import Silence
from notifier.rules.files import RuleFiles
from notifier.rules.load import compile_rules
from notifier.rules.ruleset import RuleSet
from notifier.store.silences import save_silence
from tests.alerting import RULES, Stage
from tests.command import command
from tests.services import MakeFlow

pytestmark = pytest.mark.servers

LISTS = {
    "operators": [{"email": "operators@notifier.example"}],
    "on-call": [{"email": "on-call@notifier.example", "phone": "+4930123401"}],
}


def play(make_flow: MakeFlow, folder: Path, rules: str) -> Stage:
    """Return a notifier with these rules, and somebody on call who has a phone."""
    return Stage(make_flow, folder, rules, lists=LISTS)


def subjects(stage: Stage, **span: float) -> list[str]:
    """Let time pass and send what is due; return the subjects of the new mails."""
    return [str(mail["Subject"]) for mail in stage.told(**span)]


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier with one alert rule."""
    return play(make_flow, tmp_path, RULES)


def test_what_begins_within_the_wait_is_told_in_one_mail(stage: Stage) -> None:
    """Two hosts of one site go down within 30 seconds: one mail, and not before."""
    stage.feed("server.down", "web-1")
    early = subjects(stage, seconds=10)
    stage.feed("server.down", "web-2")
    still_early = subjects(stage, seconds=19)

    told = subjects(stage, seconds=1)

    assert (early, still_early) == ([], [])
    assert len(told) == 1
    assert subjects(stage, minutes=4) == []


def test_down_and_back_within_the_wait_is_told_to_nobody(stage: Stage) -> None:
    """What recovers before its first message leaves no trace but its events."""
    stage.feed("server.down", "web-1")
    stage.feed("server.recovered", "web-1")

    assert subjects(stage, minutes=10) == []
    assert stage.counts("alert_group", "alert_member", "notification") == [0, 0, 0]


def test_the_way_of_an_alert(stage: Stage) -> None:
    """First message, a new member on the grid, a reminder when it is due, and the end."""
    stage.feed("server.down", "web-1")
    first = subjects(stage, seconds=30)
    stage.feed("server.down", "web-2")
    waiting = subjects(stage, minutes=4)
    joined = subjects(stage, minutes=1)
    quiet = subjects(stage, minutes=59)
    reminded = subjects(stage, minutes=1)
    stage.feed("server.recovered", "web-1", "web-2")
    over = subjects(stage, minutes=5)

    assert [len(one) for one in (first, waiting, joined, quiet, reminded, over)] == [1, 0, 1, 0, 1, 1]
    assert stage.counts("alert_group", "alert_member") == [0, 0]
    assert subjects(stage, days=1) == []


EVERYTHING = """
rules:
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    labels: {host: data.host, site: data.location}
    key: [host]
    severity: critical
    group_by: [site]
    first_after: 0s
    batch_every: 0s
    ttl: 1h
    recipients: [{list: operators}]
    channels: [email]
    escalate: on-call
    mute: [night]
  - alert: site-down
    on: network.disrupted
    resolved: network.restored
    labels: {site: data.site}
    key: [site]
    first_after: 0s
    recipients: [{list: operators}]
    channels: [email]
  - inhibit: site-mutes-servers
    source: rule="site-down"
    target: rule="server-down"
    equal: [site]
  - window: night
    intervals: [{times: [{start_time: "%s", end_time: "%s"}]}]
  - escalation: on-call
    steps:
      - {recipients: [{list: on-call}], channels: [sms], wait: 10m}
      - {recipients: [{list: operators}], channels: [email], wait: 10m}
    ack_timeout: 20m
"""


def everything(make_flow: MakeFlow, folder: Path, *, night_in: timedelta = timedelta(hours=6)) -> Stage:
    """A notifier with escalation, inhibition and a night that begins in a while and lasts an hour."""
    start = datetime.now(UTC) + night_in
    rules = EVERYTHING % (start.strftime("%H:00"), (start + timedelta(hours=1)).strftime("%H:00"))
    return play(make_flow, folder, rules.replace('"00:00"}', '"24:00"}'))


def test_nobody_takes_charge_and_the_next_one_is_called(make_flow: MakeFlow, tmp_path: Path) -> None:
    """The first step at once, the second after its wait, and none twice."""
    stage = everything(make_flow, tmp_path)
    stage.feed("server.down", "web-1")

    at_once = subjects(stage)
    texts = len(stage.flow.sms.received)
    too_early = subjects(stage, minutes=9)
    second = subjects(stage, minutes=1)
    after = subjects(stage, minutes=30)

    assert (len(at_once), texts) == (1, 1)
    assert (too_early, len(second), after) == ([], 1, [])
    assert stage.flow.query("SELECT count(*) FROM message")[0][0] == 3


def test_what_nobody_hears_of_any_more_is_over(make_flow: MakeFlow, tmp_path: Path) -> None:
    """An hour without a word: resolved, and whoever was told hears so."""
    stage = everything(make_flow, tmp_path)
    stage.feed("server.down", "web-1")
    subjects(stage)
    subjects(stage, minutes=10)

    over = subjects(stage, minutes=50)

    # The operators, who were told first, and both steps.
    assert len(over) + len(stage.flow.sms.received) >= 2
    assert stage.counts("alert_group", "alert_member") == [0, 0]
    assert subjects(stage, hours=3) == []


def test_a_stronger_alert_mutes_a_weaker_one_until_it_is_over(make_flow: MakeFlow, tmp_path: Path) -> None:
    """The site is down, so its servers are not told of; once the site is back, what is still down is."""
    stage = everything(make_flow, tmp_path)
    stage.flow.ingest(site(stage, "network.disrupted", "berlin"))
    subjects(stage)
    stage.feed("server.down", "web-1", site="berlin")
    stage.feed("server.down", "web-2", site="paris")

    muted = subjects(stage, minutes=1)
    stage.flow.ingest(site(stage, "network.restored", "berlin"))
    told = [*subjects(stage, minutes=1), *subjects(stage, minutes=5)]

    assert [one for one in muted if "web-1" in one] == []
    assert [one for one in muted if "web-2" in one] != []
    assert [one for one in told if "web-1" in one] != []


def site(stage: Stage, type_: str, name: str) -> dict[str, object]:
    """Return an event about the network of a site."""
    event = stage.flow.sample(type_, subject=name, time=stage.clock.now().isoformat())
    event["data"] = {**event["data"], "site": name}
    return event


def test_a_first_message_waits_for_what_came_in_and_is_not_ingested(stage: Stage) -> None:
    """An event waits in Redis, the end of the alert perhaps: ten seconds' patience, and no more."""
    stage.feed("server.down", "web-1")
    waiting = stage.flow.payload(stage.flow.sample("server.recovered", subject="web-1"))
    stage.flow.services.intake.put(Urgency.NORMAL, waiting)

    due, patient, told = subjects(stage, seconds=30), subjects(stage, seconds=9), subjects(stage, seconds=1)

    assert (due, patient, len(told)) == ([], [], 1)


SILENCED = """
rules:
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    labels: {host: data.host}
    key: [host]
    first_after: 0s
    batch_every: 1m
    recipients: [{list: operators}]
    channels: [email]
  - alert: failed-logins
    on: login.failed
    labels: {account: data.account}
    key: [account]
    first_after: 0s
    detect: {count: {at_least: 3, within: 10m}}
    recipients: [{list: operators}]
    channels: [email]
"""


def silence(stage: Stage, host: str, **span: float) -> None:
    """Silence a host for a while."""
    now = stage.clock.now()
    made = Silence(
        id=str(uuid7()),
        matcher_sets=(parse_matchers(f'host="{host}"'),),
        starts_at=now,
        ends_at=now + timedelta(**span),
        created_by="a test",
        comment="to be tested",
    )
    with stage.flow.services.database.transaction() as connection:
        save_silence(connection, "default", made, by="a test", what="added")


def test_a_silence_ends_with_what_still_fires(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Nothing while it lasts; once it is over, one message of what is still so."""
    stage = play(make_flow, tmp_path, SILENCED)
    silence(stage, "web-1", minutes=30)
    stage.feed("server.down", "web-1", "web-2")

    first = subjects(stage)
    during = subjects(stage, minutes=29)
    after = subjects(stage, minutes=1)

    assert [("web-2" in one, "web-1" in one) for one in first] == [(True, False)]
    assert during == []
    assert [("web-2" in one, "web-1" in one) for one in after] == [(False, True)]


def test_whoever_was_told_hears_of_the_end_through_a_silence(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Silenced after it was told, resolved while silenced: the end goes out all the same."""
    stage = play(make_flow, tmp_path, SILENCED)
    stage.feed("server.down", "web-1")
    first = subjects(stage)
    silence(stage, "web-1", hours=3)
    stage.clock.advance(timedelta(minutes=5))
    stage.feed("server.recovered", "web-1")

    over = subjects(stage, minutes=1)

    assert (len(first), len(over)) == (1, 1)
    assert stage.counts("alert_group", "alert_member") == [0, 0]


def test_a_threshold_fires_once_and_is_over_when_the_window_has_passed(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """Two failures are none; the third is told; ten minutes later it is over without another event."""
    stage = play(make_flow, tmp_path, SILENCED)
    attempts = []
    for _ in range(4):
        event = stage.flow.sample("login.failed", time=stage.clock.now().isoformat())
        stage.flow.ingest(event)
        attempts.append(len(subjects(stage, seconds=10)))
    over = [*subjects(stage, minutes=9, seconds=20), *subjects(stage, minutes=2), *subjects(stage, minutes=5)]

    assert attempts == [0, 0, 1, 0]
    assert len(over) == 1
    assert stage.counts("alert_group", "alert_member") == [0, 0]
    traces = stage.flow.query("SELECT count(*) FROM decision WHERE notified = 0")
    assert traces[0][0] >= 4


def test_a_message_that_could_not_be_sent_gives_way_to_the_next(make_flow: MakeFlow, tmp_path: Path) -> None:
    """The relay is away while two hosts go down and one comes back: one mail, with all of it."""
    stage = play(make_flow, tmp_path, SILENCED.replace("key: [host]", "key: [host]\n    group_by: []", 1))
    stage.feed("server.down", "web-1")
    stage.flow.services.sweep.run()
    stage.clock.advance(timedelta(minutes=1))
    stage.feed("server.down", "web-2")

    told = subjects(stage, minutes=1)

    assert len(told) == 1
    assert "2" in told[0]
    assert [row[1] for row in stage.flow.messages()] == ["superseded", "sent"]
    assert stage.flow.states() == ["superseded", "sent"]


def test_why_an_event_led_to_nothing_yet(stage: Stage) -> None:
    """Explaining it says which alert it is about, and when its group speaks."""
    stage.feed("server.down", "web-1")
    event = stage.flow.query("SELECT id FROM event")[0][0]
    with capture_logs():
        answer = command(stage.flow.services)("explain", str(event))

    assert "yes server-down: tracked: it begins" in answer.output
    assert "server-down: now firing since" in answer.output
    assert "has said nothing yet; this alert was not told; it looks again" in answer.output


CALLS = """
rules:
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    labels: {host: data.host}
    key: [host]
    first_after: 0s
    batch_every: 5m
    recipients: [{list: operators}]
    channels: [email]
    escalate: on-call
  - escalation: on-call
    steps:
      - {recipients: [{list: operators}], channels: [email], wait: 7m}
      - {recipients: [{list: on-call}], channels: [email], wait: 7m}
"""


def test_what_was_taken_and_begins_again_is_called_about_again(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Over and back before its group spoke: no news, but nobody has charge of it any more."""
    stage = play(make_flow, tmp_path, CALLS)
    stage.feed("server.down", "web-1")
    begun = subjects(stage)
    stage.acknowledger.group(stage.group(), "Ann", stage.clock.now())
    held = subjects(stage, minutes=6)
    stage.feed("server.recovered", "web-1")
    stage.clock.advance(timedelta(minutes=1))
    stage.feed("server.down", "web-1")

    again = [*subjects(stage, minutes=5), *subjects(stage, minutes=7)]

    assert (len(begun), held, len(again)) == (2, [], 2)


def test_what_begins_again_while_the_calls_pause_is_called_about(make_flow: MakeFlow, tmp_path: Path) -> None:
    """A step is due while all is over for a minute: the calls stop, and begin again with it."""
    stage = play(make_flow, tmp_path, CALLS)
    stage.feed("server.down", "web-1")
    subjects(stage)
    stage.clock.advance(timedelta(minutes=6, seconds=50))
    stage.feed("server.recovered", "web-1")
    paused = subjects(stage, seconds=20)
    stage.feed("server.down", "web-1")

    again = [*subjects(stage, minutes=3), *subjects(stage, minutes=7)]

    assert paused == []
    assert len(again) == 2


def test_what_a_weaker_source_no_longer_mutes_is_told(make_flow: MakeFlow, tmp_path: Path) -> None:
    """The source goes on firing, and does not match its rule any more."""
    rules = EVERYTHING.replace(
        '    source: rule="site-down"', '    source: severity="critical", rule="site-down"'
    )
    rules = rules.replace("    key: [site]", "    key: [site]\n    severity: data.severity")
    stage = play(make_flow, tmp_path, rules % ("03:00", "04:00"))
    stage.flow.ingest(strong(stage, "critical"))
    subjects(stage)
    stage.feed("server.down", "web-1")
    muted = subjects(stage, minutes=1)
    stage.flow.ingest(strong(stage, "warning"))

    told = subjects(stage, minutes=6)

    assert [one for one in muted if "web-1" in one] == []
    assert [one for one in told if "web-1" in one] != []


def strong(stage: Stage, severity: str) -> dict[str, object]:
    """Return an event: the network of a site is down, so severe."""
    event = site(stage, "network.disrupted", "berlin")
    return {**event, "data": {**event["data"], "severity": severity}}  # type: ignore[dict-item]


def test_a_clock_that_is_ahead_does_not_keep_an_alert_alive(stage: Stage) -> None:
    """An event an hour ahead of us is the newest word for a minute, and no longer."""
    event = stage.flow.sample("server.down", subject="web-1")
    ahead = (stage.clock.now() + timedelta(hours=1)).isoformat()
    stage.flow.ingest({**event, "time": ahead, "data": {**event["data"], "host": "web-1"}})
    subjects(stage, seconds=30)
    stage.clock.advance(timedelta(minutes=10))
    stage.feed("server.recovered", "web-1")

    assert stage.statuses() == {"web-1": "resolved"}


def test_who_was_told_of_one_alert_hears_of_its_end_and_of_no_others(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """One group for all: who was in charge on the first day does not hear of the second day's alert."""
    rules = SILENCED.replace("    key: [host]\n", "    key: [host]\n    group_by: []\n", 1)
    stage = play(make_flow, tmp_path, rules)
    stage.feed("server.down", "web-1")
    first = stage.told()
    services = stage.flow.services
    other = rules.replace("list: operators", "list: on-call")
    services.adopt_rules(compiled(stage, other))
    stage.clock.advance(timedelta(days=1))
    stage.feed("server.down", "web-2")
    second = stage.told(minutes=1)
    stage.feed("server.recovered", "web-2")
    over = stage.told(minutes=1)
    stage.feed("server.recovered", "web-1")
    end = stage.told(minutes=1)

    assert [addressees(one) for one in (first, second, over)] == [{"operators"}, {"on-call"}, {"on-call"}]
    assert addressees(end) == {"operators", "on-call"}


def compiled(stage: Stage, rules: str) -> RuleSet:
    """Return other rules, as a change of the files brings them."""
    services = stage.flow.services
    files = RuleFiles(folder=Path("rules"), texts={"rules.yaml": rules})
    types = [entry.type for entry in services.catalog]
    return compile_rules(files, types=types, lists=list(services.lists), templates=None)


def addressees(mails: Sequence[EmailMessage]) -> set[str]:
    """Return who got a mail, by the name before the @."""
    return {str(mail["To"]).rpartition("<")[2].partition("@")[0] for mail in mails}


def test_a_group_whose_rule_was_taken_out_is_let_go_of(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Another process may know the rule, for ten minutes; then neither group nor alert stays behind."""
    stage = play(make_flow, tmp_path, SILENCED)
    stage.feed("server.down", "web-1")
    stage.told()
    stage.feed("server.recovered", "web-1")
    stage.feed("server.down", "web-2")
    stage.flow.services.adopt_rules(compiled(stage, SILENCED.replace("alert: server-down", "alert: servers")))

    early = [*subjects(stage, minutes=2), *subjects(stage, minutes=9)]
    waiting = stage.counts("alert_group")
    late = subjects(stage, minutes=3)

    assert (early, late) == ([], [])
    assert (waiting, stage.counts("alert_group", "alert_member")) == ([2], [0, 0])
    assert set(stage.statuses().values()) == {"resolved"}
