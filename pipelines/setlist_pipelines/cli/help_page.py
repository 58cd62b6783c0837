"""The help pages of the command line: their types are words, and their ends are examples."""

import shlex
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

if TYPE_CHECKING:
    from typer._click.core import Context, Parameter

F = TypeVar("F", bound=Callable[..., object])
WORDS = {
    "str": "TEXT",
    "path": "PATH",
    "file": "PATH",
    "int": "NUMBER",
    "int range": "NUMBER",
    "float": "NUMBER",
    "float range": "NUMBER",
    "bool": "",
}
"""What stands for a type; of a flag nothing does, because it takes no value."""


def examples(*lines: str) -> str:
    """The end of a command's help: example commands to copy."""
    return "\n\n".join(("Examples:", *lines))


def type_word(name: str) -> str:
    """The word for a type as typer names it, such as `<list[int range]>`; choices stay."""
    bare = name.strip("<>").removeprefix("list[").removesuffix("]")
    return WORDS.get(bare.lower(), name)


class HelpPage(TyperCommand):
    """A command whose help names no types of Python, and which knows a settings file."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Read the arguments; one too many that is a file may be meant as the settings."""
        strict, ctx.allow_extra_args = not ctx.allow_extra_args, True
        more = super().parse_args(ctx, args)
        if more and strict and not ctx.resilient_parsing:
            takes_settings = any(parameter.name == "config" for parameter in self.params)
            if takes_settings and Path(more[0]).is_file():
                config = f"--config {shlex.quote(more[0])}"
                ctx.fail(f"{more[0]} is a file; write {config} if it holds settings")
            ctx.fail(f"Got unexpected extra arguments ({' '.join(more)})")
        return more

    def get_params(self, ctx: "Context") -> "list[Parameter]":
        """The parameters, `--help` among them."""
        return _named(super().get_params(ctx))


class HelpOfGroup(TyperGroup):
    """A group of commands whose help names no types of Python."""

    def get_params(self, ctx: "Context") -> "list[Parameter]":
        """The parameters, `--help` among them."""
        return _named(super().get_params(ctx))


class Commands(typer.Typer):
    """Commands with such help pages, each of which ends with examples."""

    def __init__(
        self,
        *,
        help: str | None = None,  # noqa: A002 - as typer calls it
        epilog: str | None = None,
    ) -> None:
        super().__init__(
            cls=HelpOfGroup,
            help=help,
            epilog=epilog,
            no_args_is_help=True,
            rich_markup_mode="rich",
            pretty_exceptions_enable=False,
        )

    def command(  # type: ignore[override]
        self,
        name: str | None = None,
        *,
        epilog: str,
        context_settings: dict[str, bool] | None = None,
    ) -> Callable[[F], F]:
        """Add a command."""
        return super().command(name, cls=HelpPage, epilog=epilog, context_settings=context_settings)


def _named(parameters: "list[Parameter]") -> "list[Parameter]":
    """The parameters, which show words in place of their types."""
    for parameter in parameters:
        if isinstance(parameter, TyperArgument | TyperOption):
            shown = parameter.display_type_rich
            if not isinstance(shown, partial):  # they are asked for more than once
                parameter.display_type_rich = partial(_word, shown)  # type: ignore[method-assign]
    return parameters


def _word(shown: "Callable[[Context], str | None]", ctx: "Context") -> str:
    return type_word(shown(ctx) or "")


def print_version(asked: bool) -> None:
    """Print the version and end, if it is asked for."""
    if asked:
        typer.echo(f"setlist {version('setlist')}")
        raise typer.Exit
