"""`setlist submit` and `setlist runs`: the command line to a Kubeflow cluster."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import SetlistError
from pipelines.options import Config, Set

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.kubeflow import Json, Kubeflow

cluster = typer.Typer()
runs = typer.Typer(
    no_args_is_help=True,
    help="The runs on a Kubeflow cluster. Their logs are on the page that `show` links to: the API "
    "does not give them.",
)
cluster.add_typer(runs, name="runs")

Image = Annotated[
    str, typer.Option(envvar="SETLIST_IMAGE", help="The image of every step, name@sha256:...")
]
Host = Annotated[
    str,
    typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="The URL of Kubeflow Pipelines."),
]
Namespace = Annotated[
    str, typer.Option(envvar="KFP_NAMESPACE", help="The profile's, where there are several.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="A file with a bearer token, read for every call; or KFP_TOKEN, a token."),
]
Cookies = Annotated[
    str,
    typer.Option(
        envvar="KFP_COOKIES",
        help="Cookies of Dex or IAP, name=value; better in the variable: others see arguments.",
    ),
]


@cluster.command()
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
    from pipelines.config import SAMPLE, read_settings
    from pipelines.scheduling import check_schedules
    from pipelines.submission import link, package, submit

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


@runs.command(name="list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 20,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """List the latest runs with their states."""
    from pipelines.submission import duration
    from pipelines.summary import screen

    kubeflow = connect(host, namespace, token_file, cookies)
    table = new_table("run", "id", "state", "created", "seconds")
    latest = kubeflow.pages(
        "runs", "runs", sort_by="created_at desc", page_size=min(limit, 100), **kubeflow.scope
    )
    for run in islice(latest, limit):
        seconds = duration(run.get("created_at"), run.get("finished_at"))
        add_row(
            table, run.get("display_name"), run.get("run_id"), run.get("state"),
            run.get("created_at"), _seconds(seconds),
        )  # fmt: skip
    screen().print(table)


@runs.command()
def show(
    run_id: Annotated[str, typer.Argument(help="The id of the run.")],
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Show one run: its state, its steps and theirs."""
    from pipelines.submission import link, tasks
    from pipelines.summary import screen

    kubeflow = connect(host, namespace, token_file, cookies)
    run = kubeflow.get(f"runs/{_id(run_id)}")
    typer.echo(f"run      {run.get('display_name')} {run_id}")
    typer.echo(f"state    {run.get('state')}")
    typer.echo(f"created  {run.get('created_at')}")
    typer.echo(f"link     {link(kubeflow, run_id)}")
    if error := run.get("error", {}).get("message"):
        typer.echo(f"error    {error}")
    table = new_table("step", "state", "seconds", "error")
    for task in tasks(run):
        add_row(table, task.name, task.state, _seconds(task.seconds), task.error)
    screen().print(table)


@runs.command()
def compare(
    run_ids: Annotated[list[str], typer.Argument(help="The ids of two or more runs.")],
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Show side by side in which arguments runs differ."""
    from pipelines.submission import parameters
    from pipelines.summary import screen

    if len(run_ids) < 2:
        raise SetlistError("one run has nothing to be compared with; give two ids or more.")
    kubeflow = connect(host, namespace, token_file, cookies)
    found = [kubeflow.get(f"runs/{_id(run_id)}") for run_id in run_ids]
    given = [parameters(run) for run in found]
    table = new_table("argument", *(str(run.get("display_name")) for run in found))
    add_row(table, "(state)", *(run.get("state") for run in found))
    versions = [run.get("pipeline_version_reference", {}) for run in found]
    add_row(table, "(version)", *(version.get("pipeline_version_id") for version in versions))
    equal = 0
    for key in sorted({key for one in given for key in one}):
        values = [one.get(key) for one in given]
        if len(set(values)) == 1:
            equal += 1
        else:
            add_row(table, key, *values)
    console = screen()
    console.print(table)
    console.print(f"equal in all: {equal} arguments")


def connect(host: str, namespace: str, token_file: Path | None, cookies: str) -> "Kubeflow":
    """The API that the options name."""
    from pipelines.kubeflow import Kubeflow, find_access

    return Kubeflow(find_access(host, namespace, token_file, cookies))


def _id(run_id: str) -> str:
    """The id, which becomes a part of a path."""
    if not run_id.replace("-", "").isalnum():
        raise SetlistError(f"{run_id} is not the id of a run; `setlist runs list` shows them.")
    return run_id


def _follow(kubeflow: "Kubeflow", run_id: str) -> str:
    """Show the steps of a run as they begin and end; its last state."""
    from pipelines.submission import ENDED, tasks, watch
    from pipelines.summary import Progress

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


def new_table(*columns: str) -> "Table":
    """A table without rows."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: "Table", *cells: object) -> None:
    """Add a row as it is: what a server says is no markup."""
    from rich.text import Text

    table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells))


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f}"
