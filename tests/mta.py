"""A real Postfix, and a real Dovecot that checks its passwords: own folders and loopback ports, never the system's.

Both are Debian's (``postfix``, ``dovecot-core``) and need root: Postfix starts in no other way. Tests that ask for them
are skipped elsewhere, and never in CI (``tests/programs.py``).
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from notifier.embedded.leash import leash
from notifier.embedded.ports import free_port
from tests.programs import needed, unfit

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_MAIN: Mapping[str, str] = {
    "compatibility_level": "3.6",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "myhostname": "mta.example",
    "mydestination": "local.example",
    "mynetworks": "127.0.0.0/8",
    "alias_maps": "",
    "alias_database": "",
    # Empty: an unknown local user is found out by the local transport, after the mail was taken.
    "local_recipient_maps": "",
    "smtp_host_lookup": "native",
    "disable_dns_lookups": "yes",
    "biff": "no",
    "notify_classes": "",
    # A test does not wait for the schedule of the real world.
    "queue_run_delay": "1s",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "1s",
    "maximal_queue_lifetime": "3s",
    "bounce_queue_lifetime": "3s",
    "delay_warning_time": "0",
    "in_flow_delay": "0",
    "smtpd_error_sleep_time": "0",
    "smtpd_delay_reject": "no",
}
_DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols =
ssl = no
auth_mechanisms = plain login
disable_plaintext_auth = no
passdb {{
  driver = passwd-file
  args = scheme=plain username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0600
  }}
}}
"""


@dataclass(slots=True, kw_only=True)
class Postfix:
    """A running Postfix; ``transports`` says where the mails of a domain go: ``lmtp:[127.0.0.1]:2424``."""

    folder: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """What it has logged."""
        file = self.folder / "log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def __enter__(self) -> Self:
        self.folder.joinpath("etc").mkdir()
        for name, owner in (("queue", "root"), ("data", "postfix")):
            self.folder.joinpath(name).mkdir()
            shutil.chown(self.folder / name, owner)
        folders = {
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "maillog_file": self.folder / "log",
            "maillog_file_prefixes": self.folder,
            "mail_spool_directory": self.folder / "data",
        }
        lines = [f"{name} = {value}" for name, value in {**_MAIN, **folders, **self.settings}.items()]
        (self.folder / "etc/main.cf").write_text("\n".join([*lines, ""]))
        (self.folder / "etc/master.cf").write_text(_MASTER.format(port=self.port))
        self._run("start")
        # Its first process leads a group of its own: should we be killed, it goes too.
        leash.hold(self._master(), grace=5)
        _answers(self.port, self.folder / "log")
        return self

    def __exit__(self, *_: object) -> None:
        master = self._master()
        self._run("stop")
        leash.release(master)

    def _master(self) -> int:
        return int((self.folder / "queue/pid/master.pid").read_text())

    def reload(self, **settings: str) -> None:
        """Work by other settings from the next mail on."""
        with (self.folder / "etc/main.cf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self._run("reload")

    def _run(self, command: str) -> None:
        argv = ["/usr/sbin/postfix", "-c", str(self.folder / "etc"), command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}{self.log}"


@contextmanager
def running_postfix(**settings: str) -> Iterator[Postfix]:
    """Run a Postfix with these settings, or skip."""
    needed("postfix")
    if os.geteuid() != 0:
        unfit("postfix starts as root only")
    with tempfile.TemporaryDirectory(prefix="notifier-mta-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # its programs run as the user postfix
        with Postfix(folder=folder, port=free_port(), settings=settings) as server:
            yield server


@contextmanager
def running_dovecot(users: Mapping[str, str]) -> Iterator[Path]:
    """Run a Dovecot that knows these passwords, or skip; lends the socket that checks them."""
    program = needed("dovecot", "dovecot-core")
    if os.geteuid() != 0:
        unfit("dovecot starts as root only")
    with tempfile.TemporaryDirectory(prefix="notifier-sasl-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "users").write_text("".join(f"{user}:{word}::::::\n" for user, word in users.items()))
        (folder / "dovecot.conf").write_text(_DOVECOT.format(folder=folder))
        process = subprocess.Popen(
            [program, "-F", "-c", str(folder / "dovecot.conf")], stderr=subprocess.PIPE
        )
        try:
            deadline = time.monotonic() + 20
            while not (folder / "auth").is_socket():
                assert process.poll() is None, process.communicate()[1].decode()
                assert time.monotonic() < deadline, "dovecot made no socket"
                time.sleep(0.02)
            yield folder / "auth"
        finally:
            process.terminate()
            process.communicate(timeout=20)


def _answers(port: int, log: Path) -> None:
    """Wait until it greets."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                if client.makefile("rb").readline().startswith(b"220"):
                    return
        except OSError:
            pass
        assert time.monotonic() < deadline, log.read_text() if log.exists() else "postfix says nothing"
        time.sleep(0.05)
