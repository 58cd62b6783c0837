"""What `setlist runs` says of runs without a cluster, by their folders and their store."""

import re
import shlex
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from setlist.errors import SettingsError, StoreNotFoundError
from setlist_pipelines.cli.answer import Answer, Records

if TYPE_CHECKING:
    from setlist_pipelines.laptop.run_state import Progress

HERE, HOME = ".setlist/store", "home"


def local_runs(workdir: Path) -> dict[str, str]:
    """The runs in the folder of the runs, the latest first, each with the time of its beginning."""
    from setlist_pipelines.laptop.run_state import RUN_ID

    began = {}
    for path in workdir.glob("*"):
        if path.is_dir() and re.fullmatch(RUN_ID, path.name):
            day, time = path.name.split("-")[-3:-1]
            date, clock = "-".join((day[:4], day[4:6], day[6:])), ":".join(wrap(time, 2))
            began[path.name] = f"{date} {clock}"
    return dict(sorted(began.items(), key=lambda run: run[1], reverse=True))


def latest_local_run(workdir: Path) -> str:
    """The id of the run that began last in the folder of the runs.

    Raises:
        SettingsError: there is none.
    """
    for run_id in local_runs(workdir):
        return run_id
    raise SettingsError(
        f"there is no run in {workdir}",
        "name the folder of the runs with --workdir, or the id of a run on a cluster",
    )


def list_local_runs(workdir: Path, limit: int, json: bool) -> None:
    """List the latest runs in the folder of the runs, with the columns of those on a cluster.

    Raises:
        SettingsError: whether a run goes on cannot be seen.
    """
    from setlist_pipelines.laptop.run_state import Progress

    records = Records({key: key for key in ("run", "id", "state", "created", "seconds")})
    for run_id, began in list(local_runs(workdir).items())[:limit]:
        folder = workdir / run_id
        progress = Progress.read(folder)
        # Why one is not finished, its store knows: `runs show` looks there.
        state = (
            "running" if progress.running else "succeeded" if progress.complete else "unfinished"
        )
        records.add(run_id.rsplit("-", 3)[0], run_id, state, began, None)
    with Answer(json) as answer:
        answer.put_rows("runs", records)


def show_local_run(run_id: str, workdir: Path, store: str, name: str, json: bool) -> None:
    """Show the state of a run, what came of it, its revision, its report, its folder and its log.

    Args:
        run_id: of the run.
        workdir: the folder that holds the runs.
        store: "" for the one in the settings of the run.
        name: of the model in the store; "" for the one in the settings of the run.
        json: for a script.

    Raises:
        SettingsError: the settings of the run, or whether it goes on, cannot be read.
        StoreNotFoundError: the run is neither here nor in the store.
        StoreError: the store cannot be read.
    """
    from setlist.runs.kept_run import KeptRun, read_kept_run
    from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE, run_folder
    from setlist_pipelines.laptop.run_state import STATE_FOLDER, Progress
    from setlist_pipelines.settings.file import read_settings

    folder = run_folder(run_id, workdir)
    progress = Progress.read(folder) if folder else None
    if folder:
        own = folder / SETTINGS_FILE
        if not own.is_file():
            own = folder / STATE_FOLDER / SETTINGS_FILE
        if own.is_file():
            settings = read_settings(own, None)
            store, name = store or settings.store, name or settings.name
    kept: KeptRun | None = None
    try:
        kept = read_kept_run(store or HERE, name or HOME, run_id)
    except StoreNotFoundError as fault:
        if folder is None:
            raise StoreNotFoundError(
                f"there is no run {run_id} in {workdir}, and {fault.message}",
                fault.remedy or "name the right folder with --workdir or the store with --store",
            ) from fault
    record, report = (kept.record, kept.report) if kept else (None, "")
    if folder and (folder / "report.html").is_file():
        report = report or str((folder / "report.html").absolute())
    opens = report or "none is kept"
    if kept and kept.staged:
        opens += f" (of revision {kept.staged}, which it staged before it failed)"
    known = record.line if record else "its store has no record of it"
    if progress and progress.running:
        known = f"none yet; an earlier attempt: {known}" if record else "none yet"
    failure = record.sentence if record and record.outcome == "failed" else None
    state, end = _state(folder, progress, failure)
    if folder is None:
        end = f"its folder is not in {workdir}; --workdir names another place"
    # The keys that a run on a cluster has as well; docs/reference/json.md names them.
    with Answer(json) as answer:
        answer.put("run", run_id, f"run      {run_id}")
        answer.put("id", run_id)
        answer.put("state", state)
        answer.put("end", end, f"state    {end}")
        answer.say(f"model    {name or HOME} in {store or HERE}")
        answer.put("outcome", record and record.outcome, f"outcome  {known}")
        answer.put("sentence", record and record.sentence)
        answer.put("revision", getattr(record, "revision", None))
        answer.put("failures", [each.sentence for each in record.failures] if record else [])
        answer.put("report", report or None, f"report   {opens}")
        if folder:
            answer.say(f"folder   {folder}")
            if (log := folder.parent / f"run-{folder.name}.log").is_file():
                answer.say(f"log      {log}")


def _state(
    folder: Path | None, progress: "Progress | None", failure: str | None
) -> tuple[str, str]:
    """The state of a run in a word, and the same with how far it came and how to go on.

    Args:
        folder: of the run; None where it is not here.
        progress: of the run in it.
        failure: why the run failed, by its record; None where that says nothing of the kind.
    """
    from setlist_pipelines.laptop.run_outputs import FINAL

    if folder is None or progress is None:
        return "not on this machine", "not on this machine"
    if progress.complete:
        return "succeeded", "succeeded"
    steps = f"(steps finished: {progress.steps})"
    if progress.running:
        step = f", in step {progress.step}" if progress.step else ""
        return "running", f"running{step} {steps}"
    state = "ended before it was finished" if failure is None else "failed"
    remedy = f"go on with `setlist run --resume {shlex.quote(str(folder))}`"
    if any(words in (failure or "") for words in FINAL) or not progress.resumable:
        remedy = "start a new one with `setlist run`"
    return state, f"{state} {steps}; {remedy}"
