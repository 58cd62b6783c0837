"""`setlist`: the command line."""

from setlist_pipelines.cli import begin  # before all others: it takes the signals

# isort: split
import io
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from setlist.errors import SetlistError, missing_extra
from setlist_pipelines.cli.answer import Answer, JsonOption
from setlist_pipelines.cli.clean import CLEAN_EXAMPLES, clean
from setlist_pipelines.cli.connection import (
    Config,
    PipelineOption,
    Set,
    check_run_folder,
    named_settings,
)
from setlist_pipelines.cli.dashboard import dashboards
from setlist_pipelines.cli.data import INIT_EXAMPLES, data, init
from setlist_pipelines.cli.evaluate import evaluations
from setlist_pipelines.cli.help_page import Commands, examples, print_version
from setlist_pipelines.cli.image import image
from setlist_pipelines.cli.kind import kind
from setlist_pipelines.cli.models import models
from setlist_pipelines.cli.plan import PLAN_EXAMPLES, plan
from setlist_pipelines.cli.report import reports
from setlist_pipelines.cli.run import RUN_EXAMPLES, run
from setlist_pipelines.cli.schedule import schedule
from setlist_pipelines.cli.serving import serving
from setlist_pipelines.cli.skew import skew
from setlist_pipelines.cli.submit import cluster
from setlist_pipelines.laptop.step_main import put_working_folder_last

app = Commands(
    help="Retrain a recommender and ship it only if it is better.",
    epilog=examples("setlist run", "setlist run --config home.yaml", "setlist models list"),
)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True),
    ] = False,
) -> None:
    """What stands before the commands."""


@app.command(
    name="compile",
    epilog=examples("setlist compile --config home.yaml --output home-pipeline.yaml"),
)
def compile_(
    config: Config = None,
    change: Set = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file; manifests/PIPELINE.yaml if left out."),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            help="Write Pipeline and PipelineVersion resources for this namespace. They need the "
            "CRDs of the Kubernetes-native installation, which the usual one does not have; "
            "`setlist doctor` says which it is."
        ),
    ] = None,
    pipeline: PipelineOption = "retraining",
) -> None:
    """Compile a pipeline to YAML for a Kubeflow cluster, the settings as its defaults.

    The image of the steps is the one that the variable SETLIST_IMAGE names. With --namespace, for
    GitOps: the resources of a Kubeflow Pipelines that stores its pipelines in Kubernetes.
    """
    from setlist_pipelines.kubeflow.compilation import compile_pipeline

    path = output or Path("manifests") / f"{pipeline}.yaml"
    compile_pipeline(named_settings(config, change), path, namespace, pipeline)
    typer.echo(f"wrote {path}")
    if namespace is not None:
        typer.echo(
            "needs the CRDs pipelines.pipelines.kubeflow.org and pipelineversions.pipelines."
            "kubeflow.org, of an installation that stores pipelines in Kubernetes (Kubernetes-"
            "native API mode, platform-agnostic-k8s-native in its manifests; its healthz says "
            "`pipeline_store: kubernetes`); others take `setlist submit`, or the file without "
            "--namespace"
        )


@app.command(
    epilog=examples(
        "setlist gate .setlist/retraining-20260501-051234-42",
        "setlist gate .setlist/retraining-20260501-051234-42 --policy strict.yaml --json",
    )
)
def gate(
    evaluations: Annotated[
        list[Path],
        typer.Argument(help="Evaluation folders, or the folders of runs, which hold one."),
    ],
    policy: Annotated[
        Path | None, typer.Option(help="A policy file; the default policy if left out.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Judge evaluations that exist, without a pipeline and without pushing anything.

    Ends with 0 when every candidate would be promoted, else with 2.
    """
    from setlist.api import judge
    from setlist_pipelines.cli.screen import print_verdict
    from setlist_pipelines.settings.file import read_policy

    chosen = read_policy(policy) if policy else None
    verdicts = []
    with Answer(json) as answer:
        for folder in evaluations:
            verdict = judge(folder, chosen)
            verdicts.append({"evaluation": str(folder)} | verdict.model_dump(mode="json"))
            answer.console.print(f"\n{folder}", soft_wrap=True)
            print_verdict(answer.console, verdict)
        answer.put("verdicts", verdicts)
        if any(verdict["decision"] != "promote" for verdict in verdicts):
            raise typer.Exit(REFUSED_BY_GATE)


@app.command(
    epilog=examples(
        "setlist backtest --config home.yaml --cuts 6",
        "setlist backtest --config home.yaml --policy strict.yaml --policy lenient.yaml",
    )
)
def backtest(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run's folder, whose settings are replayed; instead of --config."),
    ] = None,
    config: Config = None,
    change: Set = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option(help="A policy file (can be repeated); the settings' own if left out."),
    ] = None,
    cuts: Annotated[int, typer.Option(min=2, help="How many past cuts.")] = 4,
    every: Annotated[
        float | None,
        typer.Option(min=0.01, help="Days between two cuts; the test period if left out."),
    ] = None,
    workdir: Annotated[Path, typer.Option(help="Folder for what is made; it is emptied.")] = Path(
        ".setlist/backtest"
    ),
    json: JsonOption = False,
) -> None:
    """Replay the whole decision over past cuts: what would have been shipped when.

    And what listeners would have got of it: the way to choose a policy before trusting it. The
    last cut is that of a run as of the settings' `as_of`, the others lie before it.
    """
    from setlist.evaluation.policy import check_policy
    from setlist_pipelines.cli.screen import StepProgress, print_backtest
    from setlist_pipelines.laptop.backtest import backtest
    from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE
    from setlist_pipelines.settings.file import SAMPLE, read_policy, read_settings

    check_run_folder(run)
    settings = read_settings(run / SETTINGS_FILE if run else config or SAMPLE, change)
    policies = {path.stem: read_policy(path) for path in policy or []}
    for chosen in policies.values():
        check_policy(chosen, settings.evaluation.metric_infos())
    with StepProgress(quiet=json) as progress:
        replayed = backtest(
            settings, policies or {"policy": settings.policy}, cuts, every, workdir, progress.show
        )
    with Answer(json) as answer:
        for key, value in replayed.model_dump(mode="json").items():
            answer.put(key, value)
        print_backtest(answer.console, replayed)
        answer.say(f"all of it  {workdir / 'backtest.json'}")


@app.command(name="policy", epilog=examples("setlist policy > policy.schema.json"))
def policy_schema() -> None:
    """Print the JSON schema of a policy file, for an editor or a check before a commit."""
    from setlist.evaluation.policy import schema

    typer.echo(schema(), nl=False)


for name, function, epilog in (
    ("run", run, RUN_EXAMPLES),
    ("init", init, INIT_EXAMPLES),
    ("clean", clean, CLEAN_EXAMPLES),
    ("plan", plan, PLAN_EXAMPLES),
):
    app.command(name=name, epilog=epilog)(function)
app.add_typer(data, name="data")
app.add_typer(models, name="models")
app.add_typer(evaluations)
app.add_typer(cluster)
app.add_typer(reports)
app.add_typer(dashboards)
app.add_typer(serving)
app.add_typer(skew)
app.add_typer(schedule, name="schedule")
app.add_typer(kind, name="kind")
app.add_typer(image, name="image")


REFUSED_BY_GATE = 2
"""The exit code of `setlist gate` where a candidate would not be promoted."""
EXTRA_OF_COMMAND = {"serve": "serve", "follow": "serve", "dashboard": "dashboard"}
"""The extra that a command needs, where several bring the package that is missing."""


def main() -> None:
    """Run the command line; a fault that the user can mend is one sentence and exit code 1."""
    put_working_folder_last()  # from which `backtest` imports metrics of the user's own
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a ✓ on a terminal of ASCII
    try:
        app()
    except ModuleNotFoundError as fault:
        error = missing_extra(fault, EXTRA_OF_COMMAND.get("".join(sys.argv[1:2]), ""))
        if error is None:  # a metric of the user's own, or a fault of this package
            raise
        _end(error)
    except SetlistError as error:
        _end(error)


def _end(error: SetlistError) -> NoReturn:
    typer.secho(f"setlist: {error}", fg="red", err=True)
    begin.end()
    sys.exit(1)


if __name__ == "__main__":
    main()
