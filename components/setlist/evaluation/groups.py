"""Groups of listeners that are compared one by one, and what each model is worth to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from setlist.arrays import Bools, Float64s
from setlist.evaluation.audience import LISTENER_KINDS
from setlist.evaluation.results import ITEM_PARTS, LISTENER_SLICE, Evaluation
from setlist.evaluation.statistics import MIN_LISTENERS

GROUPS_PER_SLICE = 12
"""How many groups of one slice are compared, the largest first."""
ALL = "all"
PLAYS_OF = "plays of"
ReadColumn = Callable[[str, str], Float64s]
"""float64[listeners] by the label of a model and a column of its `per_user.parquet`."""


@dataclass(frozen=True)
class Group:
    """Some listeners of an evaluation: all of them, or those with one value of a slice.

    Attributes:
        slice: a slice of the evaluation, or `ALL`; or `PLAYS_OF`, for listeners who have any truth
            in a part of the catalogue.
        value: of the slice; or the part of the catalogue.
    """

    slice: str
    value: str

    def members(self, users: pd.DataFrame) -> Bools:
        """bool[listeners]; everybody for `PLAYS_OF`, which the values themselves tell.

        Args:
            users: `users.parquet` of the evaluation.
        """
        if self.slice in (ALL, PLAYS_OF):
            return np.ones(len(users), np.bool_)
        members: Bools = (users[self.slice] == self.value).to_numpy(np.bool_)
        return members


EVERYBODY = Group(ALL, "all listeners")


@dataclass(frozen=True)
class ComparedGroup:
    """The mean of a metric of each model in one group.

    Attributes:
        metric: the column of `per_user.parquet`.
        means: float64[models], in the order of the evaluation; empty for fewer than
            `MIN_LISTENERS` listeners, who are not compared.
    """

    group: Group
    metric: str
    listeners: int
    means: Float64s

    def reference(self, roles: Sequence[str], live: bool) -> int:
        """The place of the model that the others are compared with.

        Args:
            roles: of the models.
            live: whether it is the live model, if there is one; else it is the best heuristic.
        """
        role = "live" if live and "live" in roles else "heuristic"
        allowed = np.array([model_role == role for model_role in roles])
        return int(np.where(allowed, self.means, -np.inf).argmax())


@dataclass(frozen=True)
class ComparedSlice:
    """The groups of one slice.

    Attributes:
        hidden: how many further values the slice has.
    """

    name: str
    groups: list[ComparedGroup]
    hidden: int


def compared_slices(
    evaluation: Evaluation, users: pd.DataFrame, read: ReadColumn, primary: str
) -> list[ComparedSlice]:
    """Every group of every slice.

    Args:
        evaluation: whose models are compared.
        users: its `users.parquet`.
        read: its values.
        primary: the metric.

    Returns:
        All listeners as a slice of one group; the slices of the evaluation; and, for a metric that
        reads the truth, the truth by part of the catalogue.
    """
    labels = [model.label for model in evaluation.models]
    values = np.column_stack([read(label, primary) for label in labels])

    def compared(group: Group, metric: str, table: Float64s, rows: Bools) -> ComparedGroup:
        size = int(rows.sum())
        means = table[rows].mean(axis=0) if size >= MIN_LISTENERS else np.empty(0)
        return ComparedGroup(group, metric, size, means)

    everybody = compared(EVERYBODY, primary, values, EVERYBODY.members(users))
    result = [ComparedSlice(ALL, [everybody], 0)]
    for name in evaluation.slices:
        counts = users[name].value_counts()
        order = (
            [kind for kind in LISTENER_KINDS if kind in counts]
            if name == LISTENER_SLICE
            else sorted(counts.index, key=lambda value: (-counts[value], value))
        )
        groups = [Group(name, value) for value in order[:GROUPS_PER_SLICE]]
        result.append(
            ComparedSlice(
                name,
                [compared(group, primary, values, group.members(users)) for group in groups],
                len(order) - len(groups),
            )
        )
    if evaluation.metric(primary).reads_truth:
        parts = []
        for part in ITEM_PARTS:
            metric = f"{primary} {part}"
            table = np.column_stack([read(label, metric) for label in labels])
            # A listener without truth in this part has no value for any model.
            rows = np.asarray(np.isfinite(table).all(axis=1))
            parts.append(compared(Group(PLAYS_OF, part), metric, table, rows))
        result.append(ComparedSlice(PLAYS_OF, parts, 0))
    return result
