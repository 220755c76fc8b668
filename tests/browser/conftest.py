"""A real browser on the pages people see: Debian's Chromium, driven by Playwright."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.programs import needed


# Not for the session: while Playwright is open its event loop counts as running, and no other test could run one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    path = needed("chromium")
    from playwright.sync_api import sync_playwright

    # Chromium's sandbox refuses to run as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=arguments)
        yield found
        found.close()
