"""What `setlist runs show` says of a run without a cluster, by its folder and its store."""

from pathlib import Path

from setlist.errors import StoreNotFoundError
from setlist_pipelines.cli.answer import Answer

HERE, HOME = ".setlist/store", "home"


def show_local_run(run_id: str, workdir: Path, store: str, name: str, json: bool) -> None:
    """Show the state of a run, what came of it, its revision, its report, its folder and its log.

    Args:
        run_id: of the run.
        workdir: the folder that holds the runs.
        store: "" for the one in the settings of the run.
        name: of the model in the store; "" for the one in the settings of the run.
        json: for a script.

    Raises:
        SettingsError: the settings of the run cannot be read.
        StoreNotFoundError: the run is neither here nor in the store.
        StoreError: the store cannot be read.
    """
    from setlist.runs.kept_run import KeptRun, read_kept_run
    from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE, run_folder
    from setlist_pipelines.laptop.run_state import STATE_FOLDER
    from setlist_pipelines.settings.file import read_settings

    folder = run_folder(run_id, workdir)
    state = "finished"
    if folder:
        own = folder / SETTINGS_FILE
        if not own.is_file():
            state, own = "not finished", folder / STATE_FOLDER / SETTINGS_FILE
        if own.is_file():
            settings = read_settings(own, None)
            store, name = store or settings.store, name or settings.name
    kept: KeptRun | None = None
    try:
        kept = read_kept_run(store or HERE, name or HOME, run_id)
    except StoreNotFoundError:
        if folder is None:
            raise
    record, report = (kept.record, kept.report) if kept else (None, "")
    if folder and (folder / "report.html").is_file():
        report = report or str((folder / "report.html").absolute())
    state = state if folder else "not on this machine"
    # The keys that a run on a cluster has as well; docs/reference/json.md names them.
    with Answer(json) as answer:
        answer.put("run", run_id, f"run      {run_id}")
        answer.put("id", run_id)
        answer.put("state", state, f"state    {state}")
        answer.say(f"model    {name or HOME} in {store or HERE}")
        known = record.line if record else "its store has no record of it"
        answer.put("outcome", record and record.outcome, f"outcome  {known}")
        answer.put("sentence", record and record.sentence)
        answer.put("revision", getattr(record, "revision", None))
        answer.put("failures", [each.sentence for each in record.failures] if record else [])
        answer.put("report", report or None, f"report   {report or 'none is kept'}")
        if folder:
            answer.say(f"folder   {folder}")
            if (log := folder.parent / f"run-{folder.name}.log").is_file():
                answer.say(f"log      {log}")
