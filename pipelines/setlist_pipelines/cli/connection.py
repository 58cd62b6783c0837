"""Which cluster a command asks, as whom, and the tables of what it answers."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from setlist_pipelines.kubeflow.api import Kubeflow

Image = Annotated[
    str, typer.Option(envvar="SETLIST_IMAGE", help="The image of every step, name@sha256:...")
]
Host = Annotated[
    str,
    typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="The URL of Kubeflow Pipelines."),
]
Namespace = Annotated[
    str, typer.Option(envvar="KFP_NAMESPACE", help="The profile's, where there are several.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="A file with a bearer token, read for every call; or KFP_TOKEN, a token."),
]
Cookies = Annotated[
    str,
    typer.Option(
        envvar="KFP_COOKIES",
        help="Cookies of Dex or IAP, name=value; better in the variable: others see arguments.",
    ),
]


def examples(*lines: str) -> str:
    """The end of a command's help: commands to copy."""
    return "\n\n".join(("Examples:", *lines))


def command(words: str, config: Path, change: list[str] | None) -> str:
    """A command for the same settings, to be copied."""
    options = ["--config", str(config)]
    for one in change or ():
        options += ["--set", one]
    return f"{words} {shlex.join(options)}"


def connect(
    host: str, namespace: str, token_file: Path | None, cookies: str, patient: bool = True
) -> "Kubeflow":
    """The API that the options name."""
    from setlist_pipelines.kubeflow.api import Kubeflow, find_access

    return Kubeflow(find_access(host, namespace, token_file, cookies), patient)


def new_table(*columns: str) -> "Table":
    """A table without rows."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: "Table", *cells: object) -> None:
    """Add a row as it is: what a server says is no markup."""
    from rich.text import Text

    table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells))
