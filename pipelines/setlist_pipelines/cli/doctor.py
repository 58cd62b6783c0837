"""`setlist doctor`: shows on one screen what is missing for a run on a cluster."""

from dataclasses import asdict
from functools import partial

import typer

from setlist_pipelines.cli.answer import Answer, JsonOption
from setlist_pipelines.cli.connection import (
    Config,
    Cookies,
    Host,
    Image,
    Namespace,
    Set,
    TokenFile,
    connect,
)


def doctor(
    config: Config = None,
    change: Set = None,
    image: Image = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
    json: JsonOption = False,
) -> None:
    """Show what is missing for a run on the cluster, each with its remedy.

    It checks settings, image, Kubeflow Pipelines, access, schedules, store and data. In the store,
    it writes an object and removes it. Ends with 0 when nothing is missing, else with 1.
    """
    from rich.table import Table
    from rich.text import Text

    from setlist_pipelines.kubeflow.doctor import examine
    from setlist_pipelines.settings.file import SAMPLE

    colours = {"ok": "green", "missing": "red", "unsure": "yellow", "not checked": "dim"}
    checks: list[dict[str, object]] = []
    access = partial(connect, host, namespace, token_file, cookies, retries=False)
    with Answer(json) as answer, answer.console.status("checks ..."):
        for finding in examine(config or SAMPLE, change, image, access):
            checks.append(asdict(finding))
            line = Table.grid(padding=(0, 2, 0, 0))
            for width in (11, 14):
                line.add_column(width=width, no_wrap=True)
            line.add_column(overflow="fold")
            state = Text(finding.state, colours[finding.state])
            line.add_row(state, Text(finding.subject), Text(finding.message))
            if finding.remedy:
                line.add_row("", "", Text(f"→ {finding.remedy}"))
            answer.console.print(line)
        missing = sum(check["state"] == "missing" for check in checks)
        answer.put("checks", checks)
        answer.put("missing", missing, f"{missing} missing" if missing else "nothing is missing")
        if missing:
            raise typer.Exit(1)
