"""What a preference page shows and what it changes: pure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.events import Json
from notifier.recipients.preference_sheet import (
    Changed,
    SheetRow,
    Standing,
    apply_rows,
    apply_settings,
    rows_of,
    settings_of,
)
from notifier.recipients.refusals import CategoryRules, Choices
from notifier.recipients.wishes_form import WishesRefused


def rules(name: str, **changes: bool) -> CategoryRules:
    """Return a category that may be refused."""
    fields = {"is_refusable": True, "has_essential": False, "is_opt_in": False, "has_operations": False}
    return CategoryRules(name=name, **{**fields, **changes})


RULES = {
    "news": rules("news"),
    "club": rules("club", is_opt_in=True),
    "law": rules("law", is_refusable=False, has_essential=True),
}
RECEIVED = [("news", "email"), ("news", "sms"), ("law", "email"), ("gone", "email")]
WAYS = st.frozensets(st.sampled_from(["email", "sms"]))
ENTRIES = st.frozensets(st.sampled_from(["news", "news:email", "news:sms", "club", "club:email", "club:sms"]))


def sheet(standing: Standing) -> list[SheetRow]:
    """Return the page of somebody who got news by mail and SMS."""
    return rows_of(RULES, standing, RECEIVED, category="news", has_phone=True)


def by_name(rows: list[SheetRow]) -> dict[str, frozenset[str]]:
    """Return the channels wanted of each category."""
    return {row.name: row.wanted for row in rows}


@settings(deadline=None, max_examples=150)
@given(
    opt_outs=ENTRIES,
    opt_ins=ENTRIES,
    mine=ENTRIES,
    unsubscribed=st.frozensets(st.just("news")),
    news=WAYS,
    club=WAYS,
)
def test_what_is_chosen_is_what_is_shown_next(
    *,
    opt_outs: frozenset[str],
    opt_ins: frozenset[str],
    mine: frozenset[str],
    unsubscribed: frozenset[str],
    news: frozenset[str],
    club: frozenset[str],
) -> None:
    """Whatever was set before, and by whichever way."""
    wishes: dict[str, Json] = {"opt_ins": sorted(opt_ins - mine), "opt_outs": sorted(mine)}
    before = Standing(
        choices=Choices(opt_outs=opt_outs, wishes=wishes), is_known=True, unsubscribed=unsubscribed
    )
    rows = sheet(before)

    done = apply_rows(RULES, before, rows, {"news": news, "club": club, "law": []})
    left = (unsubscribed | set(done.unsubscribe)) - set(done.resubscribe)
    after = sheet(Standing(choices=done.choices, is_known=True, unsubscribed=left))

    assert by_name(after) == {"news": news, "club": club, "law": frozenset({"email"})}
    if by_name(rows) == by_name(after):
        assert done == Changed(choices=before.choices)


def test_categories_nobody_knows_any_more_are_not_shown() -> None:
    """Nor, to who is in no address book, what they cannot have."""
    nobody = Standing(choices=Choices(wishes={}), is_known=False, unsubscribed=frozenset({"news"}))

    rows = sheet(nobody)

    assert [(row.name, row.channels, row.wanted, row.is_locked) for row in rows] == [
        ("law", ("email",), frozenset({"email"}), True),
        ("news", ("email",), frozenset(), False),
    ]


@pytest.mark.parametrize(
    ("wishes", "shown"),
    [
        ({}, {"quiet": "none", "least": "none", "digest": "none"}),
        (
            {"quiet": [{"from": "22:00", "until": "24:00"}], "at_least": {"*": "error"}},
            {"quiet": {"days": "all", "from": "22:00", "until": "00:00"}, "least": "error", "digest": "none"},
        ),
        (
            {
                "quiet": [{"weekdays": ["tuesday"], "from": "22:00", "until": "23:00"}],
                "at_least": {"it": "error"},
                "digests": {"*": {"gather": "accumulate", "every": "2h"}},
            },
            {"quiet": "own", "least": "own", "digest": "own"},
        ),
        ({"digests": {"*": {"gather": "accumulate", "every": "60m"}}}, {"digest": "hourly"}),
    ],
)
def test_settings_are_shown_as_far_as_the_page_can_say_them(
    wishes: dict[str, Json], shown: dict[str, Json]
) -> None:
    """The rest is "as set now", and stays where nothing else is chosen."""
    found = settings_of(wishes)
    kept = apply_settings(Changed(choices=Choices(wishes=wishes)), found)

    assert {name: found[name] for name in shown} == shown
    assert (dict(kept.choices.wishes), kept.fields) == (wishes, ())


def test_a_day_without_end_is_refused() -> None:
    """Nothing would ever be told."""
    with pytest.raises(WishesRefused):
        apply_settings(
            Changed(choices=Choices(wishes={})), {"quiet": {"days": "all", "from": "00:00", "until": "00:00"}}
        )
