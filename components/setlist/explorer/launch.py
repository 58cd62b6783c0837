"""Start the explorer: Streamlit's server, in this process, on this machine's address only."""

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

from setlist.explorer.resources import Scene, show

APP = Path(__file__).with_name("app.py")
OPTIONS: dict[str, Any] = {
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
"""Nothing leaves this machine, and no trace of an error reaches a browser."""
PATIENCE = 600
"""Seconds that the first look at what is shown may take."""


def serve(scene: Scene, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the explorer until it is interrupted; `say` is told what happens, line by line."""
    show(scene)
    options = OPTIONS | {"server.address": host, "server.port": port}
    load_config_options(options)
    say("opening the newest run and its models ...")
    began = time.perf_counter()
    rehearse()

    @asynccontextmanager
    async def listening(_: st.App) -> AsyncIterator[None]:
        say(f"ready after {time.perf_counter() - began:.1f} s")
        say(f"open {url(host, port)}; Ctrl-C ends it")
        yield

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again in the end
    st.App(APP, lifespan=listening).run(config=options)


def url(host: str, port: int) -> str:
    """Where a browser finds the server; an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def rehearse() -> None:
    """Visit every page once without a browser.

    Runs are read, models are loaded and asked for the first time, which is slow: the first visitor
    then waits for none of it. What goes wrong is left for that visitor to read.
    """
    visit = AppTest.from_file(APP, default_timeout=PATIENCE).run()
    for page in visit.segmented_control("page").options:
        visit.segmented_control("page").set_value(page).run()
