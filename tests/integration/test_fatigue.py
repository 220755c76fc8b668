"""Nobody is told more than they can bear, and nothing is lost for it (O9); on real servers."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notifier.catalog import Catalog
from notifier.clock import VirtualClock
from notifier.crypto import blind_index
from notifier.decisions import Contact
from notifier.events import Urgency
from notifier.pipeline.erase import Eraser
from notifier.pipeline.incoming import Arrival
from notifier.recipients.wishes_form import read_wishes
from notifier.store.contacts import save_contact
from tests.contracts.smtp_server import At, Say
from tests.services import ROOT, Flow, MakeFlow

pytestmark = pytest.mark.servers

ANN, PHONE = "ann@example.org", "+4930123456"
ZONE = ZoneInfo("Asia/Kolkata")
"""Where clocks never change: the test says how the night goes, whatever day it runs on."""
NIGHTS = {"quiet": [{"from": "22:00", "until": "07:00"}]}

RULES = """
rules:
  - notify: news
    on: news.made
    recipients: [{data: to}]
    channels: [email]
    template: server/down
  - notify: loud
    on: news.urgent
    recipients: [{data: to}]
    channels: [email]
    template: server/down
    urgency: urgent
  - notify: insistent
    on: news.insistent
    recipients: [{data: to}]
    channels: [email]
    template: server/down
    ignore_quiet: true
  - notify: texts
    on: text.made
    recipients: [{data: to}]
    channels: [sms]
    template: server/down
  - notify: both
    on: both.made
    recipients: [{data: to, phone: phone}]
    channels: [email, sms]
    template: server/down
  - notify: letters
    on: letter.made
    recipients: [{data: to}]
    channels: [email]
    template: server/down
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    labels: {host: data.host}
    key: [host]
    severity: data.severity
    first_after: 0s
    batch_every: 1m
    recipients: [{list: operators}]
    channels: [email]
"""
TYPE = """
  - type: {type}
    title: {title}
    category: {category}
    class: operational
    audience: ["*"]
    schema: {{type: object}}
    sample_subject: x
    sample: {{}}
    {more}
"""
TYPES = (
    ("news.made", "News", "news", ""),
    ("news.urgent", "Loud news", "news", ""),
    ("news.insistent", "Insistent news", "news", ""),
    ("text.made", "Text", "texts", ""),
    ("both.made", "Both", "both", ""),
    ("letter.made", "Letter", "letters", "preference: opt_in"),
    ("server.down", "Server down", "it", ""),
    ("server.recovered", "Server recovered", "it", ""),
)


@cache
def server_down() -> Mapping[str, Any]:
    """Return what the template in use needs."""
    found = Catalog.load(ROOT / "config" / "events")
    return {**found["server.down"].sample, **found["server.recovered"].sample}


def evening() -> datetime:
    """Return the next moment at which it is 21:00 there: the database's own clock never passes it."""
    today = datetime.now(ZONE).replace(hour=21, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1)).astimezone(UTC)


class Stage:
    """A notifier whose clock is in the test's hand."""

    def __init__(self, make_flow: MakeFlow, folder: Path, **settings: Any) -> None:
        (folder / "rules").mkdir()
        (folder / "rules" / "rules.yaml").write_text(RULES)
        (folder / "events").mkdir()
        entries = "".join(
            TYPE.format(type=type_, title=title, category=category, more=more)
            for type_, title, category, more in TYPES
        )
        (folder / "events" / "types.yaml").write_text(f"events:{entries}")
        shipped = (ROOT / "config" / "events" / "notifier.yaml").read_text()
        (folder / "events" / "notifier.yaml").write_text(shipped)
        self.clock = VirtualClock(evening())
        lists = {"operators": [ANN]}
        self.flow: Flow = make_flow(clock=self.clock, config_dir=folder, lists=lists, **settings)

    def set(self, wishes: Mapping[str, Any], *, email: str = ANN, zone: str = ZONE.key) -> None:
        """Let a person set something."""
        services = self.flow.services
        key = ("default", blind_index(services.keyring.index_key, "default", email))
        person = services.persons.get([key])[key]
        read_wishes(wishes)
        contact = Contact(reference=email, email=email, zone=zone, wishes=wishes)
        with services.database.connection() as connection:
            save_contact(connection, services.keyring, "default", contact, person)

    def feed(self, type_: str, *subjects: str, to: str = ANN, **data: Any) -> None:
        """Let something happen that is told to somebody, now."""
        for subject in subjects:
            self.together({"type": type_, "subject": subject, "data": {"to": to, **data}})

    def together(self, *events: Mapping[str, Any]) -> None:
        """Let several things happen in one batch."""
        now = self.clock.now()
        arrivals = []
        for event in events:
            data = {**server_down(), "host": event["subject"], **event["data"]}
            payload = self.flow.payload({**event, "data": data, "time": now.isoformat()})
            arrivals.append(Arrival(payload=payload, lane=Urgency.NORMAL, at=now))
        self.flow.services.ingest.arrivals(arrivals)

    def wait(self, **span: float) -> list[str]:
        """Let time pass, then sweep and send; return the new mails' subjects."""
        before = len(self.flow.smtp.received)
        self.clock.advance(timedelta(**span))
        self.flow.services.sweep.run()
        self.flow.deliver()
        return [
            str(message_from_bytes(one.data, policy=policy.default)["Subject"])
            for one in self.flow.smtp.received[before:]
        ]

    def texts(self) -> list[str]:
        """Return what went out by SMS."""
        return [one["Body"] for one in self.flow.sms.received]

    def standing(self) -> list[tuple[str, str, str | None]]:
        """Return subject, state and reason of every notification, oldest first."""
        return [
            (row[0], row[1], row[2])
            for row in self.flow.query("SELECT subject, state, state_reason FROM notification ORDER BY id")
        ]

    def held(self) -> int:
        """Return how many messages wait."""
        count: int = self.flow.query("SELECT count(*) FROM held")[0][0]
        return count


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier with the shipped budgets."""
    return Stage(make_flow, tmp_path)


def states(stage: Stage) -> Sequence[str]:
    """Return the states alone."""
    return [state for _, state, _ in stage.standing()]


def test_who_set_nothing_is_told_at_once(stage: Stage) -> None:
    """At any hour, and nothing is written down that nobody asks for."""
    stage.feed("news.made", "a", "b")

    assert len(stage.wait(hours=3)) == 2
    assert (stage.held(), stage.flow.query("SELECT count(*) FROM told")) == (0, [(0,)])


def test_quiet_hours_hold_until_the_morning_and_tell_all_at_once(stage: Stage) -> None:
    """Across midnight, in the person's zone: three pieces of news are one mail at seven."""
    stage.set(NIGHTS)
    stage.wait(hours=1, minutes=30)  # 22:30 there
    stage.feed("news.made", "one", "two")
    stage.wait(hours=4)
    stage.feed("news.made", "three")
    waiting = stage.standing()
    early = stage.wait(hours=4, minutes=29, seconds=59)

    told = stage.wait(seconds=1)

    assert waiting == [
        (one, "pending", "quiet hours until 07:00 Asia/Kolkata") for one in ("one", "two", "three")
    ]
    assert (early, told) == ([], ["3 x News"])
    assert states(stage) == ["superseded"] * 3 + ["sent"]
    assert stage.standing()[0][2] == f"told in the digest {stage.flow.one_id('event')}"
    assert stage.wait(days=2) == []


def test_one_thing_alone_goes_out_as_itself_with_its_whole_time(stage: Stage) -> None:
    """With its own words; its deadline counts from the morning."""
    stage.set(NIGHTS)
    stage.wait(hours=2)
    stage.feed("news.made", "only")
    before = stage.flow.query("SELECT deadline, created_at FROM notification")[0]

    told = stage.wait(hours=8)

    after = stage.flow.query("SELECT deadline, settled_at IS NOT NULL, state FROM notification")[0]
    assert len(told) == 1
    assert "only" in told[0]
    assert after[0] - stage.clock.now() == before[0] - before[1]
    assert after[1:] == (True, "sent")


def test_what_is_urgent_or_says_so_is_told_at_night(stage: Stage) -> None:
    """By its urgency, or because its rule ignores quiet hours."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.urgent", "fire")
    stage.feed("news.insistent", "water")
    stage.feed("news.made", "earth")

    told = stage.wait(seconds=1)

    assert [("fire" in one, "water" in one) for one in sorted(told)] == [(True, False), (False, True)]
    assert stage.held() == 1


def test_the_sixth_sms_waits_and_all_that_wait_are_one(stage: Stage) -> None:
    """5 SMS in 15 minutes: of twelve events five are told each by itself, seven in one digest."""
    stage.feed("text.made", *(f"t{number}" for number in range(12)), to=PHONE)
    stage.wait(seconds=1)
    at_once, waiting = len(stage.texts()), stage.held()
    stage.wait(minutes=14, seconds=58)
    early = len(stage.texts())

    stage.wait(seconds=1)

    assert (at_once, waiting, early) == (5, 7, 5)
    assert len(stage.texts()) == 6
    assert "7 x Text" in stage.texts()[-1]
    assert stage.standing()[5][2] is not None
    assert states(stage) == ["sent"] * 5 + ["superseded"] * 7 + ["sent"]


def test_a_budget_counts_within_one_batch_and_over_batches(make_flow: MakeFlow, tmp_path: Path) -> None:
    """The settings set it; an empty one lifts the shipped one."""
    stage = Stage(make_flow, tmp_path, budgets={"email": ["2 in 1h"], "sms": []})
    stage.feed("text.made", *(f"t{number}" for number in range(8)), to=PHONE)
    stage.together(*({"type": "news.made", "subject": f"n{one}", "data": {"to": ANN}} for one in range(4)))

    first = stage.wait(seconds=1)
    later = stage.wait(hours=1)

    assert (len(first), len(stage.texts())) == (2, 8)
    assert later == ["2 x News"]


def test_a_least_severity_keeps_lesser_alerts_away(stage: Stage) -> None:
    """And the log says why."""
    stage.set({"at_least": {"it": "critical"}})
    stage.feed("server.down", "web-1", severity="warning")
    stage.feed("server.down", "web-2", severity="critical")

    told = stage.wait(seconds=1)

    reason = "severity warning is below critical, the least they want of it"
    assert len(told) == 1
    assert [(state, why) for _, state, why in stage.standing()] in (
        [("suppressed", reason), ("sent", None)],
        [("sent", None), ("suppressed", reason)],
    )
    assert ("email", "suppressed", reason) in stage.flow.messages()


def test_a_digest_gathers_a_category_and_leaves_the_others(stage: Stage) -> None:
    """Accumulated over an hour, from the first one on."""
    stage.set({"digests": {"news": {"gather": "accumulate", "every": "1h"}}})
    stage.feed("news.made", "a")
    stage.wait(minutes=30)
    stage.feed("news.made", "b")
    stage.feed("server.down", "web-1", severity="critical")

    others = stage.wait(seconds=1)
    digest = stage.wait(minutes=30)

    assert len(others) == 1
    assert "web-1" in others[0]
    assert digest == ["2 x News"]
    assert stage.wait(days=1) == []


def test_the_first_comes_at_once_and_the_rest_later(stage: Stage) -> None:
    """First now, then one mail for what came in the hour after it."""
    stage.set({"digests": {"news": {"gather": "first_now", "every": "1h"}}})
    stage.feed("news.made", "a")
    first = stage.wait(seconds=1)
    stage.feed("news.made", "b", "c")

    early, rest = stage.wait(minutes=58), stage.wait(minutes=2)
    stage.clock.advance(timedelta(hours=2))
    stage.feed("news.made", "d")

    assert (len(first), early, rest) == (1, [], ["2 x News"])
    assert len(stage.wait(seconds=1)) == 1


def test_a_type_to_opt_in_to_is_told_only_to_who_did(stage: Stage) -> None:
    """Others are recorded as left alone; and who changes their mind is left alone from then on."""
    stage.feed("letter.made", "x", to="bob@example.org")
    stage.set({"opt_ins": ["letters"]})
    stage.feed("letter.made", "y")
    told = stage.wait(seconds=1)
    stage.feed("letter.made", "z")
    stage.set({})

    assert len(told) == 1
    assert stage.wait(seconds=1) == []
    assert [(state, why) for _, state, why in stage.standing()] == [
        ("suppressed", "did not opt in to letters, which is told only to who did"),
        ("sent", None),
        ("suppressed", "the recipient did not opt in to this category, which is told only to who did"),
    ]


def test_an_alert_that_is_over_by_morning_is_told_to_nobody(stage: Stage) -> None:
    """Down and back while it waited; what still fires is told, and the end of what was told before too."""
    stage.feed("server.down", "told", severity="critical")
    before = stage.wait(seconds=1)
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("server.down", "gone", "there", severity="critical")
    stage.wait(minutes=2)
    stage.feed("server.recovered", "gone", "told", severity="critical")
    stage.wait(minutes=2)

    (morning,) = stage.wait(hours=8)

    mail = message_from_bytes(stage.flow.smtp.received[-1].data, policy=policy.default)
    body = mail.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    assert len(before) == 1
    assert morning.startswith("2 ")
    assert ("there" in text, "told" in text, "gone" in text) == (True, True, False)
    gone = {why for subject, state, why in stage.standing() if subject == "gone"}
    assert gone == {
        "superseded: a later message of the same alerts waited with it",
        "resolved while it waited: nobody was told that it fired",
    }


def test_what_was_refused_meanwhile_is_left_out(stage: Stage) -> None:
    """The gate is asked of each, as if it stood alone."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", "a")
    stage.feed("server.down", "web-1", severity="critical")
    stage.wait(seconds=1)
    stage.set({**NIGHTS, "opt_outs": ["news"]})

    told = stage.wait(hours=8)

    assert len(told) == 1
    assert "web-1" in told[0]
    assert stage.standing()[0] == ("a", "suppressed", "the recipient opted out of this category")


def test_a_budget_that_is_used_up_in_the_morning_holds_the_digest_longer(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """The reason says what it waits for now."""
    stage = Stage(make_flow, tmp_path, budgets={"email": ["1 in 30m"]})
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", "a", "b")
    stage.wait(hours=6, minutes=50)
    stage.feed("news.urgent", "fire")

    at_seven = stage.wait(minutes=11)
    later = stage.wait(minutes=30)

    assert len(at_seven) == 1
    assert "fire" in at_seven[0]
    assert later == ["2 x News"]


def test_a_fallback_in_the_night_waits_for_the_morning(stage: Stage) -> None:
    """The mail is refused at eleven: the SMS that follows would wake the person."""
    stage.set(NIGHTS)
    stage.feed("both.made", "x", phone=PHONE)
    stage.flow.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))
    stage.wait(hours=2)
    waiting = stage.flow.messages()

    stage.wait(hours=8)

    assert [(channel, status) for channel, status, _ in waiting] == [("email", "failed"), ("sms", "deferred")]
    assert waiting[1][2] == "quiet hours until 07:00 Asia/Kolkata"
    assert len(stage.texts()) == 1
    assert states(stage) == ["sent"]


def test_who_is_erased_leaves_nothing_that_waits(stage: Stage) -> None:
    """Wishes, what is held and when they were told go with the person."""
    stage.set({**NIGHTS, "digests": {"texts": {"gather": "accumulate", "every": "1h"}}})
    stage.feed("text.made", "x", to=PHONE)
    stage.wait(hours=3)
    stage.feed("news.made", "a", "b")
    services = stage.flow.services

    done = Eraser(services.database, services.keyring, services.catalog).erase("default", ANN)

    assert done is not None
    assert (done.messages, done.messages_cancelled, done.contacts) == (2, 2, 1)
    assert stage.held() == 0
    assert stage.flow.query("SELECT count(*) FROM contact") == [(0,)]
    assert stage.wait(hours=10) == []
    assert {why for _, state, why in stage.standing() if state == "suppressed"} == {
        "the person's data was erased"
    }


def test_sweeps_that_race_tell_once(stage: Stage) -> None:
    """Four sweeps at the same moment: one digest, and every message accounted for."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", *(f"n{number}" for number in range(30)))
    stage.clock.advance(timedelta(hours=9))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: stage.flow.services.releases.run(), range(4)))

    assert stage.wait(seconds=1) == ["30 x News"]
    assert states(stage) == ["superseded"] * 30 + ["sent"]
    assert stage.held() == 0


def test_a_digest_shows_twenty_and_counts_the_rest(stage: Stage) -> None:
    """The newest first."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    for number in range(23):
        stage.feed("news.made", f"n{number:02}")
        stage.clock.advance(timedelta(seconds=1))

    stage.wait(hours=9)

    mail = message_from_bytes(stage.flow.smtp.received[-1].data, policy=policy.default)
    body = mail.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    assert text.index("n22") < text.index("n03")
    assert "n02" not in text
    assert "And 3 more" in text


def test_a_release_that_dies_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that follows from a bin is one transaction: what stumbles at its last step is told later, once."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", "a", "b")
    from notifier.store import held

    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(held, "drop_held", dies)
        stumbled = stage.wait(hours=9)
    waiting = stage.held(), states(stage)

    told = stage.wait(minutes=2)

    assert (stumbled, waiting) == ([], (2, ["pending", "pending"]))
    assert told == ["2 x News"]


def test_two_intakes_at_once_keep_the_budget(stage: Stage) -> None:
    """Whoever counts a person's messages waits for who does already."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: stage.feed("text.made", name, to=PHONE), "abcdefghijkl"))

    stage.wait(seconds=1)

    assert len(stage.texts()) == 5
    assert stage.held() == 7


def test_what_no_budget_remembers_is_forgotten(stage: Stage) -> None:
    """The newest of each kind stays for the digests, a month at most."""
    stage.feed("text.made", "a", "b", to=PHONE)
    counted = stage.flow.query("SELECT count(*) FROM told")
    services = stage.flow.services

    def forgotten(**span: float) -> list[tuple[Any, ...]]:
        stage.clock.advance(timedelta(**span))
        with services.database.transaction() as connection:
            services.releases.forget(connection)
        return stage.flow.query("SELECT count(*) FROM told")

    assert counted == [(2,)]
    assert forgotten(hours=4) == [(1,)]
    assert forgotten(days=33) == [(0,)]
