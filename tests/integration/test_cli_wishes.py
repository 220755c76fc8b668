"""What a contact wants, set and shown by the command; every mistake is named (O9)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.command import CUSTOMER, Run, command, document
from tests.services import Flow

pytestmark = pytest.mark.servers


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, with a contact to speak of."""
    with capture_logs():
        run = command(flow.services)
        run("contact", "set", "c-1", "--email", CUSTOMER, "--zone", "Europe/Berlin")
        yield run


def test_options_become_wishes_and_are_shown(run: Run) -> None:
    """Short names of days, a level for all or one category, digests of both kinds."""
    result = run(
        "contact", "wishes", "c-1", "--quiet", "mon-fri 22:00-07:00", "--quiet", "sat,sun 00:00-24:00",
        "--min-severity", "warning", "--min-severity", "infrastructure=critical", "--digest", "orders=first:1h",
        "--digest", "returns=08:00,17:00", "--opt-in", "sales", "--opt-out", "orders:sms", "--json",
    )  # fmt: skip
    shown = run("contact", "show", "c-1").stdout

    assert document(result)["wishes"] == {
        "opt_ins": ["sales"],
        "opt_outs": ["orders:sms"],
        "quiet": [
            {"weekdays": ["monday", "tuesday", "wednesday", "thursday", "friday"], "from": "22:00", "until": "07:00"},
            {"weekdays": ["saturday", "sunday"], "from": "00:00", "until": "24:00"},
        ],
        "at_least": {"*": "warning", "infrastructure": "critical"},
        "digests": {
            "orders": {"gather": "first_now", "every": "1h"},
            "returns": {"gather": "accumulate", "at": ["08:00", "17:00"]},
        },
    }  # fmt: skip
    for line in (
        "22:00 to 07:00 on monday, tuesday, wednesday, thursday, friday",
        "all others: warning",
        "orders: the first at once, the rest together, every 1h",
        "returns: at 08:00, 17:00",
    ):
        assert line in shown


def test_what_is_not_given_stays_and_clear_forgets(run: Run, tmp_path: Path) -> None:
    """A file says everything; other fields of the contact stay as they are."""
    run("contact", "wishes", "c-1", "--quiet", "22:00-07:00", "--digest", "2h")
    run("contact", "wishes", "c-1", "--min-severity", "error")
    run("contact", "set", "c-1", "--name", "Jo")
    kept = document(run("contact", "show", "c-1", "--json"))
    cleared = document(run("contact", "wishes", "c-1", "--clear", "quiet", "--clear", "digest", "--json"))
    file = tmp_path / "wishes.json"
    file.write_text(json.dumps({"opt_ins": ["sales"]}))

    whole = document(run("contact", "wishes", "c-1", "--file", file, "--json"))

    assert set(kept["wishes"]) == {"quiet", "digests", "at_least"}
    assert kept["name"] == "Jo"
    assert cleared["wishes"] == {"at_least": {"*": "error"}}
    assert whole["wishes"] == {"opt_ins": ["sales"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--quiet", "at night"], "--quiet: must be a stretch such as 22:00-07:00 or mon-fri 22:00-07:00"),
        (["--quiet", "25:00-07:00"], "--quiet: must be a time of day from 00:00 to 23:59, such as 07:30"),
        (["--quiet", "foo 22:00-07:00"], "--quiet: must be a weekday such as monday"),
        (["--quiet", "00:00-24:00"], "--quiet: the quiet hours leave no moment of the week"),
        (["--min-severity", "loud"], "--min-severity: must be 'info', 'warning', 'error' or 'critical'"),
        (["--min-severity", "gossip=error"], "--min-severity: no such category; known: "),
        (["--digest", "orders=soon"], "--digest: "),
        (["--opt-in", "orders:fax"], "--opt-in: must be a category, or category:channel"),
    ],
)
def test_a_mistake_names_its_option_and_changes_nothing(run: Run, options: list[str], said: str) -> None:
    """As a wrong option does."""
    result = run("contact", "wishes", "c-1", *options)

    assert result.exit_code == 2
    assert said in result.stderr
    assert document(run("contact", "show", "c-1", "--json"))["wishes"] == {}


def test_a_mistake_in_a_file_names_its_field(run: Run, tmp_path: Path) -> None:
    """And one that is no JSON, its line; a stranger is no contact."""
    file = tmp_path / "wishes.json"
    file.write_text('{"quiet": [{"from": "22:00", "untill": "07:00"}]}')
    wrong = run("contact", "wishes", "c-1", "--file", file)
    file.write_text("{\nquiet")

    broken = run("contact", "wishes", "c-1", "--file", file)
    stranger = run("contact", "wishes", "c-9", "--quiet", "22:00-07:00")

    assert "quiet[0].untill: unknown key; did you mean until?" in wrong.stderr
    assert f"{file}:2" in broken.stderr
    assert "is not JSON" in broken.stderr
    assert "there is no contact 'c-9'" in stranger.stderr
