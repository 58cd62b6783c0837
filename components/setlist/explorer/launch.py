"""Start the explorer: the server of Streamlit, in this process."""

import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.web.bootstrap import load_config_options

from setlist.explorer.resources import Scene, set_scene

APP = Path(__file__).with_name("app.py")
# Nothing is sent from this machine to others, and a browser gets no traceback of an error.
STREAMLIT_OPTIONS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,
    "logger.level": "error",
    "server.fileWatcherType": "none",
    "server.headless": True,
    "theme.light.primaryColor": "#1f5fbf",
    "theme.dark.primaryColor": "#8ab4f8",
}
REHEARSAL_TIMEOUT_SECONDS = 600
"""How long the first look at a page may take, while runs are read and models are loaded."""


def serve_explorer(
    scene: Scene, host: str, port: int, say: Callable[[str], None], root_path: str = ""
) -> None:
    """Serve the explorer until the process is interrupted.

    Args:
        scene: what it shows.
        host: the address to listen at.
        port: at that address.
        say: gets one line of text about each step of the start.
        root_path: the path under which a proxy offers it, and which it leaves in requests.
    """
    set_scene(scene)
    options = STREAMLIT_OPTIONS | {
        "server.address": host,
        "server.port": port,
        "server.baseUrlPath": root_path.strip("/"),
    }
    load_config_options(options)
    say("opening the newest run and its models ...")
    began = time.perf_counter()
    rehearse()

    @asynccontextmanager
    async def listening(_: st.App) -> AsyncIterator[None]:
        say(f"ready after {time.perf_counter() - began:.1f} s")
        say(f"open {url(host, port)}{root_path}; Ctrl-C ends it")
        yield

    # uvicorn sends a SIGTERM that it got to this process again after it has shut down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    st.App(APP, lifespan=listening).run(config=options)


def url(host: str, port: int) -> str:
    """The address of the server for a browser; an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def rehearse() -> None:
    """Visit every page once without a browser.

    The first visit is slow: it reads the run, loads the models and asks them for the first time.
    After this rehearsal no visitor waits for that. An error is ignored here; a visitor sees it.
    """
    visit = AppTest.from_file(APP, default_timeout=REHEARSAL_TIMEOUT_SECONDS).run()
    for page in visit.segmented_control("page").options:
        visit.segmented_control("page").set_value(page).run()
