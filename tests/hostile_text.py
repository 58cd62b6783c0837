"""A name as a stranger would write it, and what of it must not arrive anywhere."""

import re
import unicodedata

import pandas as pd

FORGED = "revision 99 of home is live"
HOSTILE = (
    f"Ärger 東京\x1b[2J\x1b]0;owned\x07\n{FORGED}\r\x9b31m\u2028 "
    "\u202egnp.exe\u2066 p\u200bay\ufeff "
    "[red]r[/red] [link=http://x]l[/link] :red_heart: | a `b` <script>alert(1)</script> "
    "![i](http://x/y.png)"
)
TITLES = (
    'Rock & Roll "Forever"',
    "<b>Bold</b> Beats",
    "Don't Stop'; DROP the Bass --",
    "100% {{ Energy }} </script>",
)
"""Titles that are harmless where a page escapes them."""
FORMULA = "=cmd|' /C calc'!A0"
LETTERS = "Ärger 東京 می\u200cخواهم नमस्ते 👩\u200d🚀 naïve"
"""Words of several scripts, of which no letter may be lost."""


def retitled(playlists: pd.DataFrame) -> pd.DataFrame:
    """The sample's playlists, of which the first few have hostile titles.

    Those that people see have none. One of the first four is among the most popular of all.
    """
    titles = [*TITLES, *playlists["title"].iloc[len(TITLES) :]]
    return playlists.assign(title=titles)


def raw(text: str, keep: str = "\n") -> str:
    """What a terminal, a log or a page would obey instead of showing it; "" is right."""
    joined = re.sub(r"(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])", "", text)
    return "".join(
        character
        for character in joined
        if character not in keep
        and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    )


def check_plain(text: str) -> None:
    """Fail where a text holds something raw, or a line that a stranger has forged."""
    assert raw(text) == "", ascii(text)
    assert not re.search(rf"^\s*{FORGED}", text, re.MULTILINE), text
