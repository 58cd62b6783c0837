"""`setlist runs`: lists, shows and compares runs on a Kubeflow cluster, and prints their logs.

`list` and `show` know those of this machine, too.
"""

import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from setlist.errors import ClusterError, ClusterNotFoundError, SettingsError, StoreNotFoundError
from setlist.printable import lines
from setlist_pipelines.cli.answer import Answer, Cell, JsonOption, Records
from setlist_pipelines.cli.connection import Cookies, Host, Namespace, TokenFile, connect, say
from setlist_pipelines.cli.help_page import Commands, examples
from setlist_pipelines.cli.local_run import (
    latest_local_run,
    list_local_runs,
    local_runs,
    show_local_run,
)

if TYPE_CHECKING:
    from setlist_pipelines.kubeflow.run_records import RunStory

runs = Commands(
    help="The runs on a Kubeflow cluster; `list` and `show` also those of this machine.",
    epilog=examples("setlist runs list --limit 5"),
)

Workdir = Annotated[
    Path, typer.Option(help="Of runs on a machine without a cluster: the folder that holds them.")
]
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
    json: JsonOption = False,
    workdir: Workdir = Path(".setlist"),
) -> None:
    """List the latest runs with their states: of a cluster, or of this machine if none is named."""
    from setlist_pipelines.kubeflow.run_steps import seconds_between

    try:
        kubeflow = connect(host, namespace, token_file, cookies)
    except SettingsError:
        if host or not local_runs(workdir):
            raise
        list_local_runs(workdir, limit, json)
        return
    records = Records({key: key for key in ("run", "id", "state", "created", "seconds")})
    latest = kubeflow.pages(
        "runs", "runs", sort_by="created_at desc", page_size=min(limit, 100), **kubeflow.scope
    )
    for run in islice(latest, limit):
        seconds = seconds_between(run.get("created_at"), run.get("finished_at"))
        names = (run.get(key) for key in ("display_name", "run_id", "state", "created_at"))
        records.add(*names, Cell(seconds, _seconds(seconds)))
    with Answer(json) as answer:
        answer.put_rows("runs", records)


@runs.command(
    epilog=examples(
        "setlist runs show",
        "setlist runs show 5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11",
        "setlist runs show retraining-20260501-051234-1a2b3c4d",
    )
)
def show(
    run_id: Annotated[
        str,
        typer.Argument(metavar="[RUN]", help="The id of the run; the latest here if left out."),
    ] = "",
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
    json: JsonOption = False,
    workdir: Workdir = Path(".setlist"),
    store: Annotated[
        str,
        typer.Option(
            envvar="SETLIST_STORE", help="Of the same: its store; the settings say it if left out."
        ),
    ] = "",
    model: Annotated[
        str, typer.Option("--name", help="Of the same: the model's name in the store.")
    ] = "",
) -> None:
    """Show a run: its state, its outcome, its report, its steps and their states.

    Without an id: the latest run in the folder of the runs, on this machine.
    A run of `setlist run` is looked up in the folder of the runs and in its store. Its state is
    running, ended before it was finished, failed, succeeded, or not on this machine.
    """
    from setlist_pipelines.kubeflow.run_records import read_story
    from setlist_pipelines.kubeflow.run_steps import read_plan, steps_of, with_defaults
    from setlist_pipelines.kubeflow.submission import describe_end, run_link
    from setlist_pipelines.laptop.run_state import RUN_ID

    if not run_id:
        run_id = latest_local_run(workdir)
    folder = Path(run_id)
    if folder.is_dir() and re.fullmatch(RUN_ID, folder.name):  # as `setlist run --resume` takes it
        run_id, workdir = folder.name, folder.parent
    if re.fullmatch(RUN_ID, run_id):  # Kubeflow's have another form
        show_local_run(run_id, workdir, store, model, json)
        return

    _id(run_id)
    try:
        kubeflow = connect(host, namespace, token_file, cookies)
    except SettingsError:
        if host:
            raise
        try:  # without a host: its store may have the record of a run of a cluster
            show_local_run(run_id, workdir, store, model, json)
        except StoreNotFoundError as missing:
            raise SettingsError(
                missing.message,
                "without an id, the latest run here is shown; a run of a cluster needs --host",
            ) from missing
        return
    run = kubeflow.get(f"runs/{_id(run_id)}")
    name, state = run.get("display_name"), run.get("state")
    with Answer(json) as answer:
        answer.put("run", name, f"run      {name} {run_id}")
        answer.put("id", run_id)
        plan = read_plan(kubeflow, run)
        story = read_story(with_defaults(kubeflow, run))
        answer.put("state", state)
        end = describe_end(kubeflow, run, plan, story) if state == "FAILED" else state
        answer.put("end", end, f"state    {end}")
        answer.put("created", run.get("created_at"), f"created  {run.get('created_at')}")
        link = run_link(kubeflow, run_id)
        answer.put("link", link, f"link     {link}")
        record = story.record
        known = record.line if record else story.problem
        answer.put("outcome", record and record.outcome, f"outcome  {known}")
        answer.put("revision", getattr(record, "revision", None))
        answer.put("sentence", record and record.sentence)
        answer.put("report", story.report or None, f"report   {story.report or 'none is kept'}")
        answer.put("failures", [failure.sentence for failure in story.failures])
        for failure in story.failures:
            if not (record and record.sentence == failure.sentence):
                answer.say(f"failed   {failure.sentence}")
        steps = Records({key: key for key in ("step", "state", "seconds", "attempts", "task")})
        for step in steps_of(run, plan):
            seconds, attempts = step.seconds, len(step.pods)
            shown = attempts if attempts > 1 else ""
            steps.add(
                step.name,
                step.state,
                Cell(seconds, _seconds(seconds)),
                Cell(attempts, shown),
                step.task,
            )
        answer.put_rows("steps", steps)


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
    """Print the logs of a run's steps, one after the other, with each attempt by itself.

    The logs last as long as the pods do (platform.ttl), and longer where the cluster archives
    them. Ends with 1 when a step has no log.
    """
    from setlist_pipelines.kubeflow.pod_logs import RunLogs, kubectl_logs_command, select_steps

    kubeflow = connect(host, namespace, token_file, cookies)
    run = kubeflow.get(f"runs/{_id(run_id)}")
    of_run, steps_without_log = RunLogs(kubeflow, run), []
    for task in select_steps(kubeflow, run, step):
        pod = ""
        for pod, log in of_run.of(task):
            say(f"==> {task.task}  {task.state}  {pod}")
            typer.echo(lines(log).rstrip("\n"))
        if not pod:
            steps_without_log.append(task)
    if steps_without_log:
        names = ", ".join(task.task for task in steps_without_log)
        address = of_run.address(steps_without_log[0])
        stored = f"; {address} may hold it, which the page's server returns" if address else ""
        raise ClusterNotFoundError(
            f"no log of {names}: the pod is gone, or the step had no pod because its result came "
            f"from the cache{stored}",
            f"see what is left with `{kubectl_logs_command(kubeflow, run)}`",
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
    json: JsonOption = False,
) -> None:
    """Show side by side in which arguments runs differ, and their outcomes, rule by rule.

    The outcomes are in the store of each run, so this machine needs access to it.
    """
    from setlist_pipelines.kubeflow.run_records import read_story
    from setlist_pipelines.kubeflow.run_steps import with_defaults
    from setlist_pipelines.kubeflow.submission import flat_arguments
    from setlist_pipelines.laptop.run_state import RUN_ID

    if len(run_ids) < 2:
        raise SettingsError("a comparison needs two runs", "give two ids or more")
    for run_id in run_ids:
        if re.fullmatch(RUN_ID, run_id):
            raise SettingsError(
                f"{run_id} is a run of a machine without a cluster, and only runs on a cluster are "
                "compared",
                "look at each with `setlist runs show` or `setlist report`",
            )
    try:
        kubeflow = connect(host, namespace, token_file, cookies)
    except SettingsError as fault:
        if host:
            raise
        raise SettingsError(
            f"no run of this machine has an id such as {', '.join(run_ids)}, and {fault.message}",
            fault.remedy,
        ) from fault
    documents = [with_defaults(kubeflow, kubeflow.get(f"runs/{_id(run_id)}")) for run_id in run_ids]
    names = [str(run.get("display_name")) for run in documents]
    arguments = [flat_arguments(run) for run in documents]
    differences = Records({"argument": "argument", "values": names})
    differences.add("(state)", [run.get("state") for run in documents])
    versions = [run.get("pipeline_version_reference", {}) for run in documents]
    differences.add("(version)", [version.get("pipeline_version_id") for version in versions])
    equal = 0
    for key in sorted({key for of_run in arguments for key in of_run}):
        values = [of_run.get(key) for of_run in arguments]
        if len(set(values)) == 1:
            equal += 1
        else:
            differences.add(key, values)
    with Answer(json) as answer:
        answer.put("runs", names)
        answer.put("ids", run_ids)
        answer.put_rows("arguments", differences)
        answer.put("equal_arguments", equal, f"equal in all: {equal} arguments")
        answer.put_rows("outcomes", _outcomes(names, [read_story(run) for run in documents]))


Sure = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@runs.command(epilog=examples("setlist runs stop 5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11"))
def stop(
    run_id: RunId,
    yes: Sure = False,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """End a run that goes on; its exit handler still announces it."""
    from setlist_pipelines.kubeflow.run_steps import BEING_ENDED, ENDED_STATES

    kubeflow = connect(host, namespace, token_file, cookies)
    run = kubeflow.get(f"runs/{_id(run_id)}")
    if run.get("state") in ENDED_STATES:
        raise SettingsError(f"{run_id} has ended already: {run.get('state')}.")
    _confirm(f"End {run.get('display_name')}? What it has not pushed is lost.", yes)
    if run.get("state") != BEING_ENDED:
        try:
            kubeflow.post_idempotent(f"runs/{run_id}:terminate")
        except ClusterError:
            # Asked a second time, because the answer was lost, the server refuses.
            if kubeflow.get(f"runs/{run_id}").get("state") not in (BEING_ENDED, *ENDED_STATES):
                raise
    say(f"{run.get('display_name')} is being ended")


@runs.command(epilog=examples("setlist runs archive 5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11"))
def archive(
    run_id: RunId,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Take a run out of the lists of the page; nothing of it is deleted."""
    kubeflow = connect(host, namespace, token_file, cookies)
    kubeflow.post_idempotent(f"runs/{_id(run_id)}:archive")
    say(f"{run_id} is archived")


@runs.command(epilog=examples("setlist runs delete 5f0c2b1e-7a52-4c1e-9b0a-2f4d8a6f3c11 --yes"))
def delete(
    run_id: RunId,
    yes: Sure = False,
    host: Host = "",
    namespace: Namespace = "",
    token_file: TokenFile = None,
    cookies: Cookies = "",
) -> None:
    """Delete a run from the cluster with its pods; its record and its model stay in the store."""
    from setlist_pipelines.kubeflow.run_steps import ENDED_STATES, is_stuck

    kubeflow = connect(host, namespace, token_file, cookies)
    run = kubeflow.get(f"runs/{_id(run_id)}")
    if run.get("state") not in ENDED_STATES and not is_stuck(run):
        raise SettingsError(f"{run_id} goes on", f"end it first: `setlist runs stop {run_id}`")
    _confirm(f"Delete {run.get('display_name')} with its pods and logs?", yes)
    kubeflow.delete(f"runs/{run_id}")
    say(f"{run.get('display_name')} is deleted")


def _confirm(question: str, yes: bool) -> None:
    """Ask before something is destroyed; without a terminal, --yes is the answer."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError("this cannot be taken back, and nobody can be asked", "give --yes")
    typer.confirm(question, abort=True)


def _outcomes(names: list[str], stories: "list[RunStory]") -> Records:
    """The outcomes of runs side by side, rule by rule; a text stands for an unknown outcome."""
    rows = Records({"outcome": "outcome", "values": names})
    records = [story.record for story in stories]
    outcomes = [story.record.outcome if story.record else story.problem for story in stories]
    rows.add("(outcome)", outcomes)
    rows.add("(revision)", [getattr(record, "revision", None) for record in records])
    verdicts = [record and record.verdict for record in records]
    reasons = [
        {
            reason.rule: Cell(
                {"outcome": reason.outcome, "value": reason.value},
                reason.outcome if reason.value is None else f"{reason.outcome} {reason.value:.4f}",
            )
            for reason in verdict.reasons
        }
        if verdict
        else {}
        for verdict in verdicts
    ]
    for rule in dict.fromkeys(rule for by_rule in reasons for rule in by_rule):
        rows.add(rule, [by_rule.get(rule) for by_rule in reasons])
    return rows


def _id(run_id: str) -> str:
    """The id, checked because it becomes a part of a path."""
    if not run_id.replace("-", "").isalnum():
        raise SettingsError(
            f"{run_id} is not the id of a run", "choose one that `setlist runs list` shows"
        )
    return run_id


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f}"
