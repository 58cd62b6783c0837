"""A page that was opened in a browser, and what went wrong in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Request, WebSocket
from tests.waiting import PATIENCE


@dataclass
class Opened:
    """The page; `faults` are sentences on errors, dialogs and requests that are not allowed."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """What axe finds serious or critical, each with the first element where it stands."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']} ({len(one['nodes'])}): {one['nodes'][0]['html'][:200]} "
            f"{one['nodes'][0]['failureSummary']}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def wider_than_the_window(self, scrolled: str = "html") -> int:
        """By how many pixels the page, or an element in it, can be scrolled to the side."""
        width: int = self.page.locator(scrolled).evaluate(
            "one => one.scrollWidth - one.clientWidth"
        )
        return width


@contextmanager
def opened(browser: Browser, url: str, origin: str = "", **context: Any) -> Iterator[Opened]:
    """Open a page in a context with these settings, such as `color_scheme="dark"`.

    Args:
        browser: one that runs.
        url: the only address that may be asked for, where there is no `origin`.
        origin: ends in /; the page may ask for all that begins with it, also through a WebSocket,
            and for what it holds itself (data:, blob:).
    """
    own_addresses = (origin, origin.replace("http", "ws", 1), "data:", "blob:") if origin else ()
    with browser.new_context(**context) as own:
        own.set_default_timeout(PATIENCE * 1e3)
        found = Opened(own.new_page())

        def said(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                found.faults.append(f"console: {message.text}")

        def asked(dialog: Dialog) -> None:
            found.faults.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        def sent(request: Request | WebSocket) -> None:
            if request.url != url and not request.url.startswith(("about:", *own_addresses)):
                found.faults.append(f"request: {request.url[:200]}")

        found.page.on("console", said)
        found.page.on("pageerror", lambda error: found.faults.append(f"error: {error}"))
        found.page.on("dialog", asked)
        found.page.on("request", sent)
        found.page.on("websocket", sent)
        found.page.goto(url)
        yield found


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by keyboard")
