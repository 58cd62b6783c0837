"""`setlist report`: the report page of a run, written again from what the run left."""

from pathlib import Path
from typing import Annotated

import typer

from setlist.errors import SetlistError
from setlist_pipelines.cli.connection import examples

reports = typer.Typer()


@reports.command(
    epilog=examples(
        "setlist report .setlist/retraining-20260501-051234-42",
        "setlist report RUN --listeners 20 --output editors.html",
    )
)
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run: WORKDIR/retraining-…")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; RUN/report.html if left out."),
    ] = None,
    listeners: Annotated[
        int, typer.Option(min=1, help="How many listeners of each segment are shown.")
    ] = 2,
) -> None:
    """Write the report of a run again from what it left, and print the path of the page.

    Nothing is computed anew but the page: the verdict is the one that the run gave.
    """
    from setlist.report.page import write_report
    from setlist_pipelines.cli.screen import training_step
    from setlist_pipelines.laptop.runner import SETTINGS, Run
    from setlist_pipelines.settings.file import read_settings

    if not (run / SETTINGS).is_file():
        raise SetlistError(
            f"{run} is not the folder of a finished run ({SETTINGS} is missing); name one that "
            "`setlist run` made."
        )
    settings = read_settings(run / SETTINGS, None)
    left = Run(root=run, log=run)
    counts = left.output("curate", "dataset") / "counts.json"
    rivals = left.output("resolve-live", "live")
    page = output or run / "report.html"
    if page.is_dir():
        raise SetlistError(f"{page} is a folder; name a file in it, as {page / 'report.html'}.")
    write_report(
        left.output("evaluate", "evaluations"),
        left.output("gate", "verdict"),
        page,
        left.output(training_step(settings), "training"),
        curation=counts.read_text("utf-8") if counts.is_file() else "",
        rivals=rivals if rivals.is_dir() else None,
        store=settings.store,
        name=settings.name,
        each=listeners,
    )
    typer.echo(page)
