"""Models side by side: by metric, on the truth they have in common, and by group of listeners."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from setlist.evaluation.groups import EVERYBODY, ComparedGroup, ComparedSlice
from setlist.evaluation.intervals import SHARED, Intervals, Quantity
from setlist.evaluation.results import SHARED_PART, Evaluation, MetricInfo
from setlist.evaluation.statistics import Interval
from setlist.report.untrusted_text import VALUE_LENGTH, clip

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
    evaluation: Evaluation,
    intervals: Intervals,
    silent: Collection[str],
    folded: Collection[str] = (),
) -> MetricTable:
    """Tabulate all models by all metrics.

    Args:
        evaluation: of the run.
        intervals: `wanted_of_models`.
        silent: labels of models that list nothing; none of them is marked as the best.
        folded: labels of models that are left out.
    """
    rows = {
        model.label: [
            MetricValue(model.corpus[metric.name])
            if metric.per == "corpus"
            else _metric_value(intervals.of(EVERYBODY, Quantity(metric.name, model.label)))
            for metric in evaluation.metrics
        ]
        for model in evaluation.models
        if model.label not in folded
    }
    return _mark_best(list(evaluation.metrics), rows, silent)


def shared_truth(
    evaluation: Evaluation,
    scores: Mapping[str, pd.DataFrame],
    intervals: Intervals,
    primary: str,
) -> SharedTruth | None:
    """Compare candidate, live model and anchor on the truth that all of them know.

    None if no model is live, or if they have no truth in common.

    Args:
        evaluation: of the run.
        scores: the per-user values of each model.
        intervals: `wanted_of_shared_truth`.
        primary: the metric of the difference.
    """
    learned = [model for model in evaluation.models if model.role != "heuristic"]
    live = next((model.label for model in learned if model.role == "live"), None)
    if live is None or not evaluation.metric(primary).reads_truth:
        return None
    primary_column = f"{primary} {SHARED_PART}"
    listeners = int(scores[live][primary_column].notna().sum())
    if not listeners:
        return None
    metrics = [
        metric for metric in evaluation.metrics if metric.per == "listener" and metric.reads_truth
    ]
    rows = {
        model.label: [
            _metric_value(
                intervals.of(SHARED, Quantity(f"{metric.name} {SHARED_PART}", model.label))
            )
            for metric in metrics
        ]
        for model in learned
    }
    candidate = next(model.label for model in learned if model.role == "candidate")
    difference = intervals.of(SHARED, Quantity(primary_column, candidate, live))
    return SharedTruth(_mark_best(metrics, rows), listeners, live, difference)


def _metric_value(interval: Interval) -> MetricValue:
    return MetricValue(interval.mean, interval.low, interval.high)


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
    compared: Sequence[ComparedSlice],
    intervals: Intervals,
    live: bool = False,
    folded: Collection[str] = (),
) -> list[Slice]:
    """Compare all models in every group of every slice, and by part of the catalogue.

    Args:
        evaluation: of the run.
        compared: its groups.
        intervals: `wanted_of_groups`.
        live: whether the live model is the reference, if there is one; else it is the best
            heuristic of each group.
        folded: labels of models that are left out, heuristics that list nothing.
    """
    return [
        Slice(
            part.name,
            [_slice_group(evaluation, group, intervals, live, folded) for group in part.groups],
            part.hidden,
        )
        for part in compared
    ]


def _slice_group(
    evaluation: Evaluation,
    compared: ComparedGroup,
    intervals: Intervals,
    live: bool,
    folded: Collection[str],
) -> SliceGroup:
    value = clip(compared.group.value, VALUE_LENGTH) or "not known"
    if not len(compared.means):
        return SliceGroup(value, compared.listeners, [])
    labels = [model.label for model in evaluation.models]
    roles = [model.role for model in evaluation.models]
    reference = marked = compared.reference(roles, live)
    if labels[reference] in folded:
        # Where no heuristic has a hit, the first is the reference; of those that are shown, too.
        shown = [
            label not in folded and role == "heuristic"
            for label, role in zip(labels, roles, strict=True)
        ]
        marked = shown.index(True) if any(shown) else reference
    cells = []
    for place, label in enumerate(labels):
        if label in folded:
            continue
        quantity = Quantity(compared.metric, label, labels[reference])
        interval = intervals.of(compared.group, quantity)
        cells.append(
            SliceCell(
                mean=float(compared.means[place]),
                difference=interval.mean,
                settled=interval.low > 0 or interval.high < 0,
                reference=place == marked,
            )
        )
    return SliceGroup(value, compared.listeners, cells)
