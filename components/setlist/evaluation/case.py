"""What a rule of the policy looks at: one evaluation, and the role of each of its models."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Float64s
from setlist.errors import EvaluationError
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import EvaluatedModel, Evaluation, read_per_user, read_users
from setlist.evaluation.silent_models import any_tags
from setlist.evaluation.statistics import Interval


@dataclass(frozen=True)
class Case:
    """An evaluation under judgement.

    Attributes:
        folder: the evaluation folder.
        live: the model that HEAD names; None while nothing is live.
        anchor: the last revision proven better than its predecessor, where that is another one.
    """

    folder: Path
    evaluation: Evaluation
    policy: Policy
    candidate: EvaluatedModel
    heuristics: Sequence[EvaluatedModel]
    live: EvaluatedModel | None = None
    anchor: EvaluatedModel | None = None
    _columns: dict[tuple[str, str], Float64s] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Columns that were read, by label and metric."""
    paired_intervals: dict[tuple[str, float], Interval] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Of candidate - factor * rival in the primary metric, by the rival's label and the factor, as
    far as they were computed; see `setlist.evaluation.comparison`."""

    @property
    def rivals(self) -> list[EvaluatedModel]:
        """The live model and the anchor, where they exist; heuristics are not among them."""
        return [model for model in (self.live, self.anchor) if model]

    @cached_property
    def best(self) -> EvaluatedModel:
        """The heuristic with the highest mean of the primary metric; of equals the first."""
        return max(self.heuristics, key=self.mean)

    @cached_property
    def users(self) -> pd.DataFrame:
        """The table of listeners, one row each, with the slices."""
        return read_users(self.folder, self.evaluation)

    @cached_property
    def tagged(self) -> bool:
        """Whether any item has a tag; True where the folder has no table of items, too.

        Raises:
            EvaluationError: when the table cannot be read.
        """
        return any_tags(self.folder)

    def values(self, model: EvaluatedModel, metric: str) -> Float64s:
        """float64[listeners]: the values of a per-listener metric, in the order of `users`.

        Raises:
            EvaluationError: when they are missing, too few or not finite.
        """
        values = self.column(model, metric)
        if not np.isfinite(values).all():
            raise EvaluationError(
                f"{self.folder / model.label}: {metric} is not finite everywhere."
            )
        return values

    def column(self, model: EvaluatedModel, metric: str) -> Float64s:
        """`values`, NaN where a listener has none: of "ndcg@10 tail" without plays of the tail.

        Raises:
            EvaluationError: when they are missing or too few.
        """
        if (stored := self._columns.get((model.label, metric))) is not None:
            return stored.copy()
        table = read_per_user(self.folder, model.label, [metric])
        if (
            metric not in table
            or table[metric].dtype != np.float64
            or len(table) != self.evaluation.listeners
        ):
            raise EvaluationError(
                f"{self.folder / model.label}: {metric} of {self.evaluation.listeners} listeners "
                "is missing",
                "evaluate the model again",
            )
        values = self._columns[model.label, metric] = table[metric].to_numpy(np.float64)
        return values.copy()

    def mean(self, model: EvaluatedModel) -> float:
        """The mean of the primary metric."""
        return float(self.values(model, self.policy.primary).mean())

    def value(self, model: EvaluatedModel, metric: str) -> float:
        """The value of any metric: the mean over listeners, or that of all lists together.

        Raises:
            EvaluationError: when the metric is not evaluated.
        """
        if self.evaluation.metric(metric).per == "listener":
            return float(self.values(model, metric).mean())
        if metric not in model.corpus:
            raise EvaluationError(
                f"{self.folder / 'evaluation.json'}: {model.label} has no {metric}",
                "evaluate the model again",
            )
        return model.corpus[metric]
