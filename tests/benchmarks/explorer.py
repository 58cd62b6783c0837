"""How fast the explorer is on a catalogue of 100,000 items with 1,000,000 listeners.

    python -m tests.benchmarks.explorer [SHARE [FOLDER]]

`SHARE` scales all sizes down, to try it (0.01 takes a minute). What is looked at is written first,
about 1 GB in a temporary folder, or in `FOLDER`, which is kept and used again. Plays and lists are
random, popularity has a long tail; the models are written by the real writers, untrained.

Then `setlist dashboard` is started anew STARTS times and looked at in chromium. Bars: the first
paint in less than 2 s, a query in less than 300 ms.

- visits: from the address to the lists on the screen, each in a browser context of its own, which
  has nothing cached; first paint is chromium's own first-contentful-paint.
- queries: from the user's event to the changed page, both told by the page's clock; the server's
  own part stands beside it, as the page says it ("answered in N ms").
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser.conftest import CHROMIUM, QUIET

PORT, STARTS, VISITS, ASKED = 18_501, 3, 5, 20
BAR_VISIT, BAR_QUERY = 2_000, 300
PAUSE = 500
"""Milliseconds between two questions."""
WATCH = """
window.watched = {event: 0, seen: 0, selector: ".sl-lists", before: ""};
window.text = () => {
  const one = document.querySelector(watched.selector);
  return one ? one.textContent + [...one.querySelectorAll("input")].map(i => i.placeholder) : "";
};
for (const kind of ["click", "keydown", "input"])
  addEventListener(kind, () => { if (!watched.seen) watched.event = performance.now(); }, true);
const look = () => {
  if (!watched.seen && text() !== watched.before) watched.seen = performance.now();
};
new MutationObserver(look).observe(document, {
  subtree: true, childList: true, characterData: true, attributes: true,
});
"""
"""Notes when the user did something, and when the text of one element is first another."""


class Visit:
    """A page of the explorer, in a browser context of its own."""

    def __init__(self, page: Page) -> None:
        """Open it, and wait for the lists.

        `lists` and `paint` are in ms since the address was entered.
        """
        self.page = page
        self.told: list[float] = []
        page.add_init_script(WATCH)
        page.goto(f"http://127.0.0.1:{PORT}/", wait_until="commit")
        self.lists = self._seen()
        self.paint: float = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        self.settle()

    def _seen(self) -> float:
        self.page.wait_for_function("watched.seen > 0", timeout=120_000)
        seen: float = self.page.evaluate("watched.seen")
        return seen

    def settle(self) -> None:
        """Give the app time to run to its end; nothing in the page tells reliably that it has."""
        self.page.wait_for_timeout(PAUSE)

    def ask(self, selector: str, act: Callable[[], None]) -> float:
        """Milliseconds from the last event of `act` until the text in `selector` is another."""
        self.page.evaluate(
            "one => { watched = {event: 0, seen: 0, selector: one, before: ''};"
            "watched.before = text(); }",
            selector,
        )
        act()
        seen = self._seen()
        event: float = self.page.evaluate("watched.event")
        self.settle()
        if said := re.search(r"answered in ([\d,]+) ms", self.page.inner_text("body")):
            self.told.append(float(said[1].replace(",", "")))
        return seen - event

    def choose(self, selector: str, key: str, places: tuple[int, int]) -> list[float]:
        """Choose one of two options of a field in turn."""
        took = []
        for number in range(ASKED):
            self.page.click(f".st-key-{key} input")
            option = self.page.get_by_role("option").nth(places[number % 2])
            option.wait_for()
            took.append(self.ask(selector, option.click))
        return took


def queries(visit: Visit) -> Iterator[tuple[str, list[float]]]:
    """Each question, ASKED times."""
    page, lists = visit.page, ".sl-lists"
    another = page.get_by_role("button", name="Another one")
    yield "another listener", [visit.ask(lists, another.click) for _ in range(ASKED)]
    yield "what if an input were another", visit.choose(lists, "in_country", (1, 2))
    page.get_by_text("What if the history were another").click()
    search = page.locator(".st-key-search input")
    search.wait_for()
    visit.settle()
    visit.ask(".st-key-favourites", lambda: search.fill("item-0004"))
    keys = [("2", "Backspace")[number % 2] for number in range(ASKED)]
    yield (
        "a letter in the title search",
        [visit.ask(".st-key-favourites", lambda key=key: search.press(key)) for key in keys],
    )
    visit.ask(".st-key-favourites", lambda: search.fill(""))
    yield "one more favourite", visit.choose(lists, "favourites", (1, 1))  # 0 is "Select all"
    page.keyboard.press("Escape")  # the open list would take the next click
    visit.settle()
    took = []
    for _ in range(ASKED):
        took.append(visit.ask(".sl-people", lambda: tab(page, "Whom it changes")))
        tab(page, "Listener")
        page.wait_for_selector(".sl-people", state="detached")
        visit.settle()
    yield "whom it changes", took
    visit.told.clear()
    visit.ask(".sl-people", lambda: tab(page, "Whom it changes"))
    yield "another order of these", visit.choose(".sl-people", "order", (1, 2))


def tab(page: Page, name: str) -> None:
    """Go to one of the app's pages."""
    page.locator(".st-key-page").get_by_text(name, exact=True).click()


@contextmanager
def server(folder: Path) -> Iterator[tuple[float, subprocess.Popen[str]]]:
    """`setlist dashboard` on the folder; the seconds until it said that it listens."""
    command = [str(Path(sys.executable).with_name("setlist")), "dashboard", "--port", str(PORT)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            print(f"    {line.rstrip()}", flush=True)
            if line.startswith("open http"):
                break
        yield time.perf_counter() - began, process
    finally:
        process.terminate()
        process.wait(30)


def peak_mb(process: subprocess.Popen[str]) -> float:
    """The most memory that it held so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e3


def row(name: str, took: list[float], bar: int, told: list[float]) -> str:
    """One line of the table."""
    own = f"{statistics.median(told):.0f}" if told else ""
    worst = max(took)
    said = "met" if worst < bar else "median met" if statistics.median(took) < bar else "**missed**"
    return (
        f"| {name} | {len(took)} | {statistics.median(took):.0f} | {worst:.0f} | {own} | {bar} | "
        f"{said} |"
    )


def measure(folder: Path, browser: Browser) -> None:
    """Print the table."""
    first, second, rows, started, memory = [], [], [], [], 0.0
    for number in range(STARTS):
        print(f"start {number + 1} of {STARTS}", flush=True)
        with server(folder) as (seconds, process):
            started.append(seconds)
            for place in range(1 + VISITS):
                with browser.new_context(viewport={"width": 1600, "height": 1000}) as context:
                    visit = Visit(context.new_page())
                    (second if place else first).append((visit.paint, visit.lists))
                    if number < STARTS - 1 or place < VISITS:
                        continue
                    for name, took in queries(visit):
                        rows.append(row(name, took, BAR_QUERY, visit.told))
                        print(f"    {rows[-1]}", flush=True)
                        visit.told.clear()
            memory = max(memory, peak_mb(process))
    print(
        "\n| ms | times | median | worst | of that the models | bar | |"
        "\n|---|--:|--:|--:|--:|--:|---|"
    )
    for name, found in (("first visit of a fresh server", first), ("later visits", second)):
        for place, what in enumerate(("first paint", "lists on the screen")):
            took = np.array(found)[:, place].tolist()
            print(row(f"{name}: {what}", took, BAR_VISIT, []))
    print(*rows, sep="\n")
    print(f"\nThe server starts in {statistics.median(started):.1f} s and holds {memory:,.0f} MB.")


if __name__ == "__main__":
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        kept = Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        if not (kept / ".setlist").is_dir():
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.explorer_run", str(share), str(kept)],
                check=True,
            )
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        measure(kept, started)
        started.close()
