"""`setlist submit`: a run on a Kubeflow cluster."""

from typing import TYPE_CHECKING, Annotated

import typer

from setlist_pipelines.cli.connection import (
    Cookies,
    Host,
    Image,
    Namespace,
    TokenFile,
    connect,
    examples,
)
from setlist_pipelines.cli.doctor import doctor
from setlist_pipelines.cli.options import Config, Set
from setlist_pipelines.cli.runs import runs

if TYPE_CHECKING:
    from setlist_pipelines.kubeflow.api import Json, Kubeflow

cluster = typer.Typer()
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
        typer.Option("--id", help="A key for this run; one that was used starts no second run."),
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Start a run on a Kubeflow cluster and print its link.

    The pipeline is uploaded if the cluster does not have it. With --wait, ends with 0 when the run
    succeeded and else with 1.
    """
    from setlist_pipelines.kubeflow.scheduling import check_schedules
    from setlist_pipelines.kubeflow.submission import link, package, submit
    from setlist_pipelines.settings.file import SAMPLE, read_settings

    settings = read_settings(config or SAMPLE, change)
    check_schedules(settings)
    compiled = package(settings, image)
    kubeflow = connect(host, namespace, token_file, cookies)
    done = submit(
        kubeflow,
        compiled,
        settings.arguments(),
        settings.name,
        key,
        settings.platform.service_account,
    )
    typer.echo(f"pipeline  {compiled.name} {done.version}{'' if done.uploaded else ' (reused)'}")
    typer.echo(f"run       {done.name} {done.run_id}{'' if done.created else ' (started before)'}")
    typer.echo(f"link      {link(kubeflow, done.run_id)}")
    if wait and _follow(kubeflow, done.run_id) != "SUCCEEDED":
        raise typer.Exit(1)


def _follow(kubeflow: "Kubeflow", run_id: str) -> str:
    """Show the steps of a run as they begin and end; its last state."""
    from setlist_pipelines.cli.screen import Progress
    from setlist_pipelines.kubeflow.submission import ENDED, tasks, watch

    run: Json = {}
    seen: dict[str, str] = {}
    with Progress() as progress:
        for run in watch(kubeflow, run_id):
            for task in tasks(run):
                before, seen[task.key] = seen.get(task.key), task.state
                if task.state not in ENDED:
                    if before != task.state:
                        progress.say(task.name, "" if before is None else task.state.lower())
                elif before != task.state:
                    ended = "SUCCESS" if task.state in ("SUCCEEDED", "SKIPPED") else task.state
                    progress.say(task.name, ended, task.seconds or 0.0)
    state = str(run.get("state"))
    error = run.get("error", {}).get("message", "")
    typer.echo(f"ended     {state}{f': {error}' if error else ''}")
    return state
