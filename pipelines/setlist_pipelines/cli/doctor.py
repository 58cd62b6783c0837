"""`setlist doctor`: one screen about what is missing for a run on a cluster."""

from functools import partial

import typer

from setlist_pipelines.cli.connection import (
    Cookies,
    Host,
    Image,
    Namespace,
    TokenFile,
    connect,
)
from setlist_pipelines.cli.options import Config, Set


def doctor(
    config: Config = None,
    change: Set = None,
    image: Image = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Say what is missing between this machine and a run on the cluster, each with its remedy.

    Settings, image, Kubeflow Pipelines, access, schedules, store and data are looked at; the store
    gets an object that is removed at once. Ends with 0 when nothing is missing, else with 1.
    """
    from rich.table import Table
    from rich.text import Text

    from setlist_pipelines.cli.screen import screen
    from setlist_pipelines.kubeflow.doctor import examine
    from setlist_pipelines.settings.file import SAMPLE

    colours = {"ok": "green", "missing": "red", "unsure": "yellow", "not checked": "dim"}
    console, missing = screen(), 0
    with console.status("looks ..."):
        for found in examine(
            config or SAMPLE,
            change,
            image,
            partial(connect, host, namespace, token_file, cookies, patient=False),
        ):
            missing += found.state == "missing"
            line = Table.grid(padding=(0, 2, 0, 0))
            for width in (11, 14):
                line.add_column(width=width, no_wrap=True)
            line.add_column(overflow="fold")
            state = Text(found.state, colours[found.state])
            line.add_row(state, Text(found.what), Text(found.said))
            if found.remedy:
                line.add_row("", "", Text(f"→ {found.remedy}"))
            console.print(line)
    console.print(f"{missing} missing" if missing else "nothing is missing")
    if missing:
        raise typer.Exit(1)
