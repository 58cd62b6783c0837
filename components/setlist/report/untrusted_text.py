"""Text that comes from the data, cut and escaped before it stands on a page.

Titles, tags, ids and named inputs are written by other people: none of them may become markup.
"""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

# Long texts are cut and only the first tags are shown, so that pages stay small.
TITLE_LENGTH = 80
VALUE_LENGTH = 40
TAG_LENGTH = 24
TAGS_PER_ITEM = 4
HTML_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def clip(text: str, length: int) -> str:
    """Cut a text to `length` characters; the last of them is then an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def html_templates(folder: Path) -> Environment:
    """Load the HTML templates of a folder; values are escaped, an unknown name is an error."""
    return Environment(
        autoescape=True,
        loader=FileSystemLoader(folder),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )


def escape_markdown(value: object) -> str:
    """Escape a value for Markdown: one line of text without markup, links or HTML."""
    text = " ".join(str(value).split())
    for pattern, replacement in (
        (r"[&<>]", lambda match: HTML_ENTITIES[match[0]]),
        # An underscore inside a word is no markup, and escaping it would spoil metric names.
        (r"[\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>"),
        # GitHub turns addresses into links by themselves; an entity in them prevents that.
        (r":(?=//)|(?<=mailto):|(?<=xmpp):", "&#58;"),
        (r"(?<=www)\.", "&#46;"),
        (r"@(?=[\w-]+\.)", "&#64;"),
    ):
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    return text
