"""The intervals of an evaluation, computed once, and kept in its folder.

    EVALUATION/intervals.json   an interval for each model and metric, and for each difference that
                                the report and the model card show

A resample of a million listeners takes as long as it takes, so `evaluate` computes what is known
to be shown and writes it down; whoever shows it reads it. What is not there, as in the folders of
older versions or for another primary metric, is computed where it is needed, and is the same
number: an interval depends on the values and a fixed seed only.

`evaluation.json` holds the digest of this document, and this document the digests of the tables
that it was computed from, so that a verdict, which is bound to `evaluation.json`, is bound to all
of them. A document that belongs to other values is refused.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, FiniteFloat

from setlist.arrays import Float64s
from setlist.documents import parse_document
from setlist.errors import EvaluationError
from setlist.evaluation.groups import PLAYS_OF, Group
from setlist.evaluation.progress import Progress
from setlist.evaluation.results import (
    SHARED_PART,
    Evaluation,
    read_per_user,
    read_users,
)
from setlist.evaluation.statistics import (
    CONFIDENCE_LEVEL,
    RESAMPLES,
    RESAMPLING_SEED,
    Interval,
    bootstrap,
)

INTERVALS_FILE = "intervals.json"
VERSION = 1
SHARED = Group(PLAYS_OF, SHARED_PART)
"""The listeners who have any truth that all learned models know."""


@dataclass(frozen=True)
class Quantity:
    """What has an interval: the mean of a metric of a model, or its difference from another.

    Attributes:
        metric: a column of `per_user.parquet`, such as "ndcg@10" or "ndcg@10 tail".
        model: its label.
        minus: the label of the model whose values are subtracted, listener by listener; "" for
            none.
    """

    metric: str
    model: str
    minus: str = ""


Wanted = Sequence[tuple[Group, Sequence[Quantity]]]
"""Quantities of groups; a group may come several times."""


class StoredInterval(BaseModel):
    """A quantity of a group, and its interval."""

    model_config = ConfigDict(extra="forbid")

    slice: str
    value: str
    metric: str
    model: str
    minus: str
    mean: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


class StoredIntervals(BaseModel):
    """`intervals.json`."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    level: float
    resamples: int
    seed: int
    tables: dict[str, str]
    """The SHA-256 of each table that the intervals were computed from, by path in the folder."""
    intervals: list[StoredInterval]


class Intervals:
    """Intervals by group and quantity."""

    def __init__(self, known: Mapping[tuple[Group, Quantity], Interval]) -> None:
        """Hold intervals that were read or computed."""
        self._known = known

    def of(self, group: Group, quantity: Quantity) -> Interval:
        """The interval of a quantity that was asked for."""
        # The difference of a model from itself.
        if quantity.model == quantity.minus:
            return Interval(0, 0, 0)
        return self._known[group, quantity]


def read_intervals(folder: Path, evaluation: Evaluation, wanted: Wanted) -> Intervals:
    """Read the intervals of an evaluation, and compute those wanted that are not there.

    Raises:
        EvaluationError: when the document is damaged or belongs to other values, or values are
            missing.
    """
    known = dict(stored_intervals(folder, evaluation))
    missing = [
        (group, [quantity for quantity in quantities if (group, quantity) not in known])
        for group, quantities in wanted
    ]
    return Intervals(known | _compute(folder, evaluation, missing))


def write_intervals(folder: Path, evaluation: Evaluation, wanted: Wanted) -> str:
    """Compute what is known to be shown, and write it down.

    Args:
        folder: of the evaluation, with the tables of its listeners and models.
        evaluation: what is to become its `evaluation.json`.
        wanted: what is shown, as `setlist.evaluation.shown_intervals` lists it.

    Returns:
        The digest for `evaluation.json`.
    """
    document = StoredIntervals(
        version=VERSION,
        level=CONFIDENCE_LEVEL,
        resamples=RESAMPLES,
        seed=RESAMPLING_SEED,
        tables={path: _digest(folder / path) for path in _tables(evaluation)},
        intervals=[
            StoredInterval(**vars(group), **vars(quantity), **vars(interval))
            for (group, quantity), interval in _compute(folder, evaluation, wanted).items()
            # JSON has no number for the value of a metric that is not finite.
            if all(map(isfinite, vars(interval).values()))
        ],
    )
    content = (document.model_dump_json(indent=1) + "\n").encode()
    (folder / INTERVALS_FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def check_intervals(folder: Path, evaluation: Evaluation) -> None:
    """Check that the intervals of the folder, if it has any, belong to its values.

    Raises:
        EvaluationError: when they do not.
    """
    dict(stored_intervals(folder, evaluation))


def stored_intervals(
    folder: Path, evaluation: Evaluation
) -> Iterator[tuple[tuple[Group, Quantity], Interval]]:
    """What the document of the folder says; nothing where there is none.

    Raises:
        EvaluationError: when it is damaged, or belongs to other values.
    """
    path = folder / INTERVALS_FILE
    if not path.is_file():
        return
    content = path.read_bytes()
    remedy = f"evaluate again, or remove {INTERVALS_FILE}: then its numbers are computed again"
    if hashlib.sha256(content).hexdigest() != evaluation.intervals_digest:
        raise EvaluationError(f"{path} is not the document that evaluation.json names", remedy)
    document = parse_document(content, str(path), StoredIntervals, EvaluationError, remedy)
    if (document.level, document.resamples, document.seed) != (
        CONFIDENCE_LEVEL,
        RESAMPLES,
        RESAMPLING_SEED,
    ):
        return  # of another version, which computed other intervals
    for table in _tables(evaluation):
        if not (folder / table).is_file() or document.tables.get(table) != _digest(folder / table):
            raise EvaluationError(f"{path} was not computed from {folder / table}", remedy)
    for stored in document.intervals:
        quantity = Quantity(stored.metric, stored.model, stored.minus)
        interval = Interval(stored.mean, stored.low, stored.high)
        yield (Group(stored.slice, stored.value), quantity), interval


def _compute(
    folder: Path, evaluation: Evaluation, wanted: Wanted
) -> dict[tuple[Group, Quantity], Interval]:
    # One resampling for all quantities of a group: the draws are the costly part.
    by_group: dict[Group, dict[Quantity, None]] = {}
    for group, quantities in wanted:
        if quantities:
            by_group.setdefault(group, {}).update(dict.fromkeys(quantities))
    if not by_group:
        return {}
    users = read_users(folder, evaluation)
    sizes = {group: int(group.members(users).sum()) for group in by_group}
    progress = Progress("intervals", RESAMPLES * sum(sizes.values()))
    known: dict[tuple[Group, Quantity], Interval] = {}
    for group, wanted_of_group in by_group.items():
        quantities = list(wanted_of_group)
        values = _values(folder, evaluation, users, group, quantities)
        # Without anybody, there is nothing to resample.
        intervals = bootstrap(values, RESAMPLES, progress) if len(values) else []
        progress.add(RESAMPLES * (sizes[group] - len(values)))
        known |= {
            (group, quantity): interval
            for quantity, interval in zip(quantities, intervals, strict=False)
        }
    return known


def _values(
    folder: Path,
    evaluation: Evaluation,
    users: pd.DataFrame,
    group: Group,
    quantities: Sequence[Quantity],
) -> Float64s:
    """float64[members, quantities]."""
    members = group.members(users)
    labels = {label for quantity in quantities for label in (quantity.model, quantity.minus)}
    metrics = sorted({quantity.metric for quantity in quantities})
    columns = {
        (label, metric): read_column(folder, evaluation, label, metric)[members]
        for label in sorted(labels - {""})
        for metric in metrics
    }
    # Column by column in memory, as they are resampled.
    values = np.empty((len(quantities), int(members.sum())))
    for row, quantity in zip(values, quantities, strict=True):
        row[:] = columns[quantity.model, quantity.metric]
        if quantity.minus:
            row -= columns[quantity.minus, quantity.metric]
    if group.slice == PLAYS_OF:  # without truth in this part, a listener has no value
        values = values[:, np.isfinite(values).all(axis=0)]
    return values.T


def read_column(folder: Path, evaluation: Evaluation, label: str, metric: str) -> Float64s:
    """float64[listeners]: a column of a model's `per_user.parquet`.

    Raises:
        EvaluationError: when it is missing, or not of all listeners.
    """
    table = read_per_user(folder, label, [metric])
    if metric not in table or len(table) != evaluation.listeners:
        raise EvaluationError(
            f"{folder / label}: {metric} of {evaluation.listeners} listeners is missing",
            "evaluate the model again",
        )
    return table[metric].to_numpy(np.float64)


def _tables(evaluation: Evaluation) -> list[str]:
    return ["users.parquet", *(f"{model.label}/per_user.parquet" for model in evaluation.models)]


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
