"""What a run has written into its store: its record, and before that why its steps failed."""

from typing import NamedTuple

from setlist.addresses import REMOTE_PATH
from setlist.errors import SetlistError
from setlist.runs.record import MonitoringRecord, RunRecord
from setlist.runs.step_failure import StepFailure, read_failures
from setlist.store.kept_report import address
from setlist.store.objects import read_only_objects
from setlist_pipelines.kubeflow.api import Json


class RunStory(NamedTuple):
    """What the store says of a run.

    Attributes:
        record: None where there is none.
        failures: of its steps so far; those of a run that has a record are in it.
        problem: why there is no record, or "".
        report: what opens the report that the store keeps, or "".
    """

    record: RunRecord | MonitoringRecord | None = None
    failures: tuple[StepFailure, ...] = ()
    problem: str = ""
    report: str = ""


def read_story(run: Json) -> RunStory:
    """Read what the store of a run says of it; a store that cannot be read is a problem in words.

    Args:
        run: the server's document.
    """
    arguments = run.get("runtime_config", {}).get("parameters", {})
    store, name = arguments.get("store"), arguments.get("name")
    run_id = str(run.get("run_id"))
    if not (isinstance(store, str) and isinstance(name, str) and REMOTE_PATH.match(store)):
        return RunStory(problem="not known: the run names no store")
    try:
        record = RunRecord.read(store, name, run_id) or MonitoringRecord.read(store, name, run_id)
        if record:
            path = record.report_path if isinstance(record, RunRecord) else ""
            report = address(store, f"{name}/{path}") if path else ""
            return RunStory(record, record.failures, report=report)
        failures = read_failures(read_only_objects(store, new=True), name, run_id)
        return RunStory(failures=tuple(failures), problem="no record yet")
    except SetlistError as fault:
        return RunStory(problem=f"not known: {fault}")
