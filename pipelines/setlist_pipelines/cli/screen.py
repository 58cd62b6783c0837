"""What a person sees of a run: progress while it goes on, and at the end what came of it."""

import json
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from setlist.evaluation.results import (
    EvaluatedModel,
    read_evaluation,
    read_per_user,
)
from setlist.evaluation.statistics import CONFIDENCE_LEVEL, bootstrap
from setlist.evaluation.verdict import Verdict, decide
from setlist.models.selection import chosen, differences
from setlist.models.training_record import CHECK_K, read_training_records
from setlist.runs.refit_record import COMPARED_RANKS, RefitRecord
from setlist_pipelines.laptop.backtest import Backtest
from setlist_pipelines.laptop.runner import Run
from setlist_pipelines.settings.file import Settings

SHARE = re.compile(r"(\d{1,3})% (.+)")
"""How a step says how far it is, e.g. "34% epoch 5 of at most 60, about 12 s left"."""
MARKS = {"pass": Text("pass", "green"), "fail": Text("FAIL", "red")}
COLOURS = {"promote": "green", "reject": "red", "undecided": "yellow"}


class StepProgress:
    """One line a step on the terminal, and what the step says while it works."""

    def __init__(self) -> None:
        # The real screen: standard output is redirected while the pipeline runs.
        self.console = Console(file=sys.stdout, highlight=False)
        self.status = self.console.status("")

    def __enter__(self) -> Self:
        self.status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.status.stop()

    def show(self, title: str, line: str, seconds: float | None = None) -> None:
        """Show that a step started (no line), said something, or ended (with its seconds)."""
        if seconds is not None:
            mark = "[green]✓[/]" if line == "SUCCESS" else "[red]✗[/]"
            self.console.print(f"{mark} {title:<24}{seconds:7.1f} s")
        elif self.console.is_terminal:
            self.status.update(working(title, line))
        elif not line:
            self.console.print(f"  {title} ...")


def working(title: str, line: str) -> RenderableType:
    """What a step said last; with a bar where it says how far it is."""
    if not (share := SHARE.fullmatch(line)):
        return Text(f"{title}  {line}")
    table = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=100, completed=min(int(share[1]), 100), width=24)
    words = Text(f"{share[1]:>3}%  {share[2]}", overflow="ellipsis", no_wrap=True)
    table.add_row(Text(title, no_wrap=True), bar, words)
    return table


def screen() -> Console:
    """Standard output, wide enough for the figures."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log has no edge; 80 columns would cut the figures
    return console


def print_summary(run: Run, settings: Settings) -> None:
    """Print models and metrics, the verdict with its reasons, and where everything is."""
    console = screen()
    if not run.output("gate", "verdict").is_file():
        console.print("nothing  there are no new data since the live model, so nothing was trained")
        console.print(f"log      {run.log}", soft_wrap=True)
        return
    evaluation_folder = run.output("evaluate", "evaluations")
    evaluation = read_evaluation(evaluation_folder)
    verdict = Verdict.read(run.output("gate", "verdict"))
    if len(settings.labels) > 1:
        print_candidates(console, run.output(training_step(settings), "training"))

    table = Table(
        title=f"\n{evaluation.listeners:,} listeners, {evaluation.catalogue:,} items, "
        f"{evaluation.shelf} shelf, {CONFIDENCE_LEVEL:.0%} intervals",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column("model", no_wrap=True)
    for metric in evaluation.metrics:
        table.add_column(metric.label.replace("_", " ").replace("@", " @"), justify="right")
    for model in evaluation.models:
        values = read_per_user(evaluation_folder, model.label)
        table.add_row(
            Text(model.label, "bold" if model.role == "candidate" else ""),
            *(_cell(model, metric.name, values) for metric in evaluation.metrics),
        )
    console.print(table)

    print_verdict(console, verdict)
    pushed = run.output("push", "pushed")
    if pushed.is_file():
        record = json.loads(pushed.read_text("utf-8"))
        where = f"revision {record['revision']} of {record['name']} in {record['store']}"
        console.print(f"pushed   {verdict.ships} as {where}", soft_wrap=True)
        refitted = run.output("refit", "refitted")
        if settings.refit and (refit := RefitRecord.read(refitted)).refit_of:
            console.print(
                f"refit    trained again on all days; {refit.overlap:.0%} of the top "
                f"{COMPARED_RANKS} stayed"
            )
        if verdict.mode == "manual":
            console.print(
                f"staged   to make it live: setlist models promote --store {record['store']} "
                f"--name {record['name']} {record['revision']}",
                soft_wrap=True,
            )
    else:
        console.print(f"pushed   nothing; {settings.name} stays as it was")
    console.print(f"report   {run.root / 'report.html'}", soft_wrap=True)
    console.print(f"log      {run.log}", soft_wrap=True)


def training_step(settings: Settings) -> str:
    """The step that leaves the trainings of all candidates behind."""
    choices = len(settings.labels) - 1
    return {0: "train", 1: "choose"}.get(choices, f"choose-{choices}")


def print_candidates(console: Console, folder: Path) -> None:
    """Print what the candidates differ in and how they did on the plays held out of training."""
    trainings, best = read_training_records(folder), chosen(folder)
    differs = differences(trainings)
    table = Table(
        title=f"\n{len(trainings)} candidates, {best.listeners:,} listeners with held-out plays",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column("candidate", no_wrap=True)
    table.add_column("what differs")
    for column in ("epochs", "seconds", "loss", f"ndcg @{CHECK_K}"):
        table.add_column(column, justify="right")
    table.add_column("")
    for training in trainings:
        table.add_row(
            Text(training.label, "bold" if training.label == best.label else ""),
            Text(differs[training.label] or "nothing"),
            str(len(training.epochs)),
            f"{training.seconds:.1f}",
            "none" if training.loss is None else f"{training.loss:.4f}",
            "none" if training.ndcg is None else f"{training.ndcg:.4f}",
            "chosen" if training.label == best.label else "",
        )
    console.print(table)


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Print the verdict with its reasons."""
    reasons = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for reason in verdict.reasons:
        mark = MARKS.get(reason.outcome, Text(reason.outcome, "yellow"))
        reasons.add_row(mark, Text.assemble((reason.rule, "bold"), ": ", reason.sentence))
    colour = COLOURS[verdict.decision]
    console.print(
        Panel(
            Group(Text(verdict.sentence, "bold"), "", reasons),
            title=f"[bold {colour}]{verdict.decision.upper()}[/]",
            border_style=colour,
        )
    )


def _cell(model: EvaluatedModel, metric: str, values: pd.DataFrame) -> Text:
    if metric in model.corpus:
        return Text(f"{model.corpus[metric]:.4f}")
    interval = bootstrap(values[[metric]].to_numpy())[0]
    half = (interval.high - interval.low) / 2
    return Text.assemble(f"{interval.mean:.4f}\n", (f"±{half:.4f}", "dim"))


def print_backtest(result: Backtest) -> None:
    """Print what every course shipped when, and what listeners would have got."""
    console = screen()
    for name, entries in result.courses.items():
        table = Table(
            title=f"\n{name}: {result.primary} by cut",
            box=box.SIMPLE_HEAD,
            padding=(0, 1),
            title_justify="left",
        )
        for column in ("as of", "candidate", "best heuristic", "verdict", "live from then on"):
            table.add_column(column, no_wrap=True)
        table.add_column("listeners got", justify="right", no_wrap=True)
        for cut, entry in zip(result.cuts, entries, strict=True):
            rule = cut.best_heuristic
            decision: str = entry.verdict.decision if entry.verdict else "-"
            if entry.verdict and entry.ships not in ("", "candidate"):
                decision = f"heuristic, {decide(entry.verdict.reasons)}"
            table.add_row(
                cut.as_of[:10],
                f"{cut.values['candidate']:.4f}",
                f"{cut.values[rule]:.4f} {rule}",
                Text(decision, COLOURS.get(decision, "")),
                Text(entry.live or "nothing", "bold" if entry.ships else ""),
                "not known yet" if entry.got is None else f"{entry.got:.4f}",
            )
        console.print(table)
        for cut, entry in zip(result.cuts, entries, strict=True):
            for reason in entry.verdict.reasons if entry.verdict else []:
                if reason.outcome == "pass":
                    continue
                console.print(
                    f"  {cut.as_of[:10]}  {reason.outcome:<9}  {reason.rule}: {reason.sentence}"
                )

    means = Table(
        title=f"\nwhat listeners got, mean {result.primary} of all periods but the last",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    means.add_column("course")
    means.add_column("mean", justify="right")
    means.add_column("shipped", justify="right")
    for name, entries in result.courses.items():
        got = [entry.got for entry in entries if entry.got is not None]
        mean = f"{sum(got) / len(got):.4f}" if got else "nothing"
        means.add_row(name, mean, str(sum(bool(entry.ships) for entry in entries)))
    console.print(means)
