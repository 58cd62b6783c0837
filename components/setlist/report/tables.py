"""Models side by side: by metric, on the truth they have in common, and by group of listeners."""

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
from setlist.report.untrusted_text import VALUE_LENGTH, clip

GROUPS_PER_SLICE = 12
"""How many groups of one slice are shown, the largest first."""
TINT_STEPS = (0.05, 0.15, 0.3)
"""Shares of the reference's mean at which a gain or a loss is tinted one step deeper."""


@dataclass(frozen=True)
class MetricValue:
    """One model's value of one metric.

    Attributes:
        low: the lower end of the interval; None for a metric that has no interval.
        high: its upper end; None like `low`.
        best: whether no other model has a better value.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    best: bool = False


@dataclass(frozen=True)
class MetricTable:
    """All models by all metrics: the values of each model, in the order of the metrics."""

    metrics: list[MetricInfo]
    rows: dict[str, list[MetricValue]]


@dataclass(frozen=True)
class SharedTruth:
    """The learned models, scored only on the truth that all of them know.

    Attributes:
        listeners: how many have any such truth.
        live: the label of the live model.
        difference: candidate minus live model in the primary metric.
    """

    table: MetricTable
    listeners: int
    live: str
    difference: Interval


@dataclass(frozen=True)
class SliceCell:
    """One model's mean in a group, compared with the reference of that group.

    Attributes:
        difference: this model minus the reference.
        settled: whether the interval of the paired difference excludes 0.
        reference: whether this model is the reference: the live model, or the heuristic with the
            best mean in this group.
    """

    mean: float
    difference: float
    settled: bool
    reference: bool

    @property
    def tint(self) -> str:
        """A CSS class: "up1" to "up4" for gains, "down1" to "down4" for losses, else ""."""
        if not self.settled or not self.difference:
            return ""
        reference_mean = self.mean - self.difference
        share = abs(self.difference) / reference_mean if reference_mean > 0 else np.inf
        depth = 1 + int(np.searchsorted(TINT_STEPS, share, side="right"))
        return f"{'up' if self.difference > 0 else 'down'}{depth}"


@dataclass(frozen=True)
class SliceGroup:
    """The listeners with one value of a slice; `cells` is empty for fewer than `MIN_LISTENERS`."""

    value: str
    listeners: int
    cells: list[SliceCell]


@dataclass(frozen=True)
class Slice:
    """The groups of one slice of the listeners, or of the truth by part of the catalogue.

    Attributes:
        hidden: how many further values the slice has.
    """

    name: str
    groups: list[SliceGroup]
    hidden: int


def metric_table(
    evaluation: Evaluation, scores: Mapping[str, pd.DataFrame], silent: Collection[str]
) -> MetricTable:
    """Tabulate all models by all metrics.

    Args:
        evaluation: of the run.
        scores: the per-user values of each model.
        silent: labels of models that list nothing; none of them is marked as the best.
    """
    per_user = [metric.name for metric in evaluation.metrics if metric.per == "listener"]
    values = _with_intervals(scores, per_user)
    rows = {
        model.label: [
            MetricValue(model.corpus[metric.name])
            if metric.per == "corpus"
            else values[model.label, metric.name]
            for metric in evaluation.metrics
        ]
        for model in evaluation.models
    }
    return _mark_best(list(evaluation.metrics), rows, silent)


def shared_truth(
    evaluation: Evaluation, scores: Mapping[str, pd.DataFrame], primary: str
) -> SharedTruth | None:
    """Compare candidate, live model and anchor on the truth that all of them know.

    None if no model is live, or if they have no truth in common.
    """
    learned = [model for model in evaluation.models if model.role != "heuristic"]
    live = next((model.label for model in learned if model.role == "live"), None)
    if live is None:
        return None
    primary_column = f"{primary} {SHARED_PART}"
    with_truth = {
        model.label: table[table[primary_column].notna()]
        for model in learned
        for table in [scores[model.label]]
    }
    listeners = len(with_truth[live])
    if not listeners:
        return None
    metrics = [
        metric for metric in evaluation.metrics if metric.per == "listener" and metric.reads_truth
    ]
    names = [f"{metric.name} {SHARED_PART}" for metric in metrics]
    values = _with_intervals(with_truth, names)
    table = _mark_best(
        metrics, {label: [values[label, name] for name in names] for label in with_truth}
    )
    candidate = next(model.label for model in learned if model.role == "candidate")
    difference = (
        with_truth[candidate][[primary_column]].to_numpy()
        - with_truth[live][[primary_column]].to_numpy()
    )
    return SharedTruth(table, listeners, live, bootstrap(difference)[0])


def _with_intervals(
    scores: Mapping[str, pd.DataFrame], metrics: Sequence[str]
) -> dict[tuple[str, str], MetricValue]:
    # One bootstrap for all: the draws are the costly part, and columns stay paired.
    names = [(label, metric) for label in scores for metric in metrics]
    values = np.column_stack(
        [scores[label][metric].to_numpy(np.float64) for label, metric in names]
    )
    return {
        name: MetricValue(interval.mean, interval.low, interval.high)
        for name, interval in zip(names, bootstrap(values), strict=True)
    }


def _mark_best(
    metrics: list[MetricInfo], rows: dict[str, list[MetricValue]], silent: Collection[str] = ()
) -> MetricTable:
    """The table in which the best value of each metric is marked."""
    contenders = [row for label, row in rows.items() if label not in silent]
    for place, metric in enumerate(metrics):
        means = [row[place].mean for row in contenders]
        best = (min if metric.better == "lower" else max)(means, default=None)
        for row in contenders:
            row[place] = replace(row[place], best=row[place].mean == best)
    return MetricTable(metrics, rows)


def slices(
    evaluation: Evaluation,
    users: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    primary: str,
    live: bool = False,
) -> list[Slice]:
    """Compare all models in every group of every slice, and by part of the catalogue.

    Args:
        evaluation: of the run.
        users: its `users.parquet`.
        scores: the per-user values of each model.
        primary: the metric.
        live: whether the live model is the reference, if there is one; else it is the best
            heuristic of each group.

    Returns:
        All listeners as a slice of one group; the slices of the evaluation; and, for a metric that
        reads the truth, "plays of": the truth by part of the catalogue.
    """
    values = np.column_stack(
        [scores[model.label][primary].to_numpy(np.float64) for model in evaluation.models]
    )
    roles = [model.role for model in evaluation.models]
    reference_role = "live" if live and "live" in roles else "heuristic"
    references = np.array([role == reference_role for role in roles])

    def slice_group(value: str, table: Float64s, rows: Bools) -> SliceGroup:
        size = int(rows.sum())
        cells = _compare(table[rows], references) if size >= MIN_LISTENERS else []
        return SliceGroup(clip(value, VALUE_LENGTH) or "not known", size, cells)

    everybody = np.ones(len(users), np.bool_)
    result = [Slice("all", [slice_group("all listeners", values, everybody)], 0)]
    for name in evaluation.slices:
        counts = users[name].value_counts()
        order = (
            [activity for activity in LISTENER_KINDS if activity in counts]
            if name == LISTENER_SLICE
            else sorted(counts.index, key=lambda value: (-counts[value], value))
        )
        groups = [
            slice_group(value, values, (users[name] == value).to_numpy())
            for value in order[:GROUPS_PER_SLICE]
        ]
        result.append(Slice(name, groups, len(order) - len(groups)))
    if evaluation.metric(primary).reads_truth:
        parts = []
        for part in ITEM_PARTS:
            table = np.column_stack(
                [scores[model.label][f"{primary} {part}"] for model in evaluation.models]
            )
            # A listener without truth in this part has no value for any model.
            parts.append(slice_group(part, table, np.isfinite(table).all(axis=1)))
        result.append(Slice("plays of", parts, 0))
    return result


def _compare(values: Float64s, references: Bools) -> list[SliceCell]:
    """Compare the models' means in one group with the best of the reference models.

    Args:
        values: float64[listeners, models], of the listeners of the group.
        references: bool[models], which of them may be the reference.
    """
    means = values.mean(axis=0)
    reference = int(np.where(references, means, -np.inf).argmax())
    return [
        SliceCell(
            mean=float(mean),
            difference=interval.mean,
            settled=interval.low > 0 or interval.high < 0,
            reference=place == reference,
        )
        for place, (mean, interval) in enumerate(
            zip(means, bootstrap(values - values[:, [reference]]), strict=True)
        )
    ]
