"""What several commands share: options and connections."""

import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import SettingsError
from setlist.printable import one_line
from setlist_pipelines.settings.cron_schedule import PipelineName

if TYPE_CHECKING:
    from setlist_pipelines.kubeflow.api import Kubeflow
    from setlist_pipelines.settings.file import Settings

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file; the bundled sample if left out."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Replace one setting, e.g. --set as_of=2026-04-24 (can be repeated)."
    ),
]
PipelineOption = Annotated[
    PipelineName, typer.Option("--pipeline", help="Which of the two pipelines.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print one line, the result; errors are printed, too.")
]
StoreOption = Annotated[
    str, typer.Option(envvar="SETLIST_STORE", help="A local folder or gs://bucket/prefix.")
]
NameOption = Annotated[str, typer.Option(help="The model's name in the store.")]
VerifyOption = Annotated[
    list[str] | None,
    typer.Option(
        envvar="SETLIST_VERIFY",
        help="The file of a public key (can be repeated): what none of them has signed is refused.",
    ),
]
Image = Annotated[
    str, typer.Option(envvar="SETLIST_IMAGE", help="The image of every step, name@sha256:...")
]
Host = Annotated[
    str,
    typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="The URL of Kubeflow Pipelines."),
]
Namespace = Annotated[
    str,
    typer.Option(
        envvar="KFP_NAMESPACE", help="The namespace of your profile, where the server has profiles."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="A file with a bearer token, read for every call; or set KFP_TOKEN to a token."
    ),
]
Cookies = Annotated[
    str,
    typer.Option(
        envvar="KFP_COOKIES",
        help="Cookies of Dex or IAP, name=value. Others see arguments, so set the variable.",
    ),
]


def command(words: str, config: Path, change: list[str] | None) -> str:
    """A command line for the same settings, to copy."""
    options = ["--config", str(config)]
    for override in change or ():
        options += ["--set", override]
    return f"{words} {shlex.join(options)}"


def check_run_folder(path: Path | None) -> None:
    """Refuse a file where the folder of a run is meant.

    Raises:
        SettingsError: it is a file, such as one of settings.
    """
    if path and path.is_file():
        raise SettingsError(
            f"{path} is a file, and a run is a folder",
            f"write --config {shlex.quote(str(path))} if it holds settings",
        )


def named_settings(config: Path | None, change: list[str] | None) -> "Settings":
    """The settings that the options name, of the bundled sample without --config.

    Those who have settings in this folder and did not name them are told so.

    Raises:
        SettingsError: the file cannot be read, or a setting is wrong.
    """
    from setlist_pipelines.settings.file import SAMPLE, read_settings

    own = Path("settings.yaml")
    if config is None and own.is_file():
        say(f"without --config this is the bundled sample; yours: --config {own}", err=True)
    return read_settings(config or SAMPLE, change)


def connect(
    host: str, namespace: str, token_file: Path | None, cookies: str, retries: bool = True
) -> "Kubeflow":
    """The API that the options name."""
    from setlist_pipelines.kubeflow.access import find_access
    from setlist_pipelines.kubeflow.api import Kubeflow

    return Kubeflow(find_access(host, namespace, token_file, cookies), retries)


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address that a command listens at; the caller closes it.

    Raises:
        SettingsError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol asyncio leaves Nagle's algorithm on, and responses wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Without this, a server that is started again waits until the system forgets its old socket.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        raise SettingsError(
            f"{host}:{port}: cannot listen there ({fault.strerror or fault})", "name another"
        ) from fault
    return listener


def say(line: object, err: bool = False) -> None:
    """Print one line, whatever names and messages of others stand in it."""
    typer.echo(one_line(line), err=err)
