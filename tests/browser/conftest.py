"""Pages in Debian's chromium; without it these tests are not collected."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from tests.waiting import PATIENCE

CHROMIUM = shutil.which("chromium")
QUIET = (
    "--no-sandbox",  # tests may run as root, where chromium has none
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each opens a context of its own, which shares nothing."""
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE * 1e3)
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=QUIET, timeout=PATIENCE * 1e3
        )
        yield started
        started.close()
