"""The help pages, the version and the completion, for all commands alike."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest
from tests.setlist_pipelines.cli.documented import commands
from tests.waiting import PATIENCE

from setlist_pipelines.cli.help_page import type_word

PYTHON_TYPE = re.compile(r"<(?:bool|str|int|float|path)\b|\b(?:list|dict|tuple)\[|\bNone\b")
COMMANDS = dict(commands())
GROUPS = ["", "data", "models", "runs", "schedule", "kind", "image"]


@pytest.mark.parametrize("words", [*COMMANDS, *GROUPS])
def test_the_help_names_no_types_of_python_and_ends_with_examples(setlist, words, monkeypatch):
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    done = setlist(*words.split(), "--help")
    assert done.code == 0, done.err
    assert not PYTHON_TYPE.search(done.out), done.out
    _, _, examples = done.out.partition("Examples:")
    assert f"setlist {words}".rstrip() in examples


def example_lines():
    for words, command in COMMANDS.items():
        for line in command.epilog.split("\n\n")[1:]:
            yield pytest.param(words, line, id=line)


@pytest.mark.parametrize(("words", "line"), list(example_lines()))
def test_an_example_is_a_call_of_its_command(words, line):
    """With options that there are and arguments that it takes; nothing is run."""
    if inner := re.search(r"\$\((.*)\)", line):  # export SETLIST_IMAGE=$(...)
        line = inner[1]
    called = shlex.split(line.partition(">")[0])
    own = ["setlist", *words.split()]
    if called[0] != "setlist":
        assert words.startswith("schedule"), "the part of a settings file"
        return
    assert called[: len(own)] == own
    COMMANDS[words].make_context("setlist", called[len(own) :])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("<bool>", ""),
        ("<list[str]>", "TEXT"),
        ("<int range>", "NUMBER"),
        ("<retraining|monitoring>", "<retraining|monitoring>"),
    ],
)
def test_a_type_is_a_word(name, word):
    assert type_word(name) == word


def test_the_version_is_that_of_the_distribution(setlist):
    done = setlist("--version")
    assert (done.code, done.out) == (0, f"setlist {version('setlist')}\n")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("setlist mod", ["models"]),
        ("setlist models h", ["history"]),
        ("setlist run --fa", ["--fail-on"]),
    ],
)
def test_a_shell_completes_commands_and_options(typed, offered):
    """As the function that `--install-completion` installs for bash asks."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['setlist']; "
         "from setlist_pipelines.cli.main import main; main()"],
        env={"_SETLIST_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD":
             str(len(typed.split()) - 1), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.stdout.split() == offered, done.stderr
