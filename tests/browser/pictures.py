"""The pictures of the report in the README, of real runs on the bundled sample (two minutes).

.venv/bin/python -m tests.browser.pictures
"""

import tempfile
from pathlib import Path

import typer
from playwright.sync_api import FloatRect, Page, sync_playwright

from pipelines.config import SAMPLE, read_settings
from pipelines.local import run_local
from pipelines.summary import Progress
from tests.browser.conftest import CHROMIUM, QUIET

DOCS = Path(__file__).parents[2] / "docs"
WIDTH = 1280
FLOODED = "data.events.path=sample://events?planted=one_region"


def report_of(workdir: Path, *changes: str) -> Path:
    """Run the pipeline on the sample; the path of its page."""
    settings = read_settings(SAMPLE, [f"store={workdir / 'store'}", *changes])
    with Progress() as progress:
        return run_local(settings, workdir, progress.say).root / "report.html"


def take(page: Page, report: Path, first: str, last: str, name: str) -> None:
    """A picture of a page from the top of one element to the bottom of another."""
    page.goto(report.as_uri())
    top, bottom = page.locator(first).bounding_box(), page.locator(last).bounding_box()
    assert top is not None
    assert bottom is not None
    start = max(top["y"] - 16, 0)
    end = bottom["y"] + bottom["height"] + 16
    clip = FloatRect(x=0, y=start, width=WIDTH, height=end - start)
    page.screenshot(path=DOCS / name, full_page=True, clip=clip)
    typer.echo(f"{DOCS / name}: {(DOCS / name).stat().st_size // 1000:,} kB")


def main() -> None:
    """Run, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        workdir = Path(folder)
        plain = report_of(workdir)
        flooded = report_of(workdir, FLOODED, "name=flooded")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        take(page, plain, "header", "svg.forest", "report.png")
        take(page, flooded, "#glance", ".squares", "one-region.png")
        browser.close()


if __name__ == "__main__":
    main()
