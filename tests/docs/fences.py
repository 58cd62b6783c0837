"""The code in the pages: its fences, and the calls of commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import PAGES, name

FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SUBSTITUTED = re.compile(r"\$\(([^()]*)\)")
ASSIGNED = re.compile(r"\w+=.*")
SHELL = ("sh", "bash")


@dataclass(frozen=True)
class Fence:
    """A block of code in a page.

    Attributes:
        page: that has it.
        line: its first line, from 1.
        language: as the page names it.
        code: without the indentation of the fence.
    """

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"


def fences(*languages: str) -> Iterator[Fence]:
    """All blocks of these languages in the README and the docs."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in FENCE.finditer(text):
            if match[2] in languages:
                line = text.count("\n", 0, match.start()) + 1
                code = re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)
                yield Fence(page, line, match[2], code)


def lines_of(code: str) -> list[str]:
    """The lines of a shell script without comments; what goes on behind a \\ is one line."""
    joined = code.replace("\\\n", " ")
    return [
        line
        for line in (re.sub(r"(^|\s)#.*$", "", each) for each in joined.splitlines())
        if line.strip()
    ]


def calls(code: str) -> list[list[str]]:
    """The calls in a shell script: a command and its arguments each."""
    found = []
    for line in lines_of(code):
        inner = SUBSTITUTED.findall(line)
        for text in (*inner, SUBSTITUTED.sub("SUBSTITUTED", line)):
            found += _simple(text)
    return found


def _simple(text: str) -> Iterator[list[str]]:
    parts = shlex.shlex(text, posix=True, punctuation_chars=True)
    parts.whitespace_split = True
    call: list[str] = []
    redirected = False
    for part in (*parts, ";"):
        if set(part) <= set("&|;(){}"):
            while call and ASSIGNED.fullmatch(call[0]):
                call.pop(0)
            if call:
                yield call
            call = []
        elif set(part) <= set("<>"):
            redirected = True
        elif redirected:
            redirected = False
        else:
            call.append(part.removeprefix(".venv/bin/").replace(".venv-peers/bin/", ""))
