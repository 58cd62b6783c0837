"""All commands, and the keys that docs/reference/json.md promises to scripts of what they print."""

import json
import re
from pathlib import Path

import typer

from setlist_pipelines.cli.main import app

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "json.md"


def commands(group=None, words=()):
    """All commands of the line by their words."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def documented() -> dict[str, set[str]]:
    """Command -> the paths of its keys, such as `runs[].id`."""
    _, *sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {
        section.splitlines()[0].strip("`").removeprefix("setlist "): set(
            re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
        )
        for section in sections
    }


def paths(value: object, leaves: set[str], path: str = "") -> set[str]:
    """The paths of all keys in a document; what stands at a documented path is not looked into."""
    if path in leaves:
        return {path}
    if isinstance(value, dict):
        nested = ((f"{path}.{key}" if path else key, part) for key, part in value.items())
    elif isinstance(value, list):
        nested = ((f"{path}[]", part) for part in value)
    else:
        return {path}
    return {deeper for there, part in nested for deeper in paths(part, leaves, there)}


def read_answer(command: str, printed: str) -> dict:
    """The JSON object of a command: its keys are those of the page, all of them and no others.

    Lists in it must not be empty, because the keys of their elements are not seen then.
    """
    assert printed.isascii(), "a terminal obeys none of it"
    answer = json.loads(printed)
    promised = documented()[command]
    assert paths(answer, promised) == promised
    return answer
