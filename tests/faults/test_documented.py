"""The table of safeguards in docs/faults.md names every sabotage, and only tests that are there."""

import re
from pathlib import Path

import pytest

from tests.faults.sabotage import SABOTAGES

pytestmark = pytest.mark.faults

HERE = Path(__file__).parent
TABLE = (HERE.parent.parent / "docs" / "faults.md").read_text("utf-8").partition("## A test that cannot")[2]


def test_every_safeguard_that_can_be_switched_off_stands_in_the_table() -> None:
    """A sabotage nobody reads of is one nobody runs."""
    named = set(re.findall(r"\w+", TABLE))

    assert SABOTAGES.keys() - named == set()


def test_every_test_the_table_names_is_there() -> None:
    """By its name, or by the beginning or end of it next to an ellipsis."""
    there = re.findall(
        r"^def (test_\w+)",
        "\n".join(file.read_text("utf-8") for file in HERE.glob("test_*.py")),
        re.MULTILINE,
    )
    parts = {one.strip("…") for one in re.findall(r"`([a-z_]*…[a-z_]*…?)`", TABLE) if "…" in one}

    assert len(parts) > 20
    assert {part for part in parts if not any(part in name for name in there)} == set()
