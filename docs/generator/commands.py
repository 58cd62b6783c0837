"""All commands of `setlist` with their arguments, options and examples, as they are declared."""

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import typer

from generator.docstrings import cell, markdown, sentence
from setlist_pipelines.cli.main import app

LEFT_OUT = {"help"}
"""Options of every command, which the head of the page names once."""


def page() -> str:
    """A section for each command, those of a group below the group."""
    group = typer.main.get_command(app)
    return "\n\n".join(part for part in _group(group, "setlist", "##") if part)


def commands(group: Any, words: str = "setlist") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """All commands by their words, such as "setlist models list"."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{words} {name}")
        else:
            yield f"{words} {name}", command


def _group(group: Any, words: str, level: str) -> Iterator[str]:  # noqa: ANN401 - typer's click
    for name, command in sorted(group.commands.items(), key=lambda pair: _order(*pair)):
        called = f"{words} {name}"
        yield f"{level} `{called}`"
        if hasattr(command, "commands"):
            yield markdown(command.help or "")
            yield from _group(command, called, level + "#")
        else:
            yield from _command(command, called)


def _order(name: str, command: Any) -> tuple[bool, str]:  # noqa: ANN401 - typer's click
    """Single commands first, then groups, each by name."""
    return hasattr(command, "commands"), name


def _command(command: Any, called: str) -> Iterator[str]:  # noqa: ANN401 - typer's click
    context = command.make_context(called, [], resilient_parsing=True)
    usage = " ".join([called, *command.collect_usage_pieces(context)])
    yield markdown(command.help or "")
    yield f"```text\n{usage}\n```"
    rows = [
        _row(parameter, context)
        for parameter in command.get_params(context)
        if parameter.name not in LEFT_OUT and not parameter.hidden
    ]
    if rows:
        yield "\n".join(
            ["| option | values | default | what it does |", "|---|---|---|---|", *rows]
        )
    _, *lines = (command.epilog or "").split("\n\n")
    yield "```sh\n" + "\n".join(lines) + "\n```"
    if any(parameter.name == "json" for parameter in command.params):
        anchor = called.replace(" ", "-")
        yield f"The keys of `--json` are [here](json.md#{anchor})."


def _row(parameter: Any, context: Any) -> str:  # noqa: ANN401 - typer's click
    if parameter.param_type_name == "argument":
        names = " ".join(f"`{piece}`" for piece in parameter.get_usage_pieces(context))
    else:
        names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    kind = parameter.display_type_rich(context)
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if low is not None or high is not None:
        parts = (
            f"from {low:g}" if low is not None else "",
            f"to {high:g}" if high is not None else "",
        )
        kind = f"{kind}, {' '.join(filter(None, parts))}"
    words = sentence(parameter.help or "")
    if parameter.envvar:
        words += f" The variable `{parameter.envvar}` does the same."
    values = ", ".join(f"`{one}`" for one in kind.strip("<>").split("|")) if "|" in kind else kind
    return f"| {names} | {cell(values.strip('<>'))} | {_default(parameter)} | {cell(words)} |"


def _default(parameter: Any) -> str:  # noqa: ANN401 - typer's click
    if parameter.required:
        return "must be given"
    value = parameter.default
    if value in (None, "", False) or callable(value):
        return ""
    return f"`{value if isinstance(value, PurePath) else str(value)}`"
