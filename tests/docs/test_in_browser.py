"""The built site in a browser, from its files and without a network: wide, narrow, light, dark."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.opened import opened

pytestmark = pytest.mark.slow

CUT_OFF = """() => [...document.querySelectorAll(".language-sh pre > code")]
    .filter(code => code.scrollWidth > code.clientWidth).length"""
"""The commands of a page that do not fit into their box."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_and_asks_for_nothing_from_elsewhere(
    browser: Browser, site: Path, width: int, scheme: str
):
    pages = [path for path in site.rglob("*.html") if path.name not in ("404.html", "report.html")]
    assert len(pages) > 25
    window = {"width": width, "height": 900}
    start = (site / "index.html").as_uri()
    with opened(browser, start, f"{site.as_uri()}/", viewport=window, color_scheme=scheme) as one:
        for page in pages:
            one.page.goto(page.as_uri())
            assert one.wider_than_the_window() == 0, page.name
            assert one.page.evaluate(CUT_OFF) == 0, page.name
        assert one.faults == []


def test_it_can_be_searched_without_a_server(browser: Browser, site: Path):
    with opened(browser, (site / "index.html").as_uri(), f"{site.as_uri()}/") as one:
        one.page.keyboard.press("f")
        one.page.keyboard.type("over_heuristics")
        found = one.page.locator(".md-search-result__link", has_text="over_heuristics")
        expect(found.first).to_be_visible()
        found.first.click()
        expect(one.page.locator("h1")).to_have_count(1)
        assert one.faults == []
