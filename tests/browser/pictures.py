"""The pictures and the report of the docs, of real runs on the bundled sample (six minutes).

.venv/bin/python -m tests.browser.pictures
"""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlencode

import typer
from playwright.sync_api import FloatRect, Page, sync_playwright
from tests.browser.conftest import CHROMIUM, QUIET
from tests.browser.explored import EARLIER, FLOODED, explorer, run, settled

DOCS = Path(__file__).parents[2] / "docs" / "pictures"
REPORT = DOCS.parent / "tutorial" / "report.html"
WIDTH = 1280
ELSEWHERE = "L0790"
"""A listener who does not live where the flood comes from."""
WEAK = [EARLIER, "model.dimension=2", "model.epochs=1"]
"""A run whose candidate is refused."""


def take(page: Page, url: str, first: str, last: str, name: str) -> None:
    """A picture of a page from the top of one element to the bottom of another."""
    page.goto(url)
    picture(page, first, last, name)


def picture(page: Page, first: str, last: str, name: str, below: float = 16) -> None:
    """A picture of the page that is open, with so many pixels below the last element."""
    top, bottom = page.locator(first).bounding_box(), page.locator(last).bounding_box()
    assert top is not None
    assert bottom is not None
    start = max(top["y"] - 16, 0)
    end = bottom["y"] + bottom["height"] + below
    clip = FloatRect(x=0, y=start, width=WIDTH, height=end - start)
    page.screenshot(path=DOCS / name, full_page=True, clip=clip)
    typer.echo(f"{DOCS / name}: {(DOCS / name).stat().st_size // 1000:,} kB")


def explored(page: Page, url: str) -> None:
    """The pictures of the explorer's pages, with the sidebar.

    Its pages scroll within themselves: the window is made so high that all is in it.
    """
    page.set_viewport_size({"width": WIDTH, "height": 1600})
    worse = {"page": "Whom it changes", "order": "served worse"}
    twelve = ".sl-people tbody tr:nth-of-type(12)"
    for query, last, below, name in (
        ({"listener": ELSEWHERE}, ".sl-legend", 16, "explorer.png"),
        (worse, twelve, 0, "explorer-whom.png"),
        ({"page": "History"}, ".sl-history", 16, "explorer-history.png"),
    ):
        page.goto(f"{url}?{urlencode(query)}")
        settled(page)
        page.wait_for_timeout(2_000)  # a chart is drawn after its page is there
        picture(page, "[role=radiogroup]", last, name, below)


def main() -> None:
    """Run, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        workdir, other = Path(folder, "report"), Path(folder, "explorer")
        plain = run(workdir) / "report.html"
        flooded = run(workdir, FLOODED, "name=flooded") / "report.html"
        run(other, "as_of=2026-04-17")
        run(other, *WEAK)
        # The report that the tutorial links to: a candidate beside a live model.
        shutil.copyfile(run(other, EARLIER) / "report.html", REPORT)
        run(other, FLOODED)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        take(page, plain.as_uri(), "header", "svg.forest", "report.png")
        take(page, flooded.as_uri(), "#glance", ".squares", "one-region.png")
        with explorer(other) as url:
            explored(page, url)
        browser.close()


if __name__ == "__main__":
    main()
