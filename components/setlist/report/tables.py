"""Models beside one another: by metric, on the truth they share, and by group of listeners."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from setlist.arrays import Bools, Float64s
from setlist.evaluation.audience import LISTENER_KINDS
from setlist.evaluation.results import (
    ITEM_PARTS,
    LISTENER_SLICE,
    SHARED_PART,
    Evaluation,
    MetricInfo,
)
from setlist.evaluation.statistics import MIN_LISTENERS, Interval, bootstrap
from setlist.report.listeners import VALUE, clip

GROUPS = 12
"""How many groups of one slice column are shown, the largest first."""
STEPS = (0.05, 0.15, 0.3)
"""Shares of the reference's mean at which a gain or a loss is tinted one step deeper."""


@dataclass(frozen=True)
class Value:
    """One model's value of one metric; `low` and `high` are None where there is no interval."""

    mean: float
    low: float | None = None
    high: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Metrics by model: one row a model, one column a metric."""

    metrics: list[MetricInfo]
    rows: dict[str, list[Value]]


@dataclass(frozen=True)
class Shared:
    """The second look, on the truth that candidate and live models all know."""

    table: Table
    listeners: int
    """Those with any such truth."""
    live: str
    difference: Interval
    """Candidate less live on the primary metric."""


@dataclass(frozen=True)
class Cell:
    """One model's mean in a group, beside the live model's or the group's best heuristic's."""

    mean: float
    difference: float
    settled: bool
    """The paired interval of the difference does not hold zero."""
    reference: bool
    """This is what the others are compared with."""

    @property
    def tint(self) -> str:
        """A class: "up1" to "up4" for gains, "down1" to "down4" for losses, "" if not settled."""
        if not self.settled or not self.difference:
            return ""
        before = self.mean - self.difference
        share = abs(self.difference) / before if before > 0 else np.inf
        depth = 1 + int(np.searchsorted(STEPS, share, side="right"))
        return f"{'up' if self.difference > 0 else 'down'}{depth}"


@dataclass(frozen=True)
class Group:
    """The listeners who share a value of a slice column; no cells where they are too few."""

    value: str
    listeners: int
    cells: list[Cell]


@dataclass(frozen=True)
class Slice:
    """The groups of one slice: of listeners, or of the plays that are counted as true."""

    name: str
    groups: list[Group]
    unshown: int
    """How many further values there are."""


def metric_table(
    evaluation: Evaluation, scores: Mapping[str, pd.DataFrame], silent: Collection[str]
) -> Table:
    """All models by all metrics; a model in `silent`, which lists nothing, is never the best."""
    per_user = [metric.name for metric in evaluation.metrics if metric.per == "listener"]
    found = _intervals(scores, per_user)
    rows = {
        model.label: [
            Value(model.corpus[metric.name])
            if metric.per == "corpus"
            else found[model.label, metric.name]
            for metric in evaluation.metrics
        ]
        for model in evaluation.models
    }
    return _with_best(list(evaluation.metrics), rows, silent)


def shared_truth(
    evaluation: Evaluation, scores: Mapping[str, pd.DataFrame], primary: str
) -> Shared | None:
    """What candidate, live model and anchor score on the truth that they all know.

    None where nothing is live, or where they have no truth in common.
    """
    learned = [model for model in evaluation.models if model.role != "heuristic"]
    live = next((model.label for model in learned if model.role == "live"), None)
    if live is None:
        return None
    first = f"{primary} {SHARED_PART}"
    present = {
        model.label: table[table[first].notna()]
        for model in learned
        for table in [scores[model.label]]
    }
    listeners = len(present[live])
    if not listeners:
        return None
    metrics = [
        metric for metric in evaluation.metrics if metric.per == "listener" and metric.reads_truth
    ]
    names = [f"{metric.name} {SHARED_PART}" for metric in metrics]
    found = _intervals(present, names)
    table = _with_best(
        metrics, {label: [found[label, name] for name in names] for label in present}
    )
    ours = next(model.label for model in learned if model.role == "candidate")
    difference = present[ours][[first]].to_numpy() - present[live][[first]].to_numpy()
    return Shared(table, listeners, live, bootstrap(difference)[0])


def _intervals(
    scores: Mapping[str, pd.DataFrame], metrics: Sequence[str]
) -> dict[tuple[str, str], Value]:
    # One bootstrap for all: the draws are the costly part, and columns stay paired.
    names = [(label, metric) for label in scores for metric in metrics]
    values = np.column_stack(
        [scores[label][metric].to_numpy(np.float64) for label, metric in names]
    )
    return {
        name: Value(interval.mean, interval.low, interval.high)
        for name, interval in zip(names, bootstrap(values), strict=True)
    }


def _with_best(
    metrics: list[MetricInfo], rows: dict[str, list[Value]], silent: Collection[str] = ()
) -> Table:
    """The table with the best value of each column marked."""
    speaking = [row for label, row in rows.items() if label not in silent]
    for place, metric in enumerate(metrics):
        means = [row[place].mean for row in speaking]
        best = (min if metric.better == "lower" else max)(means, default=None)
        for row in speaking:
            row[place] = replace(row[place], best=row[place].mean == best)
    return Table(metrics, rows)


def slices(
    evaluation: Evaluation,
    users: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    primary: str,
    live: bool = False,
) -> list[Slice]:
    """The primary metric of every model for the groups of every slice, and by part of the truth.

    Args:
        evaluation: of the run.
        users: its `users.parquet`.
        scores: the per-user values of each model.
        primary: the metric.
        live: compare with the live model, where there is one, and not with the best heuristic.
    """
    values = np.column_stack(
        [scores[model.label][primary].to_numpy(np.float64) for model in evaluation.models]
    )
    roles = [model.role for model in evaluation.models]
    role = "live" if live and "live" in roles else "heuristic"
    rivals = np.array([one == role for one in roles])

    def group(value: str, rows: Bools) -> Group:
        size = int(rows.sum())
        return Group(
            value=clip(value, VALUE) or "not known",
            listeners=size,
            cells=_compare(values[rows], rivals) if size >= MIN_LISTENERS else [],
        )

    found = [Slice("all", [group("all listeners", np.ones(len(users), np.bool_))], 0)]
    for name in evaluation.slices:
        counts = users[name].value_counts()
        order = (
            [kind for kind in LISTENER_KINDS if kind in counts]
            if name == LISTENER_SLICE
            else sorted(counts.index, key=lambda value: (-counts[value], value))
        )
        groups = [group(value, (users[name] == value).to_numpy()) for value in order[:GROUPS]]
        found.append(Slice(name, groups, len(order) - len(groups)))
    if evaluation.metric(primary).reads_truth:
        parts = []
        for part in ITEM_PARTS:
            table = np.column_stack(
                [scores[model.label][f"{primary} {part}"] for model in evaluation.models]
            )
            present = np.isfinite(table).all(axis=1)
            size = int(present.sum())
            cells = _compare(table[present], rivals) if size >= MIN_LISTENERS else []
            parts.append(Group(part, size, cells))
        found.append(Slice("plays of", parts, 0))
    return found


def _compare(values: Float64s, rivals: Bools) -> list[Cell]:
    """The models' means in one group, each beside the best rival of that group."""
    means = values.mean(axis=0)
    reference = int(np.where(rivals, means, -np.inf).argmax())
    return [
        Cell(
            mean=float(mean),
            difference=interval.mean,
            settled=interval.low > 0 or interval.high < 0,
            reference=place == reference,
        )
        for place, (mean, interval) in enumerate(
            zip(means, bootstrap(values - values[:, [reference]]), strict=True)
        )
    ]
