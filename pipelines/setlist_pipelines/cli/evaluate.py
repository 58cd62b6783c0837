"""`setlist evaluate`: lists of any recommender through the evaluation, the gate and the report."""

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from setlist.errors import SettingsError
from setlist.printable import one_line
from setlist_pipelines.cli.answer import Answer, JsonOption
from setlist_pipelines.cli.connection import Set
from setlist_pipelines.cli.data import STOP_EXIT_CODE, curated
from setlist_pipelines.cli.help_page import Commands, examples

if TYPE_CHECKING:
    from setlist.data.curation_report import CurationReport
    from setlist.data.schema import Window
    from setlist.evaluation.policy import Policy
    from setlist.list_evaluation import ListEvaluation
    from setlist_pipelines.settings.file import Settings

evaluations = Commands()

REFUSED_EXIT_CODE = 2
"""As of `setlist gate`."""
WITH_TRUTH = "Columns user_id and item_id"


@evaluations.command(
    epilog=examples(
        "setlist evaluate mine.parquet --truth truth.parquet",
        "setlist evaluate mine.parquet --against theirs.csv --truth truth.csv --items items.csv",
        "setlist evaluate mine.csv --truth truth.csv --history history.csv --heuristics",
        "setlist evaluate mine.parquet --against theirs.parquet --data home.yaml",
        "setlist evaluate mine.csv --data home.yaml --policy policy.yaml --report report.html",
    )
)
def evaluate(
    lists: Annotated[
        Path,
        typer.Argument(
            help="The lists to judge, as Parquet, CSV or JSON: user_id, item_id, and rank (1 is "
            "first) or score (the highest is first)."
        ),
    ],
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Lists that they have to beat (can be repeated)."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help=f"{WITH_TRUTH}, and perhaps weight: what listeners went on to play."),
    ] = None,
    items: Annotated[
        Path | None, typer.Option(help="With --truth, the catalogue: item_id, title, tags.")
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(help="With --truth: user_id, and columns by which listeners are grouped."),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help=f"With --truth. {WITH_TRUTH} of plays before the lists.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="A settings file in place of --truth: its tables are curated and cut in time as "
            "a run does, and its heuristics have to be beaten, too."
        ),
    ] = None,
    change: Set = None,
    heuristics: Annotated[
        bool | None,
        typer.Option(
            help="Whether the rules and learners of a pipeline have to be beaten, too: with --data "
            "unless declined, with --truth if asked for, fitted on --history."
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="A policy file; that of --data, or the default one, if left out."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Keep the evaluation in this folder.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Evaluate and judge lists of any recommender, as a pipeline does its candidate.

    What cannot be asked of lists, such as whether a model serves, is printed as not asked. Nothing
    is pushed.

    Ends with 0 when the lists would be promoted, or when there is nothing to judge them against;
    with 2 when they would not, with 3 when the gate for data would stop a run with --data, and with
    1 on an error.
    """
    from setlist.evaluation.policy import Policy, check_policy
    from setlist_pipelines.settings.file import SAMPLE, read_policy, read_settings

    _check_options(truth, data, {"--items": items, "--users": users, "--history": history}, change)
    if report and report.is_dir():
        raise SettingsError(f"{report} is a folder", "name a file in it, such as report.html")
    tables = _labelled([lists, *(against or [])])
    chosen: Policy | None = read_policy(policy) if policy else None
    with Answer(json) as answer:
        for key in ("data_verdict", "verdict", "report"):
            answer.put(key, None)
        if data:
            settings = read_settings(data, change)
            chosen = chosen or settings.policy
            check_policy(chosen, settings.evaluation.metric_infos())  # before the long work
            evaluated = _on_dataset(
                tables, settings, chosen, heuristics is not False, output, answer
            )
        else:
            from setlist.list_evaluation import evaluate_lists

            with _progress():
                evaluated = evaluate_lists(
                    dict(tables),
                    truth or Path(),
                    items=items,
                    users=users,
                    history=history,
                    heuristics=bool(heuristics),
                    settings=read_settings(SAMPLE, change).evaluation if change else None,
                    output=output,
                )
        _put_evaluation(answer, evaluated)
        rivals = any(model.role == "heuristic" for model in evaluated.evaluation.models)
        if not rivals and not policy and not report:
            answer.say(
                "not judged: there is nothing to compare the lists with; name some with --against"
            )
            return
        if _put_verdict(answer, evaluated, chosen, report) != "promote":
            raise typer.Exit(REFUSED_EXIT_CODE)


def _put_evaluation(answer: Answer, evaluated: "ListEvaluation") -> None:
    """Answer the numbers of all lists and models, and what is odd about the lists."""
    from setlist_pipelines.cli.screen import print_models

    evaluation, values = evaluated.evaluation, evaluated.table()
    for key in ("shelf", "listeners", "catalogue"):
        answer.put(key, getattr(evaluation, key))
    answer.put(
        "models",
        [
            {key: getattr(model, key) for key in ("label", "role", "source", "notes")}
            | {"values": values.loc[model.label].to_dict()}
            for model in evaluation.models
        ],
    )
    print_models(answer.console, evaluated.folder, evaluation)
    for note in evaluated.notes:
        answer.console.print(one_line(note), style="dim", soft_wrap=True)


def _put_verdict(
    answer: Answer, evaluated: "ListEvaluation", policy: "Policy | None", report: Path | None
) -> str:
    """Answer the verdict, and where the report is; the decision."""
    from setlist_pipelines.cli.screen import print_verdict

    verdict = evaluated.judge(policy)
    print_verdict(answer.console, verdict)
    answer.put("verdict", verdict.model_dump(mode="json"))
    if report:
        path = str(evaluated.report(report, policy))
        answer.put("report", path, f"report   {path}")
    return verdict.decision


def _check_options(
    truth: Path | None,
    data: Path | None,
    of_truth: dict[str, Path | None],
    change: Sequence[str] | None,
) -> None:
    if (truth is None) == (data is None):
        raise SettingsError(
            "what listeners went on to play is to be given once",
            "give either --truth or --data",
        )
    if data and (named := [name for name, path in of_truth.items() if path]):
        raise SettingsError(
            f"{', '.join(named)}: the settings file names these tables", "leave them out"
        )
    if truth and any(not pair.startswith("evaluation.") for pair in change or ()):
        raise SettingsError(
            "with --truth, --set changes what is evaluated alone",
            "write it like --set evaluation.shelf=shortcuts",
        )


def _labelled(paths: Sequence[Path]) -> dict[str, Path]:
    """The files by the names that stand in tables: those of the files without their ends."""
    tables: dict[str, Path] = {}
    for path in paths:
        label = re.sub(r"[^\w-]+", "_", path.name.partition(".")[0]).lstrip("-")[:100] or "lists"
        if label in tables:
            raise SettingsError(
                f"{tables[label]} and {path} would both be called {label}", "rename one of them"
            )
        tables[label] = path
    return tables


def _on_dataset(
    tables: dict[str, Path],
    settings: "Settings",
    policy: "Policy",
    heuristics: bool,
    output: Path | None,
    answer: Answer,
) -> "ListEvaluation":
    """Curate, check, cut and fit as a run does, in folders that are removed again, and evaluate.

    Raises:
        typer.Exit: when the gate for data would stop a run.
    """
    from setlist.data.transformation import transform
    from setlist.evaluation.named_lists import named_lists
    from setlist.list_evaluation import evaluate_lists_on

    named_lists(dict(tables))  # a fault in them is told before the long work
    with (
        tempfile.TemporaryDirectory(prefix="setlist-") as scratch,
        curated(settings) as (dataset, window, curation),
    ):
        _check_data(dataset, window, curation, settings, policy, answer)
        features, models = Path(scratch) / "features", Path(scratch) / "models"
        with _progress():
            transform(dataset, window, settings.inputs, features, settings.engine)
            fitted: list[Path] = []
            if heuristics:
                from setlist.models.heuristics import fit_heuristics

                fit_heuristics(features, settings.heuristics, models, settings.engine)
                fitted = sorted(path for path in models.iterdir() if path.is_dir())
            return evaluate_lists_on(
                dict(tables), features, dataset, fitted, settings.evaluation, output
            )


def _check_data(
    dataset: Path,
    window: "Window",
    curation: "CurationReport",
    settings: "Settings",
    policy: "Policy",
    answer: Answer,
) -> None:
    """The gate for data, as far as it can be asked without a store.

    Raises:
        typer.Exit: when it would stop a run.
    """
    from setlist.data.gate import judge_data
    from setlist_pipelines.cli.screen import print_data_verdict

    now = pd.Timestamp.now("UTC")
    verdict = judge_data(
        dataset, window, curation, settings.inputs, None, policy.data, now, settings.engine
    )
    answer.put("data_verdict", verdict.model_dump(mode="json"))
    print_data_verdict(answer.console, verdict, "gate for data")
    answer.console.print(
        "not asked: whether the data have drifted since the live model, because none is at hand",
        style="dim",
    )
    if verdict.decision == "stop":
        raise typer.Exit(STOP_EXIT_CODE)


@contextmanager
def _progress() -> Iterator[None]:
    """What the steps print goes to standard error, so that the results stand alone."""
    with redirect_stdout(sys.stderr):
        yield
