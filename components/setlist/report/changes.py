"""What has changed since the live model: training period, settings, catalogue and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from setlist.errors import SetlistError
from setlist.evaluation.groups import EVERYBODY
from setlist.evaluation.intervals import Intervals, Quantity
from setlist.evaluation.results import EvaluatedModel, Evaluation, MetricInfo
from setlist.evaluation.statistics import Interval
from setlist.models.item_table import read_item_table
from setlist.report.untrusted_text import TITLE_LENGTH, clip
from setlist.store.reader import open_reader

TITLES_SHOWN = 8
"""How many titles of new or removed items are named."""


@dataclass(frozen=True)
class ItemDifference:
    """Items that only one of two catalogues has: how many, and the titles of some."""

    count: int
    titles: list[str]


@dataclass(frozen=True)
class MetricChange:
    """One metric of the live model and of the candidate.

    Attributes:
        difference: candidate minus live model, paired by listener; None for a metric that has one
            value for all lists together.
    """

    metric: MetricInfo
    live: float
    candidate: float
    difference: Interval | None


@dataclass(frozen=True)
class ChangesSinceLive:
    """The candidate compared with the live model.

    Attributes:
        settings: (setting, live model, candidate) for each setting of the training that differs.
            None if the live model's settings are not known.
        new: items that only the candidate's catalogue has; None if the live model's catalogue is
            not known.
        removed: items that only the live model's catalogue has; None like `new`.
    """

    live: EvaluatedModel
    candidate: EvaluatedModel
    settings: list[tuple[str, str, str]] | None
    new: ItemDifference | None
    removed: ItemDifference | None
    metrics: list[MetricChange]


def changes_since_live(
    evaluation: Evaluation,
    scores: Mapping[str, pd.DataFrame],
    intervals: Intervals,
    items: pd.DataFrame,
    settings: Mapping[str, Any],
    folder: Path | None,
    settings_of_live: Mapping[str, Any] | None,
) -> ChangesSinceLive | None:
    """Compare the candidate with the live model; None if no model is live.

    Args:
        evaluation: of the run.
        scores: the per-user values of each model.
        intervals: `wanted_since_live`.
        items: the catalogue of the run: item_id, title, and listeners of the training period.
        settings: with which the candidate was trained; empty if they are not known.
        folder: of the live model; None if it is not available.
        settings_of_live: with which the live model was trained; None if they are not known.
    """
    models = {model.role: model for model in evaluation.models}
    live, candidate = models.get("live"), models["candidate"]
    if live is None:
        return None
    new = removed = None
    if folder:
        live_items = read_item_table(folder)
        new, removed = _only_in(items, live_items), _only_in(live_items, items)
    names = [metric.name for metric in evaluation.metrics if metric.per == "listener"]
    values, live_values = scores[candidate.label][names], scores[live.label][names]
    differences = {
        name: intervals.of(EVERYBODY, Quantity(name, candidate.label, live.label)) for name in names
    }

    def metric_change(metric: MetricInfo) -> MetricChange:
        name = metric.name
        if name not in differences:
            return MetricChange(metric, live.corpus[name], candidate.corpus[name], None)
        means = float(live_values[name].mean()), float(values[name].mean())
        return MetricChange(metric, *means, differences[name])

    return ChangesSinceLive(
        live=live,
        candidate=candidate,
        settings=(
            _changed_settings(settings_of_live, settings) if settings_of_live and settings else None
        ),
        new=new,
        removed=removed,
        metrics=[metric_change(metric) for metric in evaluation.metrics],
    )


def live_settings(store: str, name: str, revision: int) -> dict[str, Any] | None:
    """The training settings of a revision.

    Returns:
        None if its manifest does not hold them or the store cannot be read: the report is then
        written without them.
    """
    try:
        settings = open_reader(store).manifest(name, revision).metadata.get("settings")
    except SetlistError:
        return None
    return settings if isinstance(settings, dict) else None


def _only_in(items: pd.DataFrame, others: pd.DataFrame) -> ItemDifference:
    """The items that `others` lack; titles of those with the most listeners come first."""
    only = items[~items["item_id"].isin(others["item_id"])]
    top = only.sort_values(["listeners", "item_id"], ascending=[False, True])[:TITLES_SHOWN]
    return ItemDifference(len(only), [clip(title, TITLE_LENGTH) for title in top["title"]])


def _changed_settings(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    return [
        (key, _setting_text(before.get(key)), _setting_text(after.get(key)))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def _setting_text(value: object) -> str:
    # A setting without a value is derived from the size of the data.
    if value is None:
        return "by size"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
