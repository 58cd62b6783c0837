import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.browser.conftest import CHROMIUM, browser
from tests.docs.pages import ROOT

__all__ = ["browser"]

collect_ignore_glob = [] if CHROMIUM else ["test_in_browser.py"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; a warning of the build fails the tests that look at it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        # Nothing answers there: a build that asks the network for something fails.
        env=os.environ
        | {
            "NO_MKDOCS_2_WARNING": "1",
            "https_proxy": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        },
    )
    assert built.returncode == 0, built.stderr
    return folder
