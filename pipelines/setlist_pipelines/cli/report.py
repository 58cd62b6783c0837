"""`setlist report`: write the report page of a run again from what the run left."""

from pathlib import Path
from typing import Annotated

import typer

from setlist.errors import SettingsError
from setlist_pipelines.cli.connection import say
from setlist_pipelines.cli.help_page import Commands, examples

reports = Commands()


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
    """Write the report of a run again from what the run left, and print the path of the page.

    Only the page is made anew: the verdict is the one that the gate gave in the run.
    """
    # Imported here, because they are slow and other commands of the program do not need them.
    from setlist.report.page import write_report
    from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE, Run, training_step
    from setlist_pipelines.settings.file import read_settings

    if not (run / SETTINGS_FILE).is_file():
        raise SettingsError(
            f"{run} is not the folder of a finished run ({SETTINGS_FILE} is missing)",
            "name a folder that `setlist run` made",
        )
    settings = read_settings(run / SETTINGS_FILE, None)
    finished = Run(root=run, log=run)
    counts = finished.output("curate", "dataset") / "counts.json"
    data_verdict = finished.output("check-data", "verdict")
    live_models = finished.output("resolve-live", "live")
    page = output or run / "report.html"
    if page.is_dir():
        raise SettingsError(
            f"{page} is a folder", f"name a file in it, such as {page / 'report.html'}"
        )
    write_report(
        finished.output("evaluate", "evaluations"),
        finished.output("gate", "verdict"),
        page,
        finished.output(training_step(settings), "training"),
        curation=counts.read_text("utf-8") if counts.is_file() else "",
        data_verdict=data_verdict if data_verdict.is_file() else None,
        live_models=live_models if live_models.is_dir() else None,
        store=settings.store,
        name=settings.name,
        per_segment=listeners,
    )
    say(page)
