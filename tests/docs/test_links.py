"""No link of a page leads nowhere: the site, the README, and links to code."""

from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, anchors, links, name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_links_to_is_there(page: Path):
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "generated" not in name(target) or target.exists():
            assert target.is_relative_to(ROOT), link
            assert target.exists(), link
            if anchor:
                assert target.suffix == ".md", f"{link}: a line of a file moves"
                assert anchor in anchors(target), link
