"""What mkdocs does beside its own work.

Parts of pages are made from the code. A link to a file of the repository is for the forge; the site
names the file instead.
"""

import logging
import re
from pathlib import Path, PurePosixPath

from generator import filled
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LOG = logging.getLogger("mkdocs.hooks.setlist")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)(#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """The text with the path of a file where it links to one that the site does not have."""
    folder = PurePosixPath("docs", page.file.src_uri).parent

    def shown(match: re.Match[str]) -> str:
        text, target = match[1], ROOT / folder / match[2]
        path = target.resolve().relative_to(ROOT)
        if path.parts[:1] == ("docs",):
            return match[0]
        if not target.exists():
            LOG.warning("%s links to %s, which is not there", page.file.src_uri, match[2])
        named = f"`{path}`"
        return named if text.strip("`") == str(path) else f"{text} ({named})"

    return LINK.sub(shown, filled(markdown))
