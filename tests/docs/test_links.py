"""No link leads nowhere: those of the README, and those of the docs to files of the repository.

Between pages of the docs the strict build of the site looks.
"""

import re
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, anchors, links, name

README = ROOT / "README.md"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_files_that_a_page_links_to_are_there(page: Path):
    for link in links(page):
        if not link.startswith(("https://", "#")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve()
            assert target.is_relative_to(ROOT), link
            assert target.exists(), link
            assert not anchor or target.suffix == ".md", f"{link}: a line of a file moves"


def test_the_headings_that_the_readme_links_to_are_there(site: Path):
    for link in links(README):
        path, _, anchor = link.partition("#")
        if link.startswith("https://") or not anchor:
            continue
        if not path:
            assert anchor in anchors(README), link
            continue
        page = site / Path(path).relative_to("docs").with_suffix(".html")
        assert anchor in re.findall(r' id="([^"]+)"', page.read_text("utf-8")), link


def test_pages_say_where_they_are_on_the_forge_by_relative_links():
    """An address of one forge would be wrong in every copy of the repository."""
    for page in PAGES:
        assert [link for link in links(page) if "/blob/" in link] == [], name(page)
