"""The labelled mails beside the repository are read as well as promised.

They are read in place; without them these tests skip.
"""

from functools import cache

import pytest

from tests.bounces.scoring import VISIBLE, Score, score

pytestmark = pytest.mark.skipif(
    not (VISIBLE / "expected.jsonl").exists(), reason=f"no labelled mails in {VISIBLE}"
)


@cache
def total() -> Score:
    """Return the score of all mails."""
    return score(VISIBLE)["total"]


@pytest.mark.parametrize(
    ("figure", "least"), [("found", 0.99), ("reason", 0.94), ("hard_precision", 0.94), ("hard_recall", 0.97)]
)
def test_the_figures_are_above_the_targets(figure: str, least: float) -> None:
    """Well above: mails of systems we have not seen are read less well."""
    assert total().figures()[figure] >= least, total().misses


def test_nothing_but_a_bounce_is_called_one() -> None:
    """A false positive would silence somebody who is well."""
    assert total().figures()["false_positives"] == 0, total().misses


def test_every_kind_is_told() -> None:
    """Bounces, complaints, automatic replies and the rest."""
    assert [miss for miss in total().misses if miss.what == "kind"] == []


def test_a_mail_takes_less_than_three_milliseconds() -> None:
    """On average, of processor time."""
    assert total().figures()["ms_per_mail"] < 3
