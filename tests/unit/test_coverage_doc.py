"""docs/coverage.md tells the truth: every requirement has its row, and what a row names exists.

So do the links of all other pages.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IDS = [
    f"{letter}{number}"
    for letter, last in (("O", 11), ("S", 7), ("B", 8), ("C", 9))
    for number in range(1, last + 1)
]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One requirement, as the page has it."""

    id: str
    status: str
    where: tuple[str, ...]
    proof: tuple[str, ...]


def read() -> list[Row]:
    """Return all rows of the page."""
    text = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    lines = [
        [cell.strip() for cell in line.split("|")]
        for line in text.splitlines()
        if re.match(r"\| [OSBC]\d", line)
    ]
    return [
        Row(id=cells[1], status=cells[3], where=quoted(cells[4]), proof=quoted(cells[5])) for cells in lines
    ]


def quoted(cell: str) -> tuple[str, ...]:
    """Return what stands between backticks."""
    return tuple(re.findall(r"`([^`]+)`", cell))


ROWS = read()


def test_every_requirement_has_one_row() -> None:
    """None is missing, none is there twice, and they stand in order."""
    assert [row.id for row in ROWS] == IDS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_names_files_and_tests_that_exist(row: Row) -> None:
    """A renamed test takes its row along."""
    assert re.match(r"(done$|partly: .+; .+ later|partly: .+|later$)", row.status)
    assert bool(row.where) == bool(row.proof) == (row.status != "later")

    assert [path for path in row.where if not (ROOT / path).exists()] == []
    assert [test for test in row.proof if not is_test(test)] == []


def test_every_complaint_of_other_systems_users_has_its_test() -> None:
    """Nineteen of them, in order; the tests named are there."""
    text = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)\. .+ \| .+ \| (.+) \|$", text, re.MULTILINE)

    assert [int(number) for number, _ in rows] == list(range(1, 20))
    assert [test for _, cell in rows for test in quoted(cell) or ("none",) if not is_test(test)] == []


def is_test(name: str) -> bool:
    """Tell whether ``path::function`` is there."""
    path, _, function = name.partition("::")
    file = ROOT / path
    return file.is_file() and f"def {function}(" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """Links within the project point at files that are there."""
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]

    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "how-to").glob("*.md")), ids=lambda page: page.name)
def test_every_how_to_is_found_from_the_front(page: Path) -> None:
    """The README and the documentation's list link to it."""
    for index in (ROOT / "README.md", ROOT / "docs" / "README.md"):
        targets = re.findall(r"\]\(([^)#]+)\)", index.read_text(encoding="utf-8"))
        assert page in {(index.parent / target).resolve() for target in targets}, index.name
