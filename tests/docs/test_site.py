"""The built site: strict, whole, and without anything from elsewhere."""

import re
from pathlib import Path

LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(https?:|//)|<link\b[^>]*\bhref=["']?(?:https?:|//)[^>]*>"""
)


def test_the_site_is_built_and_its_pages_load_nothing_from_elsewhere(site: Path):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    assert [
        (page.name, match[0])
        for page in pages
        for match in LOADED.finditer(page.read_text("utf-8"))
    ] == []


def test_what_makes_the_site_is_not_in_it(site: Path):
    assert list(site.rglob("*.py")) == []


def test_the_tutorial_has_a_report_to_click_through(site: Path):
    report = site / "tutorial" / "report.html"
    assert 50_000 < report.stat().st_size < 1_000_000
    assert 'href="report.html"' in (site / "tutorial" / "index.html").read_text("utf-8")
    assert "Content-Security-Policy" in report.read_text("utf-8")
