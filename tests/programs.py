"""Programs of the operating system that some tests need: skipped without them, but never in CI."""

import os
import shutil
from typing import NoReturn

import pytest

NO_SKIP = "TESTS_NO_SKIP"
"""Set by ``.ci/run``, which installs them all. Not ``NOTIFIER_…``: the settings would refuse to know it."""


def needed(name: str, package: str | None = None) -> str:
    """Return a program's path; skip the test where it is not installed."""
    # Debian keeps servers out of an ordinary user's path.
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return path if path is not None else unfit(f"needs {name}: install Debian's package {package or name}")


def unfit(why: str) -> NoReturn:
    """Skip the test, since this machine cannot run it; fail where nothing may be skipped."""
    if os.environ.get(NO_SKIP):
        pytest.fail(why)
    pytest.skip(why)
