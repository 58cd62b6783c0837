"""`setlist run`: the whole pipeline on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from setlist.errors import SettingsError
from setlist_pipelines.cli.answer import Answer, JsonOption
from setlist_pipelines.cli.clean import KEPT_RUNS
from setlist_pipelines.cli.connection import (
    Config,
    PipelineOption,
    QuietOption,
    Set,
    check_run_folder,
    named_settings,
    say,
)
from setlist_pipelines.cli.help_page import examples

if TYPE_CHECKING:
    from setlist.runs.record import MonitoringRecord, RunRecord
    from setlist_pipelines.laptop.run_outputs import Run
    from setlist_pipelines.settings.file import Settings

RUN_EXAMPLES = examples(
    "setlist run",
    "setlist run --config home.yaml --set as_of=2026-04-24",
    "setlist run --config home.yaml --quiet --fail-on refused",
    "setlist run --resume",
)
REFUSED_EXIT_CODE = 4
"""Where the candidate is refused and `--fail-on refused` is given; 2 is a call that was wrong."""


def run(
    run_folder: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="With --resume: the folder of the run."),
    ] = None,
    config: Config = None,
    change: Set = None,
    workdir: Annotated[Path, typer.Option(help="Folder for the outputs of all runs.")] = Path(
        ".setlist"
    ),
    docker: Annotated[
        str, typer.Option(help="Run every step in a container of this image, without network.")
    ] = "",
    pipeline: PipelineOption = "retraining",
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Take up RUN, or the newest run that was not finished."),
    ] = False,
    keep: Annotated[
        int, typer.Option(min=1, help="How many runs are kept; older ones are removed at the end.")
    ] = KEPT_RUNS,
    fail_on: Annotated[
        Literal["refused"] | None,
        typer.Option(help="End with 4 where the gate does not let the candidate through."),
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Run the whole pipeline on this machine and print what came of it.

    Ends with 0 when the run finished, whatever the verdict, with 1 when a step failed and with 2
    when it was called wrongly. With --fail-on refused, ends with 4 when the run finished and its
    candidate was refused or could not be told from the others, also where a heuristic goes live
    in its place. A run without new data has no candidate and ends with 0.
    """
    from setlist_pipelines.cli.screen import StepProgress, print_monitoring, print_summary
    from setlist_pipelines.laptop.cleaning import clean_runs, cleaned_in_words
    from setlist_pipelines.laptop.metric_check import check_metrics
    from setlist_pipelines.laptop.runner import resume_local, run_local

    check_run_folder(run_folder)
    if resume:
        root = _resumed(run_folder, workdir, bool(config or change or docker))
        workdir = root.parent
        _check_fail_on(fail_on, root.name)
        with StepProgress(quiet or json) as progress:
            finished, settings = resume_local(root, progress.show)
    elif run_folder:
        raise SettingsError(f"{run_folder}: a run is named to take it up", "add --resume")
    else:
        _check_fail_on(fail_on, pipeline)
        settings = named_settings(config, change)
        if not docker:  # the image has modules of its own
            check_metrics(settings)
        with StepProgress(quiet or json) as progress:
            finished = run_local(settings, workdir, progress.show, docker, pipeline=pipeline)
    record = run_record(finished, settings)
    if quiet and not json:
        say(record.line)
    with Answer(json, quiet) as answer:
        if not answer.console.quiet:
            if finished.root.name.startswith("monitoring-"):
                print_monitoring(finished)
            else:
                print_summary(finished, settings)
        for words in cleaned_in_words(clean_runs(workdir, keep), workdir, keep):
            answer.say(f"cleaned  {words}")
        _put_record(answer, finished, settings, record)
        if fail_on and is_refused(record):
            raise typer.Exit(REFUSED_EXIT_CODE)


def run_record(run: "Run", settings: "Settings") -> "RunRecord | MonitoringRecord":
    """What came of a finished run, by what it left in its folder."""
    from setlist.data.verdict import DataVerdict
    from setlist.runs.record import MonitoringRecord, RunRecord

    if run.root.name.startswith("monitoring-"):
        verdict = DataVerdict.read(run.output("compare-requests", "verdict"))
        return MonitoringRecord.of_run(settings.name, run.root.name, verdict)
    outputs = (("gate", "verdict"), ("push", "pushed"), ("check-data", "verdict"))
    paths = (run.output(step, name) for step, name in outputs)
    judged, pushed, data = (path if path.is_file() else None for path in paths)
    return RunRecord.of_run(settings.name, run.root.name, judged, pushed, data)


def is_refused(record: "RunRecord | MonitoringRecord") -> bool:
    """Whether there was a candidate that the gate did not let through."""
    from setlist.runs.record import RunRecord

    if not isinstance(record, RunRecord) or record.verdict is None:
        return False
    return record.verdict.ships != "candidate"


def _put_record(
    answer: Answer, run: "Run", settings: "Settings", record: "RunRecord | MonitoringRecord"
) -> None:
    """Answer what came of a run to a script; a person has read it."""
    document = record.model_dump(mode="json")
    answer.put("run", str(run.root))
    answer.put("id", record.run_id)
    answer.put("store", settings.store)
    answer.put("refused", is_refused(record))
    for key in ("name", "outcome", "revision", "sentence", "ended", "verdict", "data_verdict"):
        answer.put(key, document.get(key))
    report = run.root / "report.html"
    answer.put("report", str(report) if report.is_file() else None)
    answer.put("log", str(run.log))


def _check_fail_on(fail_on: str | None, pipeline: str) -> None:
    if fail_on and pipeline.startswith("monitoring"):
        raise SettingsError(
            "--fail-on refused: the pipeline for monitoring judges no candidate",
            "leave it out; `setlist skew` ends with 3 where requests differ from the training",
        )


def _resumed(run_folder: Path | None, workdir: Path, changed: bool) -> Path:
    """The run that `--resume` means."""
    from setlist_pipelines.laptop.run_state import unfinished

    if changed:
        raise SettingsError(
            "--resume goes on with the settings of the run, so --config, --set and --docker "
            "change nothing",
            "leave them out, or start a new run without --resume",
        )
    if run_folder:
        return run_folder
    if not (left := unfinished(workdir)):
        raise SettingsError(f"{workdir} holds no run that was not finished", "leave out --resume")
    return left[0]
