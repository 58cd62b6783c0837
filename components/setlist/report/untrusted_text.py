"""Text that comes from the data, cut and escaped before it stands on a page.

Titles, tags, ids and named inputs are written by other people: none of them may become markup.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from setlist.printable import one_line

# Long texts are cut and only the first tags are shown, so that pages stay small.
TITLE_LENGTH = 80
VALUE_LENGTH = 40
TAG_LENGTH = 24
TAGS_PER_ITEM = 4


def clip(text: str, length: int) -> str:
    """Cut a text to `length` characters, the last of them an ellipsis, control characters shown."""
    return one_line(text, length)


def html_templates(folder: Path) -> Environment:
    """Load the HTML templates of a folder; values are escaped, an unknown name is an error."""
    return Environment(
        autoescape=True,
        finalize=_shown,
        loader=FileSystemLoader(folder),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )


def _shown(value: object) -> object:
    """A text as one line with its control characters shown; markup and numbers as they are."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
