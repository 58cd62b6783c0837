"""Docstrings as Markdown: their sentences, their sections and their examples."""

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from textwrap import dedent

SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):$")
ENTRY = re.compile(r"^ {4}([\w*][\w*, ]*): (.*)$")
EXAMPLE = re.compile(r"^(?:>>> .*(?:\n(?!\n).*)*)", re.MULTILINE)
CODE = re.compile(r"(```.*?```|`[^`]*`)", re.DOTALL)


@dataclass
class Docstring:
    """A docstring in parts.

    Attributes:
        text: what stands above the sections, as Markdown.
        entries: section -> name -> its words.
    """

    text: str
    entries: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, thing: object) -> "Docstring":
        """The docstring of a class, a function or a module."""
        return cls.parse(inspect.getdoc(thing) or "")

    @classmethod
    def parse(cls, text: str) -> "Docstring":
        """Divide a docstring in the style of Google."""
        above: list[str] = []
        entries: dict[str, dict[str, str]] = {}
        section, names = "", [""]
        for line in inspect.cleandoc(text).splitlines():
            if heading := SECTION.match(line):
                section, names = heading[1], [""]
                entries[section] = {}
            elif section and line and not line.startswith(" "):
                section = ""
                above += ["", line]
            elif not section:
                above.append(line)
            elif entry := ENTRY.match(line):
                names = [name.strip() for name in entry[1].split(",")]
                entries[section] |= dict.fromkeys(names, entry[2])
            elif line.strip():
                for name in names:
                    before = entries[section].get(name, "")
                    entries[section][name] = f"{before} {line.strip()}".strip()
        return cls(markdown("\n".join(above).strip()), entries)


def markdown(text: str) -> str:
    """The text of a docstring, its examples as code."""
    fenced = EXAMPLE.sub(lambda match: f"```pycon\n{match[0]}\n```", text)
    return outside_code(fenced, lambda prose: prose.replace("<", "&lt;"))


def cell(text: str) -> str:
    """A text as a cell of a table."""
    line = " ".join(text.split()).replace("|", "\\|")
    return outside_code(line, lambda prose: prose.replace("<", "&lt;").replace("*", "\\*"))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text, changed where it is no code."""
    parts = CODE.split(text)
    return "".join(part if index % 2 else change(part) for index, part in enumerate(parts))


def sentence(text: str) -> str:
    """The text with a capital at its beginning and a stop at its end."""
    text = " ".join(text.split())
    if not text:
        return ""
    first = text if text[0] == "`" or text[:2].isupper() else text[0].upper() + text[1:]
    return first if first[-1] in ".?!" else f"{first}."


def attribute_docstrings(kind: type) -> dict[str, str]:
    """The texts that stand below the fields of a class, by the names of the fields."""
    [node] = ast.parse(dedent(inspect.getsource(kind))).body
    texts, last = {}, ""
    for statement in getattr(node, "body", []):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            last = statement.target.id
        elif last and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            texts[last] = inspect.cleandoc(str(statement.value.value))
            last = ""
        else:
            last = ""
    return texts
