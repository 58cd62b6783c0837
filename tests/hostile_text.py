"""A name as a stranger would write it, and what of it must not arrive anywhere."""

import re
import unicodedata

FORGED = "revision 99 of home is live"
HOSTILE = (
    f"Ärger 東京\x1b[2J\x1b]0;owned\x07\n{FORGED}\r\x9b31m\u2028 "
    "\u202egnp.exe\u2066 p\u200bay\ufeff "
    "[red]r[/red] [link=http://x]l[/link] :red_heart: | a `b` <script>alert(1)</script> "
    "![i](http://x/y.png)"
)
FORMULA = "=cmd|' /C calc'!A0"
LETTERS = "Ärger 東京 می\u200cخواهم नमस्ते 👩\u200d🚀 naïve"
"""Words of several scripts, of which no letter may be lost."""


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
