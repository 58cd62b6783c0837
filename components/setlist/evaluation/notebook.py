"""Results as a notebook shows them: tables without scripts, in which every text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from setlist.printable import one_line


def html_line(text: str) -> str:
    """A text as a paragraph of its own."""
    return f"<p>{escape(one_line(text))}</p>"


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, the first row of which names the columns."""
    names = "".join(f"<th>{escape(one_line(text))}</th>" for text in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(one_line(text))}</td>' for text in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
