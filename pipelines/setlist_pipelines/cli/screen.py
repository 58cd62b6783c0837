"""What the terminal shows of a run: progress while it goes on, and its results at the end."""

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

import pandas as pd
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from setlist.data.verdict import DataVerdict
from setlist.evaluation.groups import EVERYBODY
from setlist.evaluation.intervals import Intervals, Quantity, read_intervals
from setlist.evaluation.results import EvaluatedModel, Evaluation, read_evaluation, read_users
from setlist.evaluation.shown_intervals import wanted_of_models
from setlist.evaluation.silent_models import (
    describe_silence,
    silent_heuristics,
    without_silent_metrics,
)
from setlist.evaluation.statistics import CONFIDENCE_LEVEL
from setlist.evaluation.verdict import Verdict
from setlist.models.selection import chosen, differences
from setlist.models.training_record import CHECK_K, read_training_records
from setlist.printable import lines, one_line
from setlist.runs.refit_record import COMPARED_RANKS, RefitRecord
from setlist_pipelines.laptop.run_outputs import training_step

# Most commands use this module for a table only, and not all of them have kfp and TensorFlow.
if TYPE_CHECKING:
    from setlist_pipelines.laptop.backtest import Backtest
    from setlist_pipelines.laptop.run_outputs import Run
    from setlist_pipelines.settings.file import Settings

PROGRESS_LINE = re.compile(r"(\d{1,3})% (.+)")
"""The line of a step that knows how far it is, e.g. "34% epoch 5 of at most 60, 12 s left"."""
BAR_WIDTH = 24
LOG_WIDTH = 120
"""The width where the output is no terminal; rich would take 80 columns and cut the numbers."""
NARROW = 99
"""Columns of a terminal, up to which a table has no more room than it needs."""
OUTCOME_TEXTS = {
    "pass": Text("pass", "green"),
    "fail": Text("FAIL", "red"),
    "not_asked": Text("not asked", "dim"),
}
OUTCOME_WIDTH = len("undecided")
"""Of the column; the longest outcome breaks into two lines."""
DECISION_COLOURS = {"promote": "green", "reject": "red", "undecided": "yellow"}


class PlainConsole(Console):
    """A console without markup, on which a text is never a command of the terminal.

    The colours and cursor moves are those of rich itself, which writes them beside the texts.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        super().__init__(file=file, highlight=False, markup=False, emoji=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render as any console, with words for what a terminal would obey."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(lines(segment.text), segment.style)


LOG_SECONDS = 30.0
"""Between two lines on the progress of a step, where a file gets them."""


class StepProgress:
    """Shows one line for each step, and below them what the present step prints.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        # The present standard output, because it is redirected while the pipeline runs.
        self.console = PlainConsole(sys.stdout)
        self.console.quiet = quiet
        self.status = self.console.status("")
        self.logged = 0.0

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
        """Show that a step began (no line), printed a line, or ended (with its seconds)."""
        if seconds is not None:
            mark = ("✓", "green") if line == "SUCCESS" else ("✗", "red")
            self.console.print(Text.assemble(mark, f" {one_line(title):<24}{seconds:7.1f} s"))
        elif self.console.is_terminal:
            self.status.update(progress_text(title, line))
        # A log cannot take a line back: it gets one when a step begins, and seldom how far it is.
        elif not line:
            self.console.print(f"  {one_line(title)} ...")
            self.logged = time.monotonic()
        elif PROGRESS_LINE.fullmatch(line) and time.monotonic() - self.logged >= LOG_SECONDS:
            self.console.print(f"  {one_line(title)}: {one_line(line)}", soft_wrap=True)
            self.logged = time.monotonic()


def progress_text(title: str, line: str) -> RenderableType:
    """The latest line of a step, with a bar where the line says how far the step is."""
    title, line = one_line(title), one_line(line)
    if not (match := PROGRESS_LINE.fullmatch(line)):
        return Text(f"{title}  {line}", overflow="ellipsis", no_wrap=True)
    percent, text = match.groups()
    table = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=100, completed=min(int(percent), 100), width=BAR_WIDTH)
    # Cut at the edge: a second line would stay on the screen when the next text replaces it.
    shown = Text(f"{percent:>3}%  {text}", overflow="ellipsis", no_wrap=True)
    table.add_row(Text(title, no_wrap=True), bar, shown)
    return table


def screen() -> Console:
    """Standard output, wide enough for tables of numbers."""
    console = PlainConsole()
    if not console.is_terminal:
        console.width = LOG_WIDTH
    return console


def print_summary(run: "Run", settings: "Settings") -> None:
    """Print models and metrics, the verdict with its reasons, and the paths of all results."""
    console = screen()
    # The gate runs unless there are no new data, and a run that failed comes to no summary.
    if not run.output("gate", "verdict").is_file():
        console.print("nothing  no new data since the live model, so no model was trained")
        console.print(f"log      {run.log}", soft_wrap=True)
        return
    checked = run.output("check-data", "verdict")
    if checked.is_file():  # runs of older versions have none
        print_data_warnings(console, DataVerdict.read(checked))
    evaluation_folder = run.output("evaluate", "evaluations")
    evaluation = read_evaluation(evaluation_folder)
    verdict = Verdict.read(run.output("gate", "verdict"))
    trainings = run.output(training_step(settings), "training")
    if len(settings.labels) > 1:
        print_candidates(console, trainings)

    print_models(console, evaluation_folder, evaluation)
    if trainings.is_dir() and (best := chosen(trainings)).added_nothing:
        start = f" ({best.start})" if best.start else ""
        console.print(
            one_line(
                "training of the candidate added nothing: on the held-out plays no epoch was "
                f"better than its start{start} by more than chance, so the start is the candidate"
            )
        )

    print_verdict(console, verdict)
    pushed = run.output("push", "pushed")
    if pushed.is_file():
        record = json.loads(pushed.read_text("utf-8"))
        # Without soft_wrap, rich would break a path, and nobody could copy it.
        console.print(
            one_line(
                f"pushed   {verdict.ships} as revision {record['revision']} of {record['name']} "
                f"in {record['store']}"
            ),
            soft_wrap=True,
        )
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


def print_models(console: Console, folder: Path, evaluation: Evaluation) -> None:
    """Print the models of an evaluation folder with their metrics."""
    plays = read_users(folder, evaluation).get("history", pd.Series(dtype=int))
    # Of a few, that is usual; where most are new, the numbers are about newcomers.
    known = f" ({(plays > 0).sum():,} with plays before)" if 0 < (plays > 0).mean() < 0.9 else ""
    table = Table(
        title=f"\n{evaluation.listeners:,} listeners{known}, {evaluation.catalogue:,} items, "
        f"{evaluation.shelf} shelf, {CONFIDENCE_LEVEL:.0%} intervals",
        box=box.SIMPLE_HEAD,
        padding=(0, 1) if console.width > NARROW else 0,  # no number is cut on 80 columns
    )
    intervals = read_intervals(folder, evaluation, wanted_of_models(evaluation))
    silent = silent_heuristics(folder, evaluation)
    evaluation, untold = without_silent_metrics(folder, evaluation)
    table.add_column("model", no_wrap=True)
    for metric in evaluation.metrics:
        # The space is where a narrow column may break: "ndcg" over "@10".
        title = metric.label.replace("_", " ").replace("@", " @")
        table.add_column(title, justify="right", overflow="fold")  # no word of it is cut
    for model in evaluation.models:
        if model.label not in silent:
            table.add_row(
                Text(one_line(model.label), "bold" if model.role == "candidate" else ""),
                *(_cell(model, metric.name, intervals) for metric in evaluation.metrics),
            )
    console.print(table)
    for line in filter(None, (describe_silence(evaluation, silent), untold)):
        console.print(one_line(line), style="dim", soft_wrap=True)


def print_data_warnings(console: Console, verdict: DataVerdict) -> None:
    """Print what the gate for data warns of, and nothing where it passes."""
    for reason in verdict.with_outcome("warn"):
        rest = one_line(f": {reason.sentence}; {reason.remedy}")
        line = Text.assemble((f"data     {one_line(reason.rule)}", "yellow"), rest)
        console.print(line, soft_wrap=True)


def print_monitoring(run: "Run") -> None:
    """Print what the requests were compared with, and the paths of all results."""
    console = screen()
    print_data_verdict(console, DataVerdict.read(run.output("compare-requests", "verdict")), "skew")
    console.print(f"page     {run.output('compare-requests', 'page')}", soft_wrap=True)
    console.print(f"log      {run.log}", soft_wrap=True)


def print_data_verdict(console: Console, verdict: DataVerdict, subject: str) -> None:
    """Print the reasons that do not pass, and the decision."""
    colours = {"pass": "green", "warn": "yellow", "stop": "red"}
    for reason in verdict.reasons:
        if reason.outcome != "pass":
            rule = one_line(f"{reason.outcome}: {reason.rule}")
            rest = one_line(f": {reason.with_example}; {reason.remedy}")
            line = Text.assemble((rule, colours[reason.outcome]), rest)
            console.print(line, soft_wrap=True)
    passed = len(verdict.with_outcome("pass"))
    console.print(
        Text(
            one_line(f"{subject}: {verdict.decision}"), f"bold {colours[verdict.decision]}"
        ).append(f" ({passed} of {len(verdict.reasons)} rules pass)", "not bold default")
    )


def print_candidates(console: Console, folder: Path) -> None:
    """Print the settings in which the candidates differ, and their results on the holdout.

    Args:
        console: where to print.
        folder: with the training record of each candidate, and the choice.
    """
    records, best = read_training_records(folder), chosen(folder)
    changes = differences(records)
    table = Table(
        title=f"\n{len(records)} candidates, {best.listeners:,} listeners with held-out plays",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column("candidate", no_wrap=True)
    table.add_column("what differs")
    for column in ("epochs", "seconds", "loss", f"ndcg @{CHECK_K}"):
        table.add_column(column, justify="right")
    table.add_column("")
    for record in records:
        table.add_row(
            Text(one_line(record.label), "bold" if record.label == best.label else ""),
            Text(one_line(changes[record.label] or "nothing")),
            str(len(record.epochs)),
            f"{record.seconds:.1f}",
            # Where no play is held out, there is neither.
            "none" if record.loss is None else f"{record.loss:.4f}",
            "none" if record.ndcg is None else f"{record.ndcg:.4f}",
            "chosen" if record.label == best.label else "",
        )
    console.print(table)


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Print the two statements of the verdict, and the reasons for the first."""
    reasons = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    reasons.add_column(max_width=OUTCOME_WIDTH)
    reasons.add_column()
    for reason in verdict.reasons:
        outcome = OUTCOME_TEXTS.get(reason.outcome, Text(reason.word, "yellow"))
        sentence = one_line(f": {reason.sentence}")
        reasons.add_row(outcome, Text.assemble((one_line(reason.rule), "bold"), sentence))
    for sentence in verdict.not_asked:
        reasons.add_row(Text("not asked", "dim"), Text(one_line(sentence)))
    colour = DECISION_COLOURS[verdict.decision]
    statements = [Text(one_line(verdict.sentence), "bold")]
    if verdict.live_sentence:  # not in older verdicts
        statements.append(Text(one_line(verdict.live_sentence)))
    console.print(
        Panel(
            Group(*statements, "", reasons),
            title=Text.assemble(
                ("candidate: ", ""),
                (verdict.decision.upper(), f"bold {colour}"),
                (f", live: {one_line(verdict.live_words)}", ""),
            ),
            border_style=colour,
        )
    )


def _cell(model: EvaluatedModel, metric: str, intervals: Intervals) -> Text:
    """A value and half of its interval."""
    # A corpus-level metric has one value of all lists, and so no interval over listeners.
    if metric in model.corpus:
        return Text(f"{model.corpus[metric]:.4f}")
    interval = intervals.of(EVERYBODY, Quantity(metric, model.label))
    half = (interval.high - interval.low) / 2
    return Text.assemble(f"{interval.mean:.4f}\n", (f"±{half:.4f}", "dim"))


def print_backtest(console: Console, result: "Backtest") -> None:
    """Print what each course shipped at each cut, and what its listeners would have got."""
    for name, entries in result.courses.items():
        table = Table(
            title=f"\n{name}: {result.primary} by cut",
            box=box.SIMPLE_HEAD,
            padding=(0, 1),
            title_justify="left",
        )
        for column in ("as of", "candidate", "best heuristic", "decision", "live from then on"):
            table.add_column(column, no_wrap=True)
        table.add_column("listeners got", justify="right", no_wrap=True)
        for cut, entry in zip(result.cuts, entries, strict=True):
            heuristic = cut.best_heuristic
            decision: str = entry.verdict.decision if entry.verdict else "-"
            table.add_row(
                cut.as_of[:10],
                f"{cut.values['candidate']:.4f}",
                f"{cut.values[heuristic]:.4f} {heuristic}",
                Text(decision, DECISION_COLOURS.get(decision, "")),
                Text(entry.live or "nothing", "bold" if entry.ships else ""),
                "not known yet" if entry.got is None else f"{entry.got:.4f}",
            )
        console.print(table)
        for cut, entry in zip(result.cuts, entries, strict=True):
            for reason in entry.verdict.reasons if entry.verdict else []:
                if reason.outcome == "pass":
                    continue
                sentence = one_line(f"{reason.word:<9}  {reason.rule}: {reason.sentence}")
                console.print(f"  {cut.as_of[:10]}  {sentence}")

    # The last period has not been lived through: its models are not evaluated later.
    means = Table(
        title=f"\nwhat listeners got, mean {result.primary} of all periods but the last",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    means.add_column("course")
    means.add_column("mean", justify="right")
    means.add_column("shipped", justify="right")
    for name, entries in result.courses.items():
        values = [entry.got for entry in entries if entry.got is not None]
        mean = f"{sum(values) / len(values):.4f}" if values else "nothing"
        means.add_row(name, mean, str(sum(bool(entry.ships) for entry in entries)))
    console.print(means)
