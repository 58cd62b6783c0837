"""What has changed since the live model: window, settings, catalogue, metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from setlist.errors import SetlistError
from setlist.evaluation.results import EvaluatedModel, Evaluation, MetricInfo
from setlist.evaluation.statistics import Interval, bootstrap
from setlist.models.item_table import read_item_table
from setlist.report.listeners import TITLE, clip
from setlist.store.model_store import open_store

TITLES = 8
"""How many titles of new or gone items are named."""


@dataclass(frozen=True)
class Items:
    """Items of one catalogue that the other lacks: how many, and the titles of some."""

    count: int
    titles: list[str]


@dataclass(frozen=True)
class Delta:
    """One metric of both; `difference` is paired, and None where a value of the corpus has none."""

    metric: MetricInfo
    live: float
    candidate: float
    difference: Interval | None


@dataclass(frozen=True)
class Since:
    """The candidate beside the live model.

    Attributes:
        settings: what they were trained with, where it differs: (setting, live, candidate). None
            where it is not known of the live model.
        new, gone: items that only the candidate's or only the live catalogue has; None where the
            live model's is not known.
    """

    live: EvaluatedModel
    candidate: EvaluatedModel
    settings: list[tuple[str, str, str]] | None
    new: Items | None
    gone: Items | None
    deltas: list[Delta]


def since(
    evaluation: Evaluation,
    scores: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    settings: Mapping[str, Any],
    folder: Path | None,
    before: Mapping[str, Any] | None,
) -> Since | None:
    """What has changed; None where nothing is live.

    Args:
        evaluation: of the run.
        scores: the per-user values of each model.
        items: the catalogue of the run: item_id and title, and listeners of the training period.
        settings: what the candidate was trained with.
        folder: the folder of the live model; None where it is not at hand.
        before: what the live model was trained with; None where it is not known.
    """
    models = {model.role: model for model in evaluation.models}
    live, candidate = models.get("live"), models["candidate"]
    if live is None:
        return None
    new = gone = None
    if folder:
        shelf = read_item_table(folder)
        new, gone = _lacking(items, shelf), _lacking(shelf, items)
    names = [metric.name for metric in evaluation.metrics if metric.per == "listener"]
    ours, theirs = scores[candidate.label][names], scores[live.label][names]
    intervals = bootstrap(ours.to_numpy(np.float64) - theirs.to_numpy(np.float64))
    found = dict(zip(names, intervals, strict=True))

    def delta(metric: MetricInfo) -> Delta:
        if metric.name not in found:
            return Delta(metric, live.corpus[metric.name], candidate.corpus[metric.name], None)
        means = float(theirs[metric.name].mean()), float(ours[metric.name].mean())
        return Delta(metric, *means, found[metric.name])

    return Since(
        live=live,
        candidate=candidate,
        settings=_changed(before, settings) if before and settings else None,
        new=new,
        gone=gone,
        deltas=[delta(metric) for metric in evaluation.metrics],
    )


def live_settings(store: str, name: str, revision: int) -> dict[str, Any] | None:
    """What a revision was trained with; None where the store does not say it, or cannot be read."""
    try:
        found = open_store(store).manifest(name, revision).metadata.get("settings")
    except SetlistError:
        return None
    return found if isinstance(found, dict) else None


def _lacking(items: pd.DataFrame, others: pd.DataFrame) -> Items:
    """The items that the others lack; those with the most listeners are named."""
    only = items[~items["item_id"].isin(others["item_id"])]
    named = only.sort_values(["listeners", "item_id"], ascending=[False, True])[:TITLES]
    return Items(len(only), [clip(title, TITLE) for title in named["title"]])


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (key, _told(before.get(key)), _told(after.get(key)))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def _told(value: object) -> str:
    if value is None:
        return "by size"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
