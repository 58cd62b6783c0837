r"""Text of strangers, made harmless for where it goes.

Names, titles, reasons, run ids and messages come from stores, tables, models and servers. A
terminal obeys what some of them hold, a line break forges a second line of a log, and a mark of
direction shows a text backwards. Here such characters become words, such as `\x1b`; the letters of
all scripts stay. There is one function for each place that a text goes to:

one_line    a line of a log, a cell of a table, a label, a message
lines       several lines, such as the log of a pod
markdown    a model card, a report in Markdown
cell        a table that a spreadsheet may open
plain_output  all that this process prints

HTML is escaped by the templates, on top of `one_line`; see `setlist.report.untrusted_text`.
"""

import re
import sys
import unicodedata
from typing import TextIO

LINE_LENGTH = 4_000
"""Characters; no sentence of this project is longer, and a termination message holds no more."""
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
"""What a program writes to colour its output; it is dropped where lines are shown."""
NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
JOINERS = "\u200c\u200d"
"""They shape Persian and Indic words and make one emoji of several; there they stay."""
BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks by their class that nobody can see."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
HTML_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def one_line(value: object, length: int = LINE_LENGTH) -> str:
    r"""The value as one line of at most `length` characters; the last one is an ellipsis if cut.

    >>> one_line("live\x1b[2J\nrevision 9 of home")
    'live\\x1b[2J\\nrevision 9 of home'
    """
    text = str(value)
    # Cut before, too: a text of any size costs no more than a short one.
    shown = _visible(text[: length + 1])
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def lines(text: str) -> str:
    """The text with its line breaks and tabs, without its colours; everything else as words."""
    plain = COLOUR.sub("", text).replace("\r\n", "\n")
    # Not `splitlines`, which also breaks at characters that a terminal does not break at.
    return "\n".join("\t".join(map(_visible, line.split("\t"))) for line in plain.split("\n"))


def markdown(value: object) -> str:
    """One line of Markdown text without markup, links or HTML."""
    text = one_line(" ".join(str(value).split()))
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


def cell(value: object, length: int = LINE_LENGTH) -> str:
    """One line that no spreadsheet takes for a formula; a quote in front says that it is text."""
    text = str(value)
    return one_line(f"'{text}" if text.lstrip().startswith(FORMULA) else text, length)


def plain_output() -> None:
    """Have all that this process prints pass through `lines`, also tracebacks and warnings."""
    # They are streams but for what nobody calls: `print`, logging and warnings only write.
    if not isinstance(sys.stdout, _PlainStream):
        sys.stdout = _PlainStream(sys.stdout)
    if not isinstance(sys.stderr, _PlainStream):
        sys.stderr = _PlainStream(sys.stderr)


class _PlainStream:
    """A stream that writes every text as `lines` shows it, and is the other stream in the rest."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(lines(text))
        return len(text)

    def writelines(self, texts: list[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _visible(text: str) -> str:
    """The text with words for the characters that are obeyed instead of seen."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if _is_seen(text, place) else _word(character)
        for place, character in enumerate(text)
    )


def _is_seen(text: str, place: int) -> bool:
    character = text[place]
    if character in JOINERS:
        around = text[max(place - 1, 0) : place] + text[place + 1 : place + 2]
        return len(around) == 2 and not around[0].isascii() and not around[1].isascii()
    if character in BLANK:
        return False
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _word(character: str) -> str:
    code = ord(character)
    if character in NAMED:
        return NAMED[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
