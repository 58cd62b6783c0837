"""`setlist report`: write the report page of a run again, or find the one that the store keeps."""

from pathlib import Path
from typing import Annotated

import typer

from setlist.errors import SettingsError, StoreNotFoundError
from setlist_pipelines.cli.connection import NameOption, StoreOption, say
from setlist_pipelines.cli.help_page import Commands, examples

reports = Commands()
LISTENERS = 2


@reports.command(
    epilog=examples(
        "setlist report retraining-20260501-051234-1a2b3c4d",
        "setlist report RUN --listeners 20 --output editors.html",
        "setlist report RUN --store gs://bucket/setlist --output report.html",
    )
)
def report(
    run: Annotated[str, typer.Argument(help="The id of a run, or the path of its folder.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; RUN/report.html if left out."),
    ] = None,
    listeners: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many listeners of each segment are shown; {LISTENERS}."),
    ] = None,
    workdir: Annotated[Path, typer.Option(help="The folder that holds the runs.")] = Path(
        ".setlist"
    ),
    store: StoreOption = ".setlist/store",
    name: NameOption = "home",
) -> None:
    """Write the report of a run again from what the run left, and print the path of the page.

    Only the page is made anew: the verdict is the one that the gate gave in the run. Of a run
    whose folder is not on this machine, print what opens the report that the store keeps; with
    --output, write that one there.
    """
    # Imported here, because they are slow and other commands of the program do not need them.
    from setlist_pipelines.laptop.run_outputs import run_folder

    if output and output.is_dir():
        raise SettingsError(
            f"{output} is a folder", f"name a file in it, such as {output / 'report.html'}"
        )
    if folder := run_folder(run, workdir):
        say(_written_again(folder, output, listeners or LISTENERS))
        return
    from setlist.runs.kept_run import read_kept_run

    try:
        kept = read_kept_run(store, name, run)
    except StoreNotFoundError as fault:
        raise SettingsError(
            f"{run} is no folder, no run in {workdir}, and no run that its store keeps "
            f"({fault.message})",
            "name a folder that `setlist run` made, or the id of a run with --store and --name",
        ) from fault
    if kept.page is None:
        raise SettingsError(
            f"store {store}: no report of run {run} is kept",
            "look for the folder of the run, where it ran",
        )
    if listeners:
        raise SettingsError(
            f"--listeners: the folder of {run} is not here, and the report that the store keeps "
            "is as it is",
            "leave it out",
        )
    if output is None:
        say(kept.report)
        return
    try:
        output.write_bytes(kept.page)
    except OSError as fault:
        raise SettingsError(
            f"{output} cannot be written ({fault.strerror or fault})",
            "name a file in a folder that exists and is writable",
        ) from fault
    say(output)


def _written_again(run: Path, output: Path | None, listeners: int) -> Path:
    """Write the page of a run whose folder is here; its path."""
    from datetime import UTC, datetime

    from setlist.evaluation.verdict import Verdict
    from setlist.report.identity import Identity
    from setlist.report.page import write_report
    from setlist.runs.neighbours import read_neighbours
    from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE, Run, training_step
    from setlist_pipelines.laptop.run_page import finish_page
    from setlist_pipelines.laptop.run_state import run_id_of
    from setlist_pipelines.settings.file import read_settings

    if not (run / SETTINGS_FILE).is_file():
        raise SettingsError(
            f"{run} is not the folder of a finished run ({SETTINGS_FILE} is missing)",
            "name a folder that `setlist run` made",
        )
    settings = read_settings(run / SETTINGS_FILE, None)
    finished = Run(root=run, log=run)
    counts = finished.output("curate", "dataset") / "counts.json"
    verdict = finished.output("gate", "verdict")
    data_verdict = finished.output("check-data", "verdict")
    live_models = finished.output("resolve-live", "live")
    page, run_id = output or run / "report.html", run_id_of(run)
    neighbours = read_neighbours(settings.store, settings.name, run_id, Verdict.read(verdict))
    write_report(
        finished.output("evaluate", "evaluations"),
        verdict,
        page,
        finished.output(training_step(settings), "training"),
        curation=counts.read_text("utf-8") if counts.is_file() else "",
        data_verdict=data_verdict if data_verdict.is_file() else None,
        live_models=live_models if live_models.is_dir() else None,
        identity=Identity(settings.name, run_id, settings.store, datetime.now(UTC), neighbours),
        per_segment=listeners,
    )
    finish_page(finished, settings, page.read_text("utf-8"), page)
    return page
