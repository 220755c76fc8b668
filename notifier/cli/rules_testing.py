"""``notifier rules test``: does what the rules promise come true, on a clock that takes no time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from notifier.bootstrap import Services
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened
from notifier.cli.output import json_option, say, show_lines
from notifier.documents import ConfigErrors, load, misnamed, misnamed_below
from notifier.errors import ConfigError
from notifier.events import Json
from notifier.rules.testing import Outcome, run_test
from notifier.rules.testing_model import Test, read_tests


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@json_option
def test(*, files: tuple[Path, ...], is_json: bool) -> None:
    """Run tests of the rules: FILES or folders, config/tests without any.

    Nothing is sent and no database is asked. Exit code 1 if a test fails; with --json one object a test.
    """
    with opened() as services:
        found = _tests(files or (services.settings.config_path / "tests",))
        outcomes = list(_run(found, services))
    if is_json:
        show_lines(_plain(one) for one in outcomes)
    else:
        _show(outcomes)
    if not all(one.is_passed for one in outcomes):
        click.get_current_context().exit(FINDING)


def _tests(places: Sequence[Path]) -> tuple[Test, ...]:
    """Read all tests; what is wrong in one file hides nothing in another."""
    tests: list[Test] = []
    errors: list[ConfigError] = []
    for place in places:
        errors += map(misnamed, misnamed_below(place))
        for file in sorted(place.rglob("*.yaml")) if place.is_dir() else [place]:
            try:
                tests += read_tests(load(file))
            except ConfigErrors as wrong:
                errors += wrong.errors
            except ConfigError as wrong:
                errors.append(wrong)
    if errors:
        raise ConfigErrors(errors)
    if not tests:
        where = ", ".join(map(str, places))
        raise ConfigError("there are no tests", file=where, mend="write config/tests/<name>.yaml")
    return tuple(tests)


def _run(tests: Sequence[Test], services: Services) -> Iterator[Outcome]:
    for one in tests:
        yield run_test(one, services.rules, services.catalog, services.lists)


def _show(outcomes: Sequence[Outcome]) -> None:
    for one in outcomes:
        if one.is_passed:
            continue
        say(f"FAIL {one.test} ({one.file}:{one.line})", style="red")
        for problem in one.problems:
            say(f"  {one.file}:{problem.line}: {problem.text}")
    failed = sum(not one.is_passed for one in outcomes)
    messages = sum(one.messages for one in outcomes)
    say(f"tests: {len(outcomes)}, failed: {failed}, messages: {messages}", style="red" if failed else "green")


def _plain(one: Outcome) -> dict[str, Json]:
    return {
        "file": one.file, "line": one.line, "test": one.test, "passed": one.is_passed,
        "messages": one.messages,
        "problems": [{"line": problem.line, "text": problem.text} for problem in one.problems],
    }  # fmt: skip
