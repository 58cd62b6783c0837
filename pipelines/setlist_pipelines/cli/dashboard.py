"""`setlist dashboard`: look at what each model recommends, to whom, before it goes live."""

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import SetlistError
from setlist_pipelines.cli.address import bound
from setlist_pipelines.cli.connection import examples
from setlist_pipelines.laptop.chatter import chatter_to

if TYPE_CHECKING:
    from setlist.explorer.run_folder import RunFolders

dashboards = typer.Typer()


@dashboards.command(
    epilog=examples(
        "setlist dashboard",
        "setlist dashboard .setlist/retraining-20260501-051234-42 --store gs://bucket/setlist",
    )
)
def dashboard(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs; all those in --workdir if left out."),
    ] = None,
    workdir: Annotated[Path, typer.Option(help="Where runs are looked for.")] = Path(".setlist"),
    store: Annotated[
        str | None,
        typer.Option(help="A local folder or gs://bucket/prefix; that of the newest run if none."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="The model's name in the store; that of the newest run if none."),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8501,
) -> None:
    """Open the explorer: several models' lists side by side for a listener, real or invented.

    It reads runs and the store and changes nothing. Whoever reaches the address sees everything:
    there is no log-in.
    """
    try:
        with Path(os.devnull).open("w") as nowhere, chatter_to(nowhere):
            from setlist.explorer.launch import serve
            from setlist.explorer.resources import Scene
    except ModuleNotFoundError as fault:
        raise SetlistError(
            f"dashboard needs {fault.name}, which is not installed; install setlist[dashboard]."
        ) from fault
    from setlist.store.model_store import open_store
    from setlist_pipelines.settings.file import SAMPLE, read_settings

    bound(host, port).close()  # Streamlit would say in its own words, and late, that it is taken
    named = [left_by(run) for run in runs or []]
    named.sort(key=lambda one: one.name, reverse=True)

    def found() -> tuple[list["RunFolders"], list[str]]:
        return (named, []) if named else readable(workdir)

    seen, faults = found()
    for said in faults:
        typer.echo(said, err=True)
    told = read_settings(seen[0].settings if seen else SAMPLE, None)
    store, name = store or told.store, name or told.name
    if not seen and not open_store(store).revisions(name):
        raise SetlistError(
            f"there is no run in {workdir} and no revision of {name} in {store}; start with "
            "`setlist run`, or name others with --workdir, --store and --name."
        )
    typer.echo(f"{len(seen)} run{'s' * (len(seen) != 1)}, {name} of {store}")
    with TemporaryDirectory(prefix="setlist-dashboard-") as fetched:
        serve(Scene(found, store, name, Path(fetched)), host, port, typer.echo)


def readable(workdir: Path) -> tuple[list["RunFolders"], list[str]]:
    """The judged runs in a folder, the newest first, and why others of them are left out."""
    found, faults = [], []
    for run in sorted(judged(workdir), reverse=True):
        try:
            found.append(left_by(run))
        except SetlistError as fault:
            faults.append(f"{run.name} is left out: {fault}")
    return found, faults


def judged(workdir: Path) -> list[Path]:
    """The runs in a folder that came to a verdict; some end before, without new data."""
    from setlist_pipelines.laptop.runner import SETTINGS

    runs = [path.parent for path in workdir.glob(f"retraining-*/{SETTINGS}")]
    return [run for run in runs if (run / "gate" / "verdict").is_file()]


@cache
def left_by(root: Path) -> "RunFolders":
    """Where the parts of a run lie; asked once a run, for a finished one does not change.

    Raises:
        SetlistError: it is not the folder of a finished run.
    """
    from setlist.explorer.run_folder import RunFolders
    from setlist.models.contract import model_folders
    from setlist_pipelines.cli.screen import training_step
    from setlist_pipelines.laptop.runner import SETTINGS, Run
    from setlist_pipelines.settings.file import read_settings

    left = Run(root=root, log=root)
    for part in (root / SETTINGS, left.output("gate", "verdict")):
        if not part.is_file():
            raise SetlistError(
                f"{root} is not the folder of a run that came to a verdict ({part} is missing); "
                "name one that `setlist run` made."
            )
    step = training_step(read_settings(root / SETTINGS, None))
    rivals = model_folders(left.output("resolve-live", "live"))
    heuristics = model_folders(left.output("fit-heuristics", "models"))
    return RunFolders(
        name=root.name.removeprefix("retraining-"),
        settings=root / SETTINGS,
        features=left.output("transform", "features"),
        evaluations=left.output("evaluate", "evaluations"),
        verdict=left.output("gate", "verdict"),
        report=root / "report.html",
        models={one.name: one for one in [*heuristics, *rivals]}
        | {"candidate": left.output(step, "candidate")},
    )
