"""`setlist dashboard`: see what each model recommends to a listener before it goes live."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import EvaluationError, SetlistError, SettingsError
from setlist_pipelines.cli.connection import VerifyOption, bound_socket, say
from setlist_pipelines.cli.help_page import Commands, examples

if TYPE_CHECKING:
    from setlist.explorer.run_folder import RunFolders

dashboards = Commands()


@dashboards.command(
    epilog=examples(
        "setlist dashboard",
        "setlist dashboard .setlist/retraining-20260501-051234-42 --store gs://bucket/setlist",
    )
)
def dashboard(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs; all runs in --workdir if left out."),
    ] = None,
    workdir: Annotated[Path, typer.Option(help="The folder that holds the runs.")] = Path(
        ".setlist"
    ),
    store: Annotated[
        str | None,
        typer.Option(
            help="A local folder or gs://bucket/prefix; the store of the newest run if left out."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="The model's name in the store; the name in the newest run if left out."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 for all addresses.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8501,
    root_path: Annotated[
        str,
        typer.Option(help="The path under which a proxy offers the explorer, like /explorer."),
    ] = "",
    verify: VerifyOption = None,
) -> None:
    """Open the explorer: the lists of several models side by side for a listener, real or invented.

    The explorer reads runs and the store and changes nothing. It has no log-in: everybody who can
    reach the address sees everything.
    """
    from setlist.explorer.launch import serve_explorer
    from setlist.explorer.resources import Scene
    from setlist.models.worker.model_worker import require_tensorflow
    from setlist.store.reader import open_reader
    from setlist.store.signing import TrustedKeys
    from setlist_pipelines.settings.file import SAMPLE, read_settings

    require_tensorflow()
    # Tried here, because Streamlit reports a port that is taken late and in words of its own.
    bound_socket(host, port).close()
    named_runs = [run_folders(run) for run in runs or []]
    named_runs.sort(key=lambda folders: folders.name, reverse=True)

    def current_runs() -> tuple[list["RunFolders"], list[str]]:
        return (named_runs, []) if named_runs else readable_runs(workdir)

    shown_runs, faults = current_runs()
    for fault_text in faults:
        say(fault_text, err=True)
    settings = read_settings(shown_runs[0].settings if shown_runs else SAMPLE, None)
    store, name = store or settings.store, name or settings.name
    trusted = TrustedKeys.of(verify or ())
    if not shown_runs and not open_reader(store, new=True).revisions(name):
        raise SettingsError(
            f"there is no run in {workdir} and no revision of {name} in {store}",
            "start with `setlist run`, or name others with --workdir, --store and --name",
        )
    say(f"{len(shown_runs)} run{'s' * (len(shown_runs) != 1)}, {name} of {store}")
    with TemporaryDirectory(prefix="setlist-dashboard-") as fetched:
        operations = settings.policy.operations
        scene = Scene(current_runs, store, name, Path(fetched), operations, trusted)
        serve_explorer(scene, host, port, say, root_path)


def readable_runs(workdir: Path) -> tuple[list["RunFolders"], list[str]]:
    """The judged runs in a folder, the newest first, and why others of them are left out."""
    runs, faults = [], []
    for run in sorted(judged_runs(workdir), reverse=True):
        try:
            runs.append(run_folders(run))
        except SetlistError as fault:
            faults.append(f"{run.name} is left out: {fault}")
    return runs, faults


def judged_runs(workdir: Path) -> list[Path]:
    """The runs in a folder that have a verdict; a run without new data ends without a verdict."""
    from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE

    runs = [path.parent for path in workdir.glob(f"retraining-*/{SETTINGS_FILE}")]
    return [run for run in runs if (run / "gate" / "verdict").is_file()]


@cache
def run_folders(root: Path) -> "RunFolders":
    """Find the parts of a run, once for each run, because a finished run does not change.

    Raises:
        EvaluationError: when the folder is not that of a finished run.
        SettingsError: when its settings cannot be read.
    """
    from setlist.explorer.run_folder import RunFolders
    from setlist.models.contract import model_folders
    from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE, Run, training_step
    from setlist_pipelines.settings.file import read_settings

    run = Run(root=root, log=root)
    for part in (root / SETTINGS_FILE, run.output("gate", "verdict")):
        if not part.is_file():
            raise EvaluationError(
                f"{root} is not the folder of a run that came to a verdict ({part} is missing)",
                "name a folder that `setlist run` made",
            )
    step = training_step(read_settings(root / SETTINGS_FILE, None))
    learned = model_folders(run.output("resolve-live", "live"))
    heuristics = model_folders(run.output("fit-heuristics", "models"))
    return RunFolders(
        name=root.name,
        settings=root / SETTINGS_FILE,
        features=run.output("transform", "features"),
        evaluations=run.output("evaluate", "evaluations"),
        verdict=run.output("gate", "verdict"),
        report=root / "report.html",
        models={folder.name: folder for folder in [*heuristics, *learned]}
        | {"candidate": run.output(step, "candidate")},
    )
