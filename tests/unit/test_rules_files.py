"""The texts of a folder of rules: read at one moment, and known for changed without being read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.documents import ConfigErrors
from notifier.errors import ConfigError
from notifier.rules.files import RuleFiles, signature_of
from notifier.rules.load import compile_rules, read_rules

RULE = "rules:\n  - notify: told\n    on: a.b\n    recipients: [to]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, one of them in a folder below."""
    (tmp_path / "below").mkdir()
    (tmp_path / "one.yaml").write_text(RULE)
    (tmp_path / "below" / "two.yaml").write_text("rules: []\n")
    (tmp_path / "notes.txt").write_text("no rules")
    return tmp_path


def same_size_and_date(folder: Path) -> None:
    """Write other text of the same length, and put the date back, as copying tools do."""
    file = folder / "one.yaml"
    seen = file.stat()
    file.write_text(RULE.replace("a.b", "a.c"))
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def replaced(folder: Path) -> None:
    """Put another file in a file's place."""
    aside = folder / "one.yaml.new"
    aside.write_text(RULE)
    aside.replace(folder / "one.yaml")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "one.yaml").write_text(RULE + "\n"),
        lambda folder: (folder / "below" / "two.yaml").unlink(),
        lambda folder: (folder / "three.yaml").touch(),
        lambda folder: (folder / "one.yaml").rename(folder / "uno.yaml"),
        lambda folder: (folder / "three.yml").touch(),
        same_size_and_date,
        replaced,
    ],
    ids=["longer", "removed", "added", "renamed", "misnamed", "same size and date", "replaced"],
)
def test_every_change_of_the_files_shows_in_the_signature(
    folder: Path, change: Callable[[Path], object]
) -> None:
    """Also one that keeps size and date."""
    before = signature_of(folder)

    change(folder)

    assert signature_of(folder) != before


def test_what_is_no_rule_file_shows_in_no_signature(folder: Path) -> None:
    """An editor's copies and notes are nobody's business; reading changes nothing either."""
    before = signature_of(folder)

    (folder / "one.yaml~").write_text("old")
    (folder / ".one.yaml.swp").write_text("open")
    RuleFiles.read(folder)

    assert signature_of(folder) == before


def test_a_folder_that_went_away_has_a_signature_and_no_files(folder: Path) -> None:
    """It is another state, and an error to read."""
    before, gone = signature_of(folder), folder / "gone"

    assert signature_of(gone) != before
    with pytest.raises(ConfigError, match="does not exist"):
        RuleFiles.read(gone)


def test_texts_that_were_read_are_compiled_whatever_lies_there_now(folder: Path) -> None:
    """What is kept in a database says the same as the files did, to the hash."""
    read = RuleFiles.read(folder)
    whole = read_rules(folder, types=["a.b"])
    (folder / "one.yaml").write_text("rules: [")

    compiled = compile_rules(RuleFiles(folder=folder, texts=dict(read.texts)), types=["a.b"])

    assert set(read.texts) == {"one.yaml", "below/two.yaml"}
    assert compiled.rules_hash == whole.rules_hash
    assert [rule.name for rule in compiled] == ["told"]


def test_errors_of_texts_name_the_file_they_came_from(folder: Path) -> None:
    """All of them at once: no YAML, no UTF-8, a name that is not read, an unknown type."""
    (folder / "below" / "two.yaml").write_text("rules:\n  - [")
    (folder / "three.yaml").write_bytes(b"\xff")
    (folder / "four.yml").write_text("rules: []\n")

    with pytest.raises(ConfigErrors) as caught:
        compile_rules(RuleFiles.read(folder), types=["x.y"])

    places = {(Path(str(one.file)).relative_to(folder).as_posix(), one.line) for one in caught.value.errors}
    assert places >= {("three.yaml", None), ("four.yml", None), ("one.yaml", 3)}
    assert any(name == "below/two.yaml" for name, _ in places)


def test_a_folder_without_files_is_empty_and_one_with_an_unreadable_file_is_not(tmp_path: Path) -> None:
    """The difference between no rules and rules that nobody can read."""
    assert RuleFiles.read(tmp_path).is_empty

    (tmp_path / "one.yaml").write_bytes(b"\xff")

    assert not RuleFiles.read(tmp_path).is_empty
