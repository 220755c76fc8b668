"""The ledger itself: it agrees with sound books, and names each way in which others are not."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.ledger import Allowance, Ledger, Promises, Rows, Way
from tests.faults.recording_sink import Mail

pytestmark = pytest.mark.faults

SOUND = Ledger(
    promises=Promises(
        source="s", asked={"a": Way.STREAM}, accepted={"a": Way.STREAM}, handed_over_at={"a": 1.0}
    ),
    rows=Rows(
        events=Counter(a=1), buried=frozenset(), notified={"a": 1}, states={"a": ["sent"]},
        messages={"m": "a"}, work=0, unknown=Counter(),
    ),
    mails=[Mail("a", "m", "deliver")],
)  # fmt: skip


def test_sound_books_agree() -> None:
    """One receipt, one event, one notification, one mail."""
    assert SOUND.flaws() == []


@pytest.mark.parametrize(
    ("rows", "mails", "flaw"),
    [
        ({"events": Counter(), "states": {}}, [], "lost: a receipt, but no event: 1 (a)"),
        ({"events": Counter(a=2), "states": {"a": ["sent", "sent"]}}, ["m"], "stored more than once: 1 (a)"),
        ({"buried": frozenset({"a"})}, ["m"], "buried among the dead letters: 1 (a)"),
        ({"states": {"a": []}}, ["m"], "not told as the rules decided: 1 (a)"),
        ({"states": {"a": ["pending"]}}, ["m"], "never settled: 1 (a)"),
        ({"states": {"a": ["expired"]}}, ["m"], "settled as something else than sent: 1 (a)"),
        ({}, [], "settled as sent, but the relay never got it: 1 (a)"),
        ({}, ["m", "n"], "told twice, in two messages: 1 (a)"),
        ({}, ["m", "m"], "sent again although its outcome was known: 1 (m)"),
        ({"work": 1}, ["m"], "work left: 1"),
        ({"unknown": Counter(m=1)}, ["m"], "unknown outcomes: 1, more than the 0 connections killed"),
    ],
)
def test_each_disagreement_is_named(rows: dict[str, Any], mails: list[str], flaw: str) -> None:
    """Losses, repeats and leftovers, each by itself."""
    ledger = replace(
        SOUND, rows=replace(SOUND.rows, **rows), mails=[Mail("a", message, "deliver") for message in mails]
    )

    assert flaw in ledger.flaws()


@pytest.mark.parametrize(
    ("allowance", "flaws"),
    [
        (Allowance(forgetful=frozenset({Way.STREAM}), forgot_at=2.0), 0),
        (Allowance(forgetful=frozenset({Way.STREAM}), forgot_at=0.5), 1),
        (Allowance(forgetful=frozenset({Way.DURABLE}), forgot_at=2.0), 1),
    ],
)
def test_only_what_redis_was_made_to_forget_is_excused(allowance: Allowance, flaws: int) -> None:
    """Not what was handed over afterwards, and not what came another way."""
    rows = replace(SOUND.rows, events=Counter(), states={})

    assert len(replace(SOUND, rows=rows, mails=[], allowance=allowance).flaws()) == flaws
