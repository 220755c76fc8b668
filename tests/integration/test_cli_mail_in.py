"""What operators see of the listener: what it could not read, its key, and what is wrong with its settings."""

import base64
import socket
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from notifier.bootstrap import Services
from notifier.errors import ConfigError
from notifier.mailin.serve import serve
from notifier.setting_tables import MailIn
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.unreadable import KEPT_FOR, UnreadableDesk
from notifier.store.upkeep import let_go
from tests.command import Run, command, document, lines
from tests.services import ROOT, Flow

MAIL = b"Return-Path: <>\r\nSubject: \xff\r\n\r\nwhat?\r\n"


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test."""
    with capture_logs():
        yield command(flow.services)


@pytest.fixture
def digest(flow: Flow, web_url: str) -> str:
    """A mail was set aside, by the web role: its digest."""
    database = Database(web_url, size=1)
    found = UnreadableDesk(database).hand_in(MAIL, message=uuid4(), reason="too slow")
    database.dispose()
    return found


def test_what_could_not_be_read_is_listed_and_shown(run: Run, digest: str) -> None:
    """The list says why and how large; the mail itself comes out as it went in."""
    (listed,) = lines(run("mail-in", "unreadable", "--json"))
    table = run("mail-in", "unreadable").stdout
    shown = run("mail-in", "show", digest[:12])
    as_json = document(run("mail-in", "show", digest, "--json"))
    missing = run("mail-in", "show", "0" * 12)

    assert (listed["digest"], listed["reason"], listed["size"], listed["seen"]) == (
        digest,
        "too slow",
        len(MAIL),
        1,
    )
    assert digest[:12] in table
    assert "too slow" in table
    assert shown.stdout_bytes == MAIL
    assert base64.b64decode(as_json["mail"]) == MAIL
    assert missing.exit_code == 1


def test_what_could_not_be_read_is_let_go_of(flow: Flow, run: Run, digest: str) -> None:
    """A month after it came last."""
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE unreadable_mail SET last_at = now() - %s", [KEPT_FOR])
        gone = let_go(connection)

    assert gone == 1
    assert "every mail could be read" in run("mail-in", "unreadable").stdout


def test_the_web_role_reads_no_mail_that_was_set_aside(web_url: str, digest: str) -> None:
    """It can hand in, and learns how many there are."""
    database = Database(web_url, size=1)
    count = database.one("SELECT notifier_unreadable()")
    with pytest.raises(Exception, match="permission denied"):
        database.one("SELECT content FROM unreadable_mail")
    database.dispose()

    assert count == (1,)


def test_the_key_of_return_paths_is_one_of_its_own(flow: Flow, run: Run) -> None:
    """Who has it can make no link and no Message-ID."""
    key = base64.b64decode(document(run("keys", "return-path", "--json"))["key"])

    assert key == flow.services.keyring.return_path_key
    assert key != flow.services.keyring.token_key


KEY = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"web_database_url": None}, "web_database_url: is required .*notifier_web"),
        ({"mail_in": MailIn()}, "mail_in.key: is required .*notifier keys return-path"),
        ({"mail_in": MailIn(key=SecretStr("short"))}, "mail_in.key: is no key of return paths"),
    ],
    ids=["no database", "no key", "no such key"],
)
def test_a_listener_without_its_secrets_says_which(
    changes: dict[str, object], words: str, web_url: str
) -> None:
    """The setting, and the mend."""
    settings = Settings(web_database_url=SecretStr(web_url), mail_in=MailIn(key=SecretStr(KEY)))

    with pytest.raises(ConfigError, match=words):
        serve(Services(settings.model_copy(update=changes)))


def test_a_listener_whose_port_is_taken_says_so(web_url: str) -> None:
    """Exit code 2, the setting, and the system's word."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {
            "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "NOTIFIER_CONFIG_DIR": str(ROOT / "config"),
            "NOTIFIER_WEB_DATABASE_URL": web_url, "NOTIFIER_MAIL_IN__KEY": KEY,
            "NOTIFIER_MAIL_IN__PORT": str(taken.getsockname()[1]),
        }  # fmt: skip
        ended = subprocess.run(
            [sys.executable, "-c", "from notifier.cli import main; main()", "mail-in", "serve"],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert ended.returncode == 2
    assert "mail_in.port: cannot listen on 127.0.0.1:" in ended.stderr
    assert "Address already in use" in ended.stderr
