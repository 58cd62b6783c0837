"""One point in time: what may be learnt before it, who is evaluated after it, and how."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from setlist.data.features import Features
from setlist.data.schema import Window
from setlist.data.transformation import transform
from setlist.evaluation.accuracy import ndcg, recall_capped
from setlist.evaluation.audience import Audience, select_audience
from setlist.evaluation.catalogue import catalogue_of
from setlist.evaluation.exposure import coverage, popularity_lift
from setlist.evaluation.metric import Metric
from setlist.evaluation.ranking import Ranking
from setlist.evaluation.results import EvaluationSettings
from setlist.models.saved_model import SavedModel
from setlist.models.two_tower.prior import recency

DEPTH = 100
METRICS = (
    ("NDCG@10", ndcg, 10),
    ("NDCG@100", ndcg, 100),
    ("Recall@20, capped", recall_capped, 20),
)

Scores = np.ndarray
"""float32[listeners, items]"""
Values = np.ndarray
"""float64[listeners, metrics]"""


@dataclass(frozen=True)
class Cut:
    """What models learn from and who is evaluated."""

    features: Features
    people: Audience
    metrics: Sequence[tuple[str, Metric, int]] = METRICS
    folder: Path = Path()
    """Of the features."""

    @classmethod
    def of_dataset(
        cls,
        dataset: Path,
        window: Window,
        inputs: tuple[str, ...],
        settings: EvaluationSettings,
        folder: Path,
    ) -> "Cut":
        """That of a curated dataset; the features are written to `folder`."""
        transform(dataset, window, inputs, folder)
        features = Features.read(folder)
        test, users = (pd.read_parquet(dataset / f"{name}.parquet") for name in ("test", "users"))
        return cls(features, select_audience(features, test, users, settings), folder=folder)

    @cached_property
    def plays(self) -> sparse.csr_array:
        """float32[listeners, items]: 1 where the listener played the item."""
        pairs = self.features.plays.drop_duplicates(["user", "item"])
        shape = len(self.features.users), len(self.features.items)
        ones = np.ones(len(pairs), np.float32)
        return sparse.csr_array((ones, (pairs["user"], pairs["item"])), shape=shape)

    @cached_property
    def rows(self) -> np.ndarray:
        """int64[evaluated listeners]: their rows of `plays`."""
        return pd.Index(self.features.users["user_id"]).get_indexer(self.people.users["user_id"])

    def recency(self, days: Sequence[float]) -> np.ndarray:
        """float64[items, half-lives]: the features of our recency prior."""
        plays = self.features.plays
        items, ages = plays["item"].to_numpy(np.int32), plays["age_days"].to_numpy(np.float32)
        return recency(items, ages, len(self.features.items), days)

    def unknown(self, scores: Scores) -> Scores:
        """A copy of the scores, -inf for what the listener knows."""
        scores = np.array(scores, np.float32)
        known = self.people.history
        scores[known.rows, known.codes] = -np.inf
        return scores

    def of_scores(self, scores: Scores) -> Values:
        """What lists by these scores are worth; -inf is not listed."""
        depth = min(DEPTH, scores.shape[1])
        best = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
        best.sort(axis=1)  # equal scores in tie order
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(best, order, axis=1)
        listed = np.take_along_axis(scores, top, axis=1) > -np.inf
        return self.of_lists(np.where(listed, top, -1).astype(np.int32))

    def of_lists(self, top: np.ndarray) -> Values:
        """The same of lists int32[listeners, DEPTH]."""
        ranking = self.ranking(top)
        return np.column_stack([metric(ranking, k) for _, metric, k in self.metrics])

    def ranking(self, top: np.ndarray) -> Ranking:
        """Lists beside what was played."""
        return Ranking(top, self.people.truth, self.people.history, catalogue_of(self.features))

    def of_model(self, folder: Path) -> Values:
        """The same of a model folder."""
        return self.of_lists(self.lists(folder))

    def exposure(self, folder: Path) -> tuple[float, float]:
        """Coverage@10 and popularity lift@10 of a model folder."""
        ranking = self.ranking(self.lists(folder))
        return coverage(ranking, 10), popularity_lift(ranking, 10)

    def lists(self, folder: Path) -> np.ndarray:
        """int32[listeners, DEPTH] of a model folder."""
        people = self.people
        inputs = {name: people.users[name].tolist() for name in self.features.inputs}
        ids = pd.Index(self.features.items["item_id"])
        model = SavedModel(folder)
        top, _ = model.lists(ids, people.plays, people.history, DEPTH, inputs, people.ages)
        return top


def validation(dataset: Path, window: Window, output: Path, share: float = 0.1) -> Window:
    """A dataset of the training period alone, its last plays as the test period; its window."""
    plays = pd.read_parquet(dataset / "train.parquet").sort_values("timestamp", kind="stable")
    cut = plays["timestamp"].iloc[int(len(plays) * (1 - share))]
    output.mkdir(parents=True)
    plays[plays["timestamp"] < cut].to_parquet(output / "train.parquet")
    plays[plays["timestamp"] >= cut].to_parquet(output / "test.parquet")
    for name in ("items", "users"):
        (output / f"{name}.parquet").write_bytes((dataset / f"{name}.parquet").read_bytes())
    return replace(window, cutoff=cut, end=window.cutoff)
