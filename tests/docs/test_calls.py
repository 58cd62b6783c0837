"""Each call of a command in the pages: there is such a command, and it has such options."""

import importlib.util
import re
from pathlib import Path

import pytest
from tests.docs.fences import SHELL, calls, fences
from tests.docs.pages import ROOT
from tests.setlist_pipelines.cli.documented import commands

COMMANDS = dict(commands())
OTHERS = {
    ".",
    "curl",
    "docker",
    "export",
    "jq",
    "kubectl",
    "model_signing",
    "openssl",
    "printf",
    "sed",
    "git",
    "cd",
    "mkdir",
}
"""Programs that are not ours, whose options nobody checks here."""
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def all_calls():
    for fence in fences(*SHELL):
        for call in calls(fence.code):
            yield pytest.param(call, id=f"{fence} {' '.join(call)}"[:120])


@pytest.mark.parametrize("call", list(all_calls()))
def test_a_call_is_of_a_command_with_such_options(call: list[str]):
    program, *arguments = call
    if program == "setlist":
        if arguments in (["--version"], ["--install-completion"], ["--help"]):
            return
        words = max(
            (words for words in COMMANDS if arguments[: len(words.split())] == words.split()),
            key=len,
            default="",
        )
        assert words, f"there is no command {' '.join(arguments[:2])}"
        rest = arguments[len(words.split()) :]
        if rest != ["--help"]:
            COMMANDS[words].make_context("setlist", rest)
    elif program == "make":
        assert {argument for argument in arguments if "=" not in argument} <= set(TARGETS)
    elif program in ("python", "python3") and arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1])
    elif program in ("python", "pytest"):
        assert (ROOT / arguments[0]).exists()
    elif "/" in program:
        assert (ROOT / program).stat().st_mode & 0o100, "it cannot be run"
        inner = [part for part in arguments if "/" in part and not part.startswith("-")]
        assert all((ROOT / part).exists() for part in inner if part.startswith("tests/"))
    else:
        assert program in OTHERS


def test_calls_are_found_in_pipes_backgrounds_and_substitutions():
    code = (
        "A=1 setlist run --set 'a=b|c' && setlist clean  # and more\n"
        "export X=$(setlist image digest y) | jq -r '.a[]'\n"
        "setlist serve &\ncurl -d '{\"k\": 3}' \\\n  host >out\n"
    )
    assert calls(code) == [
        ["setlist", "run", "--set", "a=b|c"],
        ["setlist", "clean"],
        ["setlist", "image", "digest", "y"],
        ["export", "X=SUBSTITUTED"],
        ["jq", "-r", ".a[]"],
        ["setlist", "serve"],
        ["curl", "-d", '{"k": 3}', "host"],
    ]


def test_pages_have_commands():
    assert len({fence.page for fence in fences(*SHELL)}) > 10
    assert isinstance(next(fences(*SHELL)).page, Path)
