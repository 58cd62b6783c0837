"""The pages of the documentation, as they are written: what links to what, and the code in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?)\s*(?:\{#([\w-]+)\})?$", re.MULTILINE)
FENCE = re.compile(r"^( *)```[^\n]*\n.*?^\1```$", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    """The path of a page in the repository, by which a test is named."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its code."""
    return FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Where the page links to, in its order."""
    return LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names of a page's headings in addresses, as forges and the site make them."""
    return {
        given or re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        for text, given in HEADING.findall(prose(page))
    }
