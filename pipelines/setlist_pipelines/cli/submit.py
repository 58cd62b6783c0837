"""`setlist submit`: a run on a Kubeflow cluster."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import (
    ClusterError,
    ClusterNotFoundError,
    ClusterUnreachableError,
    SettingsError,
)
from setlist_pipelines.cli.connection import (
    Config,
    Cookies,
    Host,
    Image,
    Namespace,
    PipelineOption,
    QuietOption,
    Set,
    TokenFile,
    connect,
    named_settings,
    say,
)
from setlist_pipelines.cli.doctor import doctor
from setlist_pipelines.cli.help_page import Commands, examples
from setlist_pipelines.cli.runs import runs

if TYPE_CHECKING:
    from setlist_pipelines.kubeflow.api import Json, Kubeflow
    from setlist_pipelines.kubeflow.run_steps import PlannedStep

UNFOLLOWED = 3
"""The exit code where a run goes on and cannot be followed."""
cluster = Commands()
cluster.add_typer(runs, name="runs")
cluster.command(
    epilog=examples(
        "setlist doctor --config home.yaml --host http://localhost:8080",
        "setlist doctor --config home.yaml --set store=gs://another-bucket/models",
    )
)(doctor)


@cluster.command(
    epilog=examples(
        "setlist submit --config home.yaml --wait",
        "setlist submit --config home.yaml --set as_of=2026-04-24 --id rerun-of-april-24",
    )
)
def submit(
    config: Config = None,
    change: Set = None,
    image: Image = "",
    key: Annotated[
        str,
        typer.Option("--id", help="A key for this run; the same key starts no second run."),
    ] = "",
    pipeline: PipelineOption = "retraining",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    quiet: QuietOption = False,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Start a run on a Kubeflow cluster and print its link.

    With --quiet, one line is printed: the outcome with --wait, else the name and the id of the run.

    The pipeline is uploaded if the cluster does not have it. With --wait, ends with 0 when the run
    succeeded, with 1 when it did not, and with 3 when it can no longer be followed: the run goes
    on, and one sentence says how to wait again.
    """
    from setlist_pipelines.kubeflow.packages import compile_package
    from setlist_pipelines.kubeflow.schedule_sync import check_schedules
    from setlist_pipelines.kubeflow.submission import run_link, submit_run
    from setlist_pipelines.settings.limits import with_memory_limits

    settings = named_settings(config, change)
    check_schedules(settings)
    limited = with_memory_limits(settings, pipeline, _say_nothing if quiet else say)
    package = compile_package(limited, image, pipeline)
    kubeflow = connect(host, namespace, token_file, cookies)
    submitted = submit_run(
        kubeflow,
        package,
        settings.arguments(pipeline),
        settings.name,
        key,
        settings.platform.service_account,
    )
    uploaded = "" if submitted.uploaded else " (reused)"
    earlier = "" if submitted.created else " (started before)"
    started = f"run       {submitted.name} {submitted.run_id}{earlier}"
    if not quiet:
        say(f"pipeline  {package.name} {submitted.version}{uploaded}")
        say(started)
        say(f"link      {run_link(kubeflow, submitted.run_id)}")
    elif not wait:
        say(started)
    if not wait:
        return
    try:
        state = _follow(kubeflow, submitted.run_id, quiet)
    except ClusterNotFoundError as fault:
        raise ClusterNotFoundError(
            f"the run {submitted.name} was deleted while it was followed",
            "the same command and --id starts another",
        ) from fault
    except (ClusterError, SettingsError) as fault:
        again = submitted.name.removeprefix(f"{settings.name}-")
        sentence = (
            f"setlist: {fault.message}, and the run goes on; {fault.remedy}, then wait again with "
            f"the same command and --id {again}, or look with "
            f"`setlist runs show {submitted.run_id}`."
        )
        say(sentence, err=True)
        raise typer.Exit(UNFOLLOWED) from fault
    if state != "SUCCEEDED":
        raise typer.Exit(1)


def _say_nothing(line: object) -> None:
    """Take a line that nobody asked for."""


def _follow(kubeflow: "Kubeflow", run_id: str, quiet: bool = False) -> str:
    """Show the steps of a run as they begin and end, and return its last state."""
    from setlist_pipelines.cli.screen import StepProgress
    from setlist_pipelines.kubeflow.api import CredentialsError, ForbiddenError
    from setlist_pipelines.kubeflow.run_records import read_story
    from setlist_pipelines.kubeflow.run_steps import LEFT_OUT, NOT_BEGUN, read_plan, steps_of
    from setlist_pipelines.kubeflow.submission import describe_end, run_link, signed_in, watch_run

    run: Json = {}
    plan: list[PlannedStep] | None = None
    states: dict[str, str] = {}
    with StepProgress(quiet) as progress:
        for run in watch_run(kubeflow, run_id):
            if plan is None:
                try:
                    plan = signed_in(kubeflow, partial(read_plan, kubeflow, run))
                except ClusterUnreachableError:  # the next poll asks again
                    continue
                except ClusterError as fault:
                    if isinstance(fault, CredentialsError) and not isinstance(
                        fault, ForbiddenError
                    ):
                        raise
                    plan = []  # then the names are those of the backend
            for step in steps_of(run, plan):
                previous, states[step.task] = states.get(step.task), step.state
                if step.state == previous or step.state in (LEFT_OUT, NOT_BEGUN):
                    continue
                if not step.ended:
                    begun = previous not in (None, NOT_BEGUN)
                    progress.show(step.name, step.state if begun else "")
                else:
                    # The word of `kfp.local` for a success; see StepProgress.
                    well = step.state in ("succeeded", "cached", "not known")
                    progress.show(step.name, "SUCCESS" if well else "FAILURE", step.seconds or 0.0)
    story = read_story(run)
    try:
        end = signed_in(kubeflow, partial(describe_end, kubeflow, run, plan or [], story))
    except (ClusterError, SettingsError) as fault:  # the run has ended, whatever the reason was
        end = f"{run.get('state')}: {fault.message}"
    if quiet:
        say(story.record.line if story.record else end)
        return str(run.get("state"))
    say(f"ended     {end}")
    if story.record:
        say(f"outcome   {story.record.line}")
    say(f"link      {run_link(kubeflow, run_id)}")
    return str(run.get("state"))
