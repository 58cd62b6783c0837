"""`setlist runs`: the runs on a Kubeflow cluster, looked at afterwards."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import SetlistError
from setlist_pipelines.cli.connection import (
    Cookies,
    Host,
    Namespace,
    TokenFile,
    add_row,
    connect,
    examples,
    new_table,
)

if TYPE_CHECKING:
    from rich.table import Table

    from setlist.runs.record import RunRecord
    from setlist_pipelines.kubeflow.api import Json

runs = typer.Typer(no_args_is_help=True, help="The runs on a Kubeflow cluster.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of the run.")]


@runs.command(
    name="list", epilog=examples("setlist runs list --host http://localhost:8080 --limit 5")
)
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 20,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """List the latest runs with their states."""
    from setlist_pipelines.cli.screen import screen
    from setlist_pipelines.kubeflow.submission import duration

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


@runs.command(epilog=examples("setlist runs show 5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11"))
def show(
    run_id: RunId,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Show one run: its state, what came of it, its steps and their states."""
    from setlist_pipelines.cli.screen import screen
    from setlist_pipelines.kubeflow.submission import link, tasks

    kubeflow = connect(host, namespace, token_file, cookies)
    run = kubeflow.get(f"runs/{_id(run_id)}")
    typer.echo(f"run      {run.get('display_name')} {run_id}")
    typer.echo(f"state    {run.get('state')}")
    typer.echo(f"created  {run.get('created_at')}")
    typer.echo(f"link     {link(kubeflow, run_id)}")
    if error := run.get("error", {}).get("message"):
        typer.echo(f"error    {error}")
    record = _record(run)
    if not isinstance(record, str):
        typer.echo(f"outcome  {record.line}")
    table = new_table("step", "state", "seconds", "error")
    for task in tasks(run):
        add_row(table, task.name, task.state, _seconds(task.seconds), task.error)
    screen().print(table)


@runs.command(
    epilog=examples(
        "setlist runs logs 5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11 train",
        "setlist runs logs 5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11 > all-steps.log",
    )
)
def logs(
    run_id: RunId,
    step: Annotated[str, typer.Argument(help="One step; all of them if left out.")] = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Print the logs of a run's steps, one after the other, each attempt by itself.

    They are those of the pods, so they last as long as the pods do (platform.ttl), longer only
    where the cluster archives them. Ends with 1 when a step has none.
    """
    from setlist_pipelines.kubeflow.pod_logs import chosen, logs, remedy

    kubeflow = connect(host, namespace, token_file, cookies)
    run = kubeflow.get(f"runs/{_id(run_id)}")
    without = []
    for task in chosen(run, step):
        pod = ""
        for pod, text in logs(kubeflow, run, task):
            typer.echo(f"==> {task.name}  {task.state.lower()}  {pod}")
            typer.echo(text.rstrip("\n"))
        if not pod:
            without.append(task.name)
    if without:
        raise SetlistError(
            f"no log of {', '.join(without)}: the pod is gone, or there was none since the result "
            f"came from the cache; see what is left with `{remedy(kubeflow, run)}`."
        )


@runs.command(
    epilog=examples(
        "setlist runs compare 5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11 "
        "0b9d1f44-1c7e-4f5a-8a63-d1c0e2b7a905"
    )
)
def compare(
    run_ids: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="The ids of two or more runs.")
    ],
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Show side by side in which arguments runs differ, and what came of them.

    What came of them, rule by rule, stands in the store of each run, so this needs to read that.
    """
    from setlist_pipelines.cli.screen import screen
    from setlist_pipelines.kubeflow.submission import parameters

    if len(run_ids) < 2:
        raise SetlistError("one run has nothing to be compared with; give two ids or more.")
    kubeflow = connect(host, namespace, token_file, cookies)
    found = [kubeflow.get(f"runs/{_id(run_id)}") for run_id in run_ids]
    names = [str(run.get("display_name")) for run in found]
    given = [parameters(run) for run in found]
    table = new_table("argument", *names)
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
    console.print(_outcomes(names, [_record(run) for run in found]))


def _outcomes(names: list[str], records: "list[RunRecord | str]") -> "Table":
    """What came of runs side by side, rule by rule."""
    table = new_table("what came of it", *names)
    told = [record if isinstance(record, str) else record.outcome for record in records]
    add_row(table, "(outcome)", *told)
    there = [None if isinstance(record, str) else record for record in records]
    add_row(table, "(revision)", *(record and record.revision for record in there))
    verdicts = [record and record.verdict for record in there]
    reasons = [
        {one.rule: f"{one.outcome} {one.value:.4f}" for one in verdict.reasons} if verdict else {}
        for verdict in verdicts
    ]
    for rule in dict.fromkeys(rule for one in reasons for rule in one):
        add_row(table, rule, *(one.get(rule) for one in reasons))
    return table


def _record(run: "Json") -> "RunRecord | str":
    """What came of a run, or why that cannot be said."""
    from setlist.runs.record import RunRecord
    from setlist_pipelines.settings.file import ELSEWHERE

    given = run.get("runtime_config", {}).get("parameters", {})
    store, name = given.get("store"), given.get("name")
    if not (isinstance(store, str) and isinstance(name, str) and ELSEWHERE.match(store)):
        return "not known: the run names no store"
    try:
        record = RunRecord.read(store, name, str(run.get("run_id")))
    except SetlistError as fault:
        return f"not known: {fault}"
    return record or "no record yet"


def _id(run_id: str) -> str:
    """The id, which becomes a part of a path."""
    if not run_id.replace("-", "").isalnum():
        raise SetlistError(f"{run_id} is not the id of a run; `setlist runs list` shows them.")
    return run_id


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f}"
