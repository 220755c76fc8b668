"""Rules are read strictly: what is wrong is refused with file, line and mend."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from notifier.documents import ConfigErrors
from notifier.errors import ConfigError
from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.rules.load import read_rules
from notifier.rules.ruleset import NotifyRule, RuleSet, StageRule
from notifier.rules.schema import rules_json_schema

ROOT = Path(__file__).parents[2]
TYPES = (
    "order.shipped",
    "order.delivered",
    "returns.requested",
    "returns.approved",
    "returns.rejected",
    "returns.refunded",
    "returns.closed",
    "returns.stuck",
    "notifier.digest.failures",
)


def read(
    folder: Path,
    *texts: str,
    templates: Callable[[str], bool] | None = None,
    lists: tuple[str, ...] = ("operators",),
) -> RuleSet:
    """Write each text as a file of rules and load them."""
    for index, text in enumerate(texts):
        (folder / f"{index}.yaml").write_text(text)
    return read_rules(folder, types=TYPES, templates=templates, lists=lists)


def notify(**keys: object) -> str:
    """Return a file with one rule; a key set to None is left out."""
    rule = {"notify": "a-rule", "on": "order.shipped", "recipients": ["to"], **keys}
    return yaml.safe_dump(
        {"rules": [{key: item for key, item in rule.items() if item is not None}]}, sort_keys=False
    )


def journey(stages: list[dict[str, object]], **keys: object) -> str:
    """Return a file with one journey."""
    return yaml.safe_dump({"rules": [{"journey": "returns", "stages": stages, **keys}]}, sort_keys=False)


def schedule(**keys: object) -> str:
    """Return a file with one schedule."""
    rule = {"schedule": "daily", "cron": "0 8 * * *", "event": "notifier.digest.failures", **keys}
    return yaml.safe_dump({"rules": [rule]}, sort_keys=False)


def errors_of(folder: Path, *texts: str, templates: Callable[[str], bool] | None = None) -> list[ConfigError]:
    """Return what is wrong with the rules."""
    with pytest.raises(ConfigErrors) as caught:
        read(folder, *texts, templates=templates)
    return list(caught.value.errors)


def guide_examples() -> list[str]:
    """Return the YAML examples of the how-to."""
    text = (ROOT / "docs/how-to/rules.md").read_text()
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def test_the_examples_of_the_guide_load(tmp_path: Path) -> None:
    """What the how-to shows is what the loader takes, one example of each kind."""
    rules = read(tmp_path, *guide_examples())

    assert [rule.name for rule in rules] == [
        "order-shipped",
        "returns:requested",
        "returns:approved",
        "returns:rejected",
        "returns:refunded",
        "returns:closed",
        "return-stuck",
    ]
    assert [one.name for one in rules.schedules] == ["failure-digest"]


def test_a_notify_rule_keeps_every_key(tmp_path: Path) -> None:
    """Nothing that is written gets lost on the way."""
    rules = read(tmp_path, guide_examples()[0].replace("deadline: 2d", "deadline: 2d\n    urgency: urgent"))

    (rule,) = rules
    assert isinstance(rule, NotifyRule)
    assert rule.telling.condition is not None
    assert rule.telling.condition.source == "data.total > 0"
    assert rule.telling.deadline == timedelta(days=2)
    assert rule.telling.urgency is Urgency.URGENT
    assert [(step.channel, step.within) for step in rule.telling.steps] == [
        (ChannelName.EMAIL, timedelta(minutes=10)),
        (ChannelName.SMS, None),
        (ChannelName.PORTAL, None),
    ]
    assert len(rule.telling.sources) == 4


@pytest.mark.parametrize(
    "channels",
    [
        ["email", {"sms": {"within": "5m"}}],
        [{"email": None}, {"sms": {"within": "5m"}}],
        {"email": {}, "sms": {"within": "5m"}},
        {"email": None, "sms": {"within": "5m"}},
    ],
)
def test_channels_may_be_written_as_a_list_or_a_mapping(tmp_path: Path, channels: object) -> None:
    """The forms mean the same plan."""
    (rule,) = read(tmp_path, notify(channels=channels))

    plan = [(step.channel.value, step.within) for step in rule.telling.steps]

    assert plan == [("email", None), ("sms", timedelta(minutes=5))]


def test_a_rule_without_channels_goes_by_email(tmp_path: Path) -> None:
    """The default plan is email alone."""
    (rule,) = read(tmp_path, notify())

    assert [step.channel.value for step in rule.telling.steps] == ["email"]


def test_stage_keys_win_over_the_defaults_of_their_journey(tmp_path: Path) -> None:
    """A stage says only what differs."""
    text = journey(
        [
            {"stage": "requested", "on": "returns.requested"},
            {"stage": "approved", "on": "returns.approved", "channels": ["sms"], "reason": "own"},
        ],
        defaults={"recipients": ["to"], "channels": ["portal"], "reason": "default", "urgency": "bulk"},
    )

    first, second = read(tmp_path, text)

    assert [step.channel.value for step in first.telling.steps] == ["portal"]
    assert (first.telling.reason, first.telling.urgency) == ("default", Urgency.BULK)
    assert [step.channel.value for step in second.telling.steps] == ["sms"]
    assert (second.telling.reason, second.telling.urgency) == ("own", Urgency.BULK)


def test_ranks_count_up_and_can_be_set(tmp_path: Path) -> None:
    """A rank makes alternatives; the count goes on from it."""
    text = journey(
        [
            {"stage": "requested", "on": "returns.requested"},
            {"stage": "approved", "on": "returns.approved"},
            {"stage": "rejected", "on": "returns.rejected", "rank": 1},
            {"stage": "refunded", "on": "returns.refunded"},
        ]
    )

    rules = read(tmp_path, text)

    assert [rule.rank for rule in rules if isinstance(rule, StageRule)] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (notify(chanels=["email"]), 6, "rules[0].chanels: unknown key (mend: did you mean 'channels'?)"),
        (notify(on="order.shiped"), 3, "'order.shiped' (mend: did you mean 'order.shipped'?)"),
        (notify(on="warehouse.empty"), 3, "(mend: add it to config/events)"),
        (notify(on="invoice.*"), 3, "'invoice.*' matches no event type"),
        (notify(on=[]), 3, "rules[0].on"),
        (notify(on=5), 3, "rules[0].on"),
        (notify(on=None), 2, "'on' is required"),
        (notify(recipients=[{"list": "operator"}]), 5, "list 'operator' (mend: did you mean 'operators'?)"),
        (notify(recipients=[{"list": "xyz"}]), 5, "add it to `lists:` in notifier.yaml"),
        (notify(recipients=[{"mail": "x"}]), 5, "must be `to`, or an entry with `data:`, `list:` or"),
        (notify(recipients=[7]), 5, "must be `to`, or an entry with"),
        (notify(recipients=[{"data": "a b"}]), 5, "rules[0].recipients[0]"),
        (notify(recipients=None), 2, "'recipients' is required (mend: say who is told)"),
        (notify(recipients=[]), 2, "'recipients' is required"),
        (notify(channels=["pigeon"]), 7, "rules[0].channels[0]: Input should be 'email', 'sms'"),
        (notify(channels=["email", "email"]), 2, "the channel email stands twice"),
        (notify(channels=[["email"]]), 6, "rules[0].channels: write each as a name"),
        (notify(channels=[{"email": 5}]), 6, "rules[0].channels: write each as a name"),
        (notify(channels=5), 6, "rules[0].channels"),
        (notify(channels=[]), 6, "rules[0].channels"),
        (notify(channels={"email": {"within": "soon"}}), 8, "channels.email.within: must be a duration"),
        (notify(channels=[{"email": {"within": "soon"}}]), 8, "must be a duration such as"),
        (notify(deadline="0s"), 6, "rules[0].deadline"),
        (notify(urgency="panic"), 6, "rules[0].urgency: Input should be 'urgent', 'normal' or 'bulk'"),
        (notify(notify="No Name"), 2, "rules[0].notify"),
        (notify(template="../x"), 6, "rules[0].template"),
        (notify(when="data.total >"), 6, "not a CEL expression: column 13"),
        (notify(when="bogus > 1"), 6, "unknown variable 'bogus'; known here: data, event"),
        (notify(when="journey.stage == 'a'"), 6, "unknown variable 'journey'"),
        (notify(when="now() > event.time"), 6, "unknown function 'now'"),
        ("rules:\n  - note: x\n", 2, "not a rule (mend: start it with exactly one of `notify: name`"),
        ("rules:\n  - notify: a\n    journey: b\n", 2, "not a rule"),
        ("rules:\n  - text\n", 2, "not a rule"),
        ("rules: text\n", 1, "must be a list"),
        ("- notify: a\n", 1, "must be a mapping (mend: start the file with `rules:`)"),
        ("rule: []\n", 1, "rule: unknown key"),
        (schedule(zone="Europe/Berln"), 5, "unknown time zone 'Europe/Berln'"),
        (schedule(zone="../etc"), 5, "unknown time zone"),
        (schedule(cron="0 8 * *"), 3, "not a cron expression: Wrong number of fields (mend: minute, hour"),
        (schedule(cron="0 8 31 2 *"), 3, "not a cron expression: Bad day-of-month"),
        (schedule(event="notifier.digest"), 4, "unknown event type 'notifier.digest'"),
        (schedule(data={"day": date(2026, 1, 1)}), 5, "holds a value that is not JSON (mend: quote dates)"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_refused_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    """Every mistake names the file, the line, the field, and where possible the mend."""
    (error,) = errors_of(tmp_path, text)

    assert error.line == line
    assert str(error).startswith(f"{tmp_path / '0.yaml'}:{line}: ")
    assert words in str(error)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ({"terminal": True}, "a stage of rank 1 is not before it (mend: put terminal stages last"),
        ({"stage": "second"}, "the stage 'second' stands twice"),
        (
            {"stuck": {"after": "2d", "event": "returns.stuk"}},
            "stuck.event: unknown event type 'returns.stuk'",
        ),
        ({"stuck": {"after": "2d"}}, "'event' is required"),
        ({"rank": -1}, "stages[0].rank"),
        ({"on": "retrns.requested"}, "stages[0].on: unknown event type"),
        ({"when": "journey.stag >"}, "stages[0].when: not a CEL expression"),
    ],
)
def test_a_wrong_stage_is_refused(tmp_path: Path, stage: dict[str, object], words: str) -> None:
    """Journeys are checked as a whole: order, names, timers."""
    first: dict[str, object] = {"stage": "first", "on": "returns.requested", **stage}

    (error,) = errors_of(tmp_path, journey([first, {"stage": "second", "on": "returns.approved"}]))

    assert words in str(error)


def test_a_terminal_stage_cannot_be_stuck(tmp_path: Path) -> None:
    """Nothing is waited for when a journey has ended."""
    stuck = {"after": "1d", "event": "returns.stuck"}

    (error,) = errors_of(
        tmp_path, journey([{"stage": "closed", "on": "returns.closed", "terminal": True, "stuck": stuck}])
    )

    assert "a journey that has ended cannot be stuck" in str(error)


def test_all_errors_of_all_files_come_at_once(tmp_path: Path) -> None:
    """One run of the check shows everything; a default that fails in each stage is named once."""
    stages: list[dict[str, object]] = [
        {"stage": "requested", "on": "returns.requested"},
        {"stage": "approved", "on": "returns.approved"},
    ]
    broken = {"recipients": [{"list": "nobody"}], "when": "data.x =="}

    found = errors_of(tmp_path, notify(on="a.b", deadline="2d"), notify(), journey(stages, defaults=broken))

    assert [Path(str(error.file)).name for error in found] == ["0.yaml", "1.yaml", "2.yaml", "2.yaml"]
    assert f"the rule 'a-rule' stands twice, first in {tmp_path / '0.yaml'}:2" in str(found[1])
    assert {error.field for error in found[2:]} == {
        "rules[0].defaults.when",
        "rules[0].defaults.recipients[0].list",
    }


def test_a_schedule_may_share_the_name_of_the_rule_for_its_event(tmp_path: Path) -> None:
    """They are told apart by their kind; two schedules of one name are not."""
    digest = notify(notify="daily", on="notifier.digest.failures")
    assert len(read(tmp_path, digest, schedule())) == 1

    (error,) = errors_of(tmp_path, schedule(), schedule())

    assert "the rule 'daily' stands twice" in str(error)


def test_missing_templates_are_named(tmp_path: Path) -> None:
    """The named template, or the default one of every type a rule matches, must exist."""
    glob = notify(on="order.*")
    named = notify(notify="other", template="order/gone")
    digest = notify(notify="digest", on="notifier.digest.failures")

    found = errors_of(tmp_path, glob, named, digest, templates={"order/shipped"}.__contains__)

    assert [(error.field, error.problem) for error in found] == [
        ("rules[0].on", "there is no template 'order/delivered'"),
        ("rules[0].template", "there is no template 'order/gone'"),
        ("rules[0].on", "there is no template 'notifier/digest_failures'"),
    ]
    assert found[0].mend == "add the folder templates/order/delivered"


def test_a_stage_that_tells_nobody_needs_no_template(tmp_path: Path) -> None:
    """It only moves the subject on."""
    rules = read(
        tmp_path, journey([{"stage": "requested", "on": "returns.requested"}]), templates=lambda _name: False
    )

    assert len(rules) == 1


def test_an_empty_file_holds_no_rules(tmp_path: Path) -> None:
    """Neither does a list that was commented out."""
    assert len(read(tmp_path, "", "rules:\n  # nothing\n")) == 0


def test_the_hash_follows_what_rules_say_and_not_how(tmp_path: Path) -> None:
    """Comments, layout, the order of keys and rules do not change it; a deadline does."""
    folders = [tmp_path / str(index) for index in range(3)]
    for folder in folders:
        folder.mkdir()
    one = read(folders[0], notify(deadline="60m"), schedule())
    same = read(
        folders[1],
        "# words\nrules:\n  - recipients: [to]\n    deadline: 1h\n    on: [order.shipped]\n"
        "    notify: a-rule\n",
        schedule(),
    )
    other = read(folders[2], notify(deadline="61m"), schedule())

    assert one.rules_hash == same.rules_hash
    assert re.fullmatch(r"[0-9a-f]{16}", one.rules_hash)
    assert other.rules_hash != one.rules_hash


def shipped() -> list[Path]:
    """Return the rule files that come with notifier."""
    return sorted((ROOT / "config/rules").glob("*.yaml"))


def test_shipped_rules_and_examples_fit_the_schema_for_editors() -> None:
    """What an editor accepts is what the loader accepts."""
    validator = jsonschema_rs.Draft202012Validator(rules_json_schema())
    texts = [file.read_text() for file in shipped()] + guide_examples()

    for text in texts:
        # An editor reads YAML 1.2, where `on` is a text.
        document = yaml.safe_load(re.sub(r"\bon:", "'on':", text))

        assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    "rule",
    [
        {"notify": "x", "on": "a.b", "recipients": ["from"]},
        {"notify": "x", "on": "a.b", "recipients": ["to"], "channels": ["pigeon"]},
        {"notify": "x", "on": "a.b", "recipients": ["to"], "channels": {"email": {"in": "5m"}}},
        {"notify": "x", "on": "a.b", "recipients": ["to"], "deadline": "5 minutes"},
        {"notify": "x", "on": "a.b", "recipients": ["to"], "whem": "true"},
        {"journey": "x", "stages": []},
        {"schedule": "x", "cron": "* * * * *"},
    ],
)
def test_the_schema_for_editors_refuses_mistakes(rule: dict[str, object]) -> None:
    """A typo is underlined while it is typed."""
    validator = jsonschema_rs.Draft202012Validator(rules_json_schema())

    assert not validator.is_valid({"rules": [rule]})
