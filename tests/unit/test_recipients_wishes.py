"""What a person sets is read strictly, written as it was read, and every mistake has its field."""

from datetime import time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.messages import ChannelName
from notifier.recipients.digests import DigestPolicy, Gather
from notifier.recipients.wishes import NO_WISHES, SEVERITIES, QuietHours, Wishes, fills_the_week
from notifier.recipients.wishes_form import WishesRefused, read_wishes, write_wishes

FULL: dict[str, Any] = {
    "opt_ins": ["alerts:sms", "news"],
    "opt_outs": ["billing:portal", "orders"],
    "quiet": [
        {"from": "22:00", "until": "07:00"},
        {"weekdays": ["saturday", "sunday"], "from": "00:00", "until": "24:00"},
    ],
    "at_least": {"*": "warning", "it": "error"},
    "digests": {
        "*": {"gather": "accumulate", "at": ["08:00", "17:30"], "weekdays": ["monday", "friday"]},
        "it": {"gather": "first_now", "every": "1h30m"},
        "orders": {"gather": "none"},
    },
}


def test_everything_a_person_can_set_is_read() -> None:
    """Each part becomes a value."""
    wishes = read_wishes(FULL)

    assert wishes == Wishes(
        opt_ins=frozenset({"alerts:sms", "news"}),
        opt_outs=frozenset({"billing:portal", "orders"}),
        quiet=(
            QuietHours(start=time(22), until=time(7)),
            QuietHours(start=time(0), until=time(0), weekdays=frozenset({5, 6})),
        ),
        at_least={"*": "warning", "it": "error"},
        digests={
            "*": DigestPolicy(
                gather=Gather.ACCUMULATE, at=(time(8), time(17, 30)), weekdays=frozenset({0, 4})
            ),
            "it": DigestPolicy(gather=Gather.FIRST_NOW, every=timedelta(minutes=90)),
            "orders": DigestPolicy(gather=Gather.NONE),
        },
    )


def test_what_is_read_is_written_the_same() -> None:
    """And nothing is nothing."""
    assert write_wishes(read_wishes(FULL)) == FULL
    assert read_wishes({}) == NO_WISHES
    assert write_wishes(NO_WISHES) == {}


def test_short_forms_are_read() -> None:
    """Ranges of days, also over the end of the week; times twice are one."""
    wishes = read_wishes(
        {
            "quiet": [{"weekdays": ["Friday:monday"], "from": "12:00", "until": "13:00"}],
            "digests": {"it": {"gather": "accumulate", "at": ["17:00", "08:00", "17:00"]}},
        }
    )

    assert wishes.quiet[0].weekdays == frozenset({4, 5, 6, 0})
    assert wishes.digests["it"].at == (time(8), time(17))


@pytest.mark.parametrize(
    ("value", "field", "words"),
    [
        ([], "", "must be an object"),
        (None, "", "must be an object"),
        ({"quite": []}, "quite", "did you mean quiet"),
        ({"zone": "UTC"}, "zone", "unknown key; known: opt_ins"),
        ({"opt_ins": "news"}, "opt_ins", "list"),
        ({"opt_ins": ["News"]}, "opt_ins[0]", "must be a category, or category:channel"),
        ({"opt_outs": ["news", "news:fax"]}, "opt_outs[1]", "email, sms, portal, console"),
        ({"opt_outs": ["news\n"]}, "opt_outs[0]", "must be a category"),
        ({"opt_outs": [7]}, "opt_outs[0]", "must be a text"),
        ({"opt_ins": ["a", "b"], "opt_outs": ["b"]}, "opt_ins[1]", "also opted out"),
        ({"quiet": {"from": "22:00", "until": "07:00"}}, "quiet", "must be a list"),
        ({"quiet": ["22:00-07:00"]}, "quiet[0]", "must be an object"),
        ({"quiet": [{"from": "22:00", "until": "07:00"}] * 51}, "quiet", "at most 50"),
        ({"digests": []}, "digests", "must be an object"),
        ({"digests": {"it": "daily"}}, "digests.it", "must be an object"),
        ({"at_least": None}, "at_least", "must be an object"),
        ({"quiet": [{"from": "22:00"}]}, "quiet[0].until", "required"),
        ({"quiet": [{"until": "07:00"}]}, "quiet[0].from", "required"),
        ({"quiet": [{"from": "22:00", "until": "07:00", "start": "22:00"}]}, "quiet[0].start",
         "unknown key; known: weekdays, from, until"),
        ({"quiet": [{"from": "22:00", "until": "07:00", "weekday": []}]}, "quiet[0].weekday",
         "did you mean weekdays"),
        ({"quiet": [{"from": "24:00", "until": "07:00"}]}, "quiet[0].from", "from 00:00 to 23:59"),
        ({"quiet": [{"from": "7:00", "until": "09:00"}]}, "quiet[0].from", "such as 07:30"),
        ({"quiet": [{"from": 1320, "until": "07:00"}]}, "quiet[0].from", "must be a text"),
        ({"quiet": [{"from": "22:00", "until": "25:00"}]}, "quiet[0].until", "time of day"),
        ({"quiet": [{"from": "22:00", "until": "22:00"}]}, "quiet[0]", "are the same"),
        ({"quiet": [{"from": "22:00", "until": "07:00", "weekdays": []}]}, "quiet[0].weekdays", "at least one"),
        ({"quiet": [{"from": "22:00", "until": "07:00", "weekdays": ["mo"]}]}, "quiet[0].weekdays", "weekday"),
        ({"quiet": [{"from": "22:00", "until": "07:00", "weekdays": "monday"}]}, "quiet[0].weekdays", "list"),
        ({"quiet": [{"from": "00:00", "until": "24:00"}]}, "quiet", "no moment of the week"),
        ({"at_least": {"it": "fatal"}}, "at_least.it", "'critical'"),
        ({"at_least": {"I T": "error"}}, "at_least.I T", "must be a category or *"),
        ({"digests": {"it": {"gather": "sometimes"}}}, "digests.it.gather", "'first_now'"),
        ({"digests": {"it": {"every": "1h"}}}, "digests.it.gather", "required"),
        ({"digests": {"it": {"gather": "accumulate"}}}, "digests.it", "exactly one of every and at"),
        ({"digests": {"it": {"gather": "accumulate", "every": "1h", "at": ["08:00"]}}}, "digests.it",
         "exactly one"),
        ({"digests": {"it": {"gather": "accumulate", "every": "hourly"}}}, "digests.it.every", "90s"),
        ({"digests": {"it": {"gather": "accumulate", "every": "10s"}}}, "digests.it.every", "from 1m to 31d"),
        ({"digests": {"it": {"gather": "accumulate", "every": "60d"}}}, "digests.it.every", "from 1m to 31d"),
        ({"digests": {"it": {"gather": "accumulate", "at": ["8"]}}}, "digests.it.at[0]", "such as 07:30"),
        ({"digests": {"it": {"gather": "accumulate", "every": "1h", "weekdays": ["monday"]}}}, "digests.it",
         "weekdays go with at"),
        ({"digests": {"it": {"gather": "none", "every": "1h"}}}, "digests.it", "no times"),
        ({"digests": {"it": {"gather": "none", "cron": "* * * * *"}}}, "digests.it.cron", "known: gather"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_field(value: object, field: str, words: str) -> None:
    """One problem, its field, and what would be right."""
    with pytest.raises(WishesRefused) as refused:
        read_wishes(value)

    assert [where for where, _ in refused.value.problems] == [field]
    assert words in refused.value.problems[0][1]
    assert words in str(refused.value)


def test_all_mistakes_are_named_at_once() -> None:
    """One round of mending, not five."""
    with pytest.raises(WishesRefused) as refused:
        read_wishes({"at_least": {"it": "fatal"}, "quiet": [{"from": "x"}], "extra": 1})

    assert {where for where, _ in refused.value.problems} == {
        "at_least.it",
        "quiet[0].from",
        "quiet[0].until",
        "extra",
    }


def test_categories_are_those_of_the_catalogue() -> None:
    """Where the caller knows them, a name nobody sends is a mistake."""
    with pytest.raises(WishesRefused) as refused:
        read_wishes(FULL, categories=["it", "news", "orders"])

    problem = "no such category; known: it, news, orders"
    assert refused.value.problems == (("opt_ins[0]", problem), ("opt_outs[0]", problem))
    assert read_wishes(FULL, categories=["it", "news", "orders", "alerts", "billing"]) == read_wishes(FULL)


def test_an_unknown_category_has_no_severity_and_no_digest() -> None:
    """The keys of mappings are checked too; the asterisk is no category."""
    value = {"at_least": {"*": "error", "itt": "error"}, "digests": {"itt": {"gather": "none"}}}

    with pytest.raises(WishesRefused) as refused:
        read_wishes(value, categories=["it"])

    assert [where for where, _ in refused.value.problems] == ["at_least.itt", "digests.itt"]


def test_no_value_is_repeated_in_an_error() -> None:
    """It may be private; and a key cannot break the line."""
    with pytest.raises(WishesRefused) as refused:
        read_wishes({"opt_outs": ["ann@example.com"], "at_least": {"it": "ann@example.com"}, "a\nb": 1})

    assert "ann@" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("category", "least", "digest"),
    [("it", "error", Gather.FIRST_NOW), ("news", "warning", Gather.ACCUMULATE), ("orders", "warning", None)],
)
def test_a_category_of_its_own_goes_before_the_asterisk(
    category: str, least: str, digest: Gather | None
) -> None:
    """And ``none`` takes a category out of the digest of all."""
    wishes = read_wishes(FULL)
    policy = wishes.digest_of(category)

    assert wishes.least_severity(category) == least
    assert (policy.gather if policy else None) is digest


@pytest.mark.parametrize(
    ("category", "channel", "expected"),
    [
        ("news", ChannelName.SMS, True),
        ("alerts", ChannelName.SMS, True),
        ("alerts", ChannelName.EMAIL, False),
        ("orders", ChannelName.EMAIL, False),
    ],
)
def test_consent_is_of_a_category_or_one_of_its_channels(
    category: str, channel: ChannelName, expected: bool  # noqa: FBT001 - a table
) -> None:  # fmt: skip
    """Asked for by SMS is not asked for by mail."""
    assert read_wishes(FULL).asked_for(category, channel) is expected


NAMES = st.sampled_from(["it", "news", "orders", "a-b_c"])
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
DAYS = st.frozensets(st.integers(0, 6), min_size=1)
QUIET = st.builds(QuietHours, start=TIMES, until=TIMES, weekdays=DAYS).filter(
    lambda one: one.start != one.until or one.start == time(0)
)
DIGESTS = st.one_of(
    st.just(DigestPolicy(gather=Gather.NONE)),
    st.builds(
        lambda gather, minutes: DigestPolicy(gather=gather, every=timedelta(minutes=minutes)),
        st.sampled_from([Gather.ACCUMULATE, Gather.FIRST_NOW]),
        st.integers(1, 40_000),
    ),
    st.builds(
        lambda times, days: DigestPolicy(gather=Gather.ACCUMULATE, at=tuple(sorted(times)), weekdays=days),
        st.sets(TIMES, min_size=1, max_size=3),
        DAYS,
    ),
)


@settings(deadline=None, max_examples=60)
@given(
    ins=st.frozensets(NAMES),
    outs=st.frozensets(NAMES.map("{}:sms".format)),
    quiet=st.lists(QUIET, max_size=3).filter(lambda quiet: not fills_the_week(quiet)),
    at_least=st.dictionaries(NAMES | st.just("*"), st.sampled_from(SEVERITIES)),
    digests=st.dictionaries(NAMES | st.just("*"), DIGESTS),
)
def test_whatever_can_be_set_survives_the_store(
    ins: frozenset[str],
    outs: frozenset[str],
    quiet: list[QuietHours],
    at_least: dict[str, str],
    digests: dict[str, DigestPolicy],
) -> None:
    """Written and read again, it is the same."""
    wishes = Wishes(opt_ins=ins, opt_outs=outs, quiet=tuple(quiet), at_least=at_least, digests=digests)

    assert read_wishes(write_wishes(wishes)) == wishes
