"""Our two-tower beside the heuristics, EASE, iALS and the TFRS tutorial, on temporal MovieLens-1M.

    python tests/benchmarks/models.py [SETTINGS.yaml]

Everything that is chosen is chosen on a validation cut: the last tenth of the training plays. The
test period is looked at once, at the end. The learners are told the same: the plays of the
training period, and the age of each for the recency prior, which EASE and iALS get as a factor
exp(beta times the prior) on their scores, beta chosen with the rest. Seconds are those of the
chosen fit, without the search and the imports; ours include its early stopping, its prior and the
writing of the SavedModel.
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from components.data.curate import curate, resolve_window
from components.data.features import Features
from components.data.schema import Window
from components.data.transform import transform
from components.evaluation.accuracy import ndcg, recall_capped
from components.evaluation.audience import Audience, audience
from components.evaluation.catalogue import catalogue_of
from components.evaluation.ranking import Ranking
from components.evaluation.statistics import bootstrap
from components.models.heuristics import HEURISTICS
from components.models.recency import recency
from components.models.saved_model import SavedModel
from components.models.settings import HeuristicSettings, ModelSettings
from components.models.train import train
from pipelines.config import read_settings

EXAMPLE = "pipelines/examples/movielens-1m.yaml"
METRICS = (
    ("ndcg@10", ndcg, 10),
    ("ndcg@100", ndcg, 100),
    ("recall (capped) @20", recall_capped, 20),
)
CHOSEN_BY = 1
"""The place in METRICS of the one that the search maximises."""
K, SEEDS = 100, (1, 2, 3)
PRIOR_DAYS, BETAS = (3.0, 30.0), (0.0, 0.3, 0.6, 1.0, 1.5)

Scores = np.ndarray
Values = np.ndarray


@dataclass(frozen=True)
class World:
    """One cut: what may be learnt from, and who is evaluated."""

    folder: Path
    features: Features
    people: Audience

    @classmethod
    def make(cls, folder: Path, window: Window, settings, dataset: Path) -> "World":
        features = transform(dataset, window, settings.inputs, folder / "features")
        test, users = (pd.read_parquet(dataset / f"{name}.parquet") for name in ("test", "users"))
        return cls(folder, features, audience(features, test, users, settings.evaluation))

    @property
    def plays(self) -> sparse.csr_array:
        """float32[listeners, items]: 1 where the listener played the item."""
        pairs = self.features.plays.drop_duplicates(["user", "item"])
        shape = len(self.features.users), len(self.features.items)
        ones = np.ones(len(pairs), np.float32)
        return sparse.csr_array((ones, (pairs["user"], pairs["item"])), shape=shape)

    @property
    def rows(self) -> np.ndarray:
        """int64[evaluated listeners]: their rows of `plays`."""
        ids = pd.Index(self.features.users["user_id"])
        return ids.get_indexer(self.people.users["user_id"])

    def prior(self, days: float) -> np.ndarray:
        """float64[items]: the recency feature of one half-life."""
        plays = self.features.plays
        items, ages = plays["item"].to_numpy(np.int32), plays["age_days"].to_numpy(np.float32)
        return recency(items, ages, len(self.features.items), [days])[:, 0]

    def measure(self, scores: Scores) -> Values:
        """float64[listeners, metrics] of scores float[listeners, items]; what is known left out."""
        scores = np.array(scores, np.float32)
        known = self.people.history
        scores[known.rows, known.codes] = -np.inf
        top = np.argsort(-scores, axis=1, kind="stable")[:, :K].astype(np.int32)
        return self.of_lists(top)

    def of_lists(self, top: np.ndarray) -> Values:
        """The same of lists."""
        people = self.people
        ranking = Ranking(top, people.truth, people.history, catalogue_of(self.features))
        return np.column_stack([metric(ranking, k) for _, metric, k in METRICS])


# The other learners.


def ease(world: World, weight: float) -> Scores:
    """Steck 2019: the closed form, its regularisation `weight`."""
    plays = world.plays
    gram = (plays.T @ plays).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += weight
    inverse = np.linalg.inv(gram)
    model = inverse / -np.diag(inverse)
    np.fill_diagonal(model, 0)
    return plays[world.rows] @ model.astype(np.float32)


def ials(world: World, weight: float, unobserved: float, dimension: int = 64) -> Scores:
    """Hu et al. 2008 with the loss and the regularisation of Rendle et al. 2022, 12 rounds."""
    plays = world.plays
    generator = np.random.default_rng(1)
    users, items = (
        generator.normal(0, 0.1 / np.sqrt(dimension), (size, dimension)).astype(np.float32)
        for size in plays.shape
    )
    by_item = sparse.csr_array(plays.T)
    for _ in range(12):
        for side, other, table in ((users, items, plays), (items, users, by_item)):
            gram = unobserved * (other.T @ other)
            for row in range(len(side)):
                own = other[table.indices[table.indptr[row] : table.indptr[row + 1]]]
                scale = weight * (len(own) + unobserved * table.shape[1])
                square = gram + own.T @ own + scale * np.eye(dimension, dtype=np.float32)
                side[row] = np.linalg.solve(square, own.sum(axis=0))
    return users[world.rows] @ items.T


def tutorial(world: World) -> Scores:
    """The basic retrieval tutorial of TFRS: ids to 32 numbers each, Adagrad .1, three epochs."""
    import tensorflow as tf
    import tensorflow_recommenders as tfrs

    tf.keras.utils.set_random_seed(1)
    users, items = len(world.features.users), len(world.features.items)

    class Basic(tfrs.Model):
        def __init__(self) -> None:
            super().__init__()
            self.user = tf.keras.layers.Embedding(users, 32)
            self.item = tf.keras.layers.Embedding(items, 32)
            candidates = tf.data.Dataset.range(items).batch(128).map(self.item)
            metrics = tfrs.metrics.FactorizedTopK(candidates=candidates)
            self.task = tfrs.tasks.Retrieval(metrics=metrics)

        def compute_loss(self, pairs, training=False):
            return self.task(self.user(pairs["user"]), self.item(pairs["item"]))

    plays = world.features.plays[["user", "item"]]
    data = tf.data.Dataset.from_tensor_slices(dict(plays)).shuffle(len(plays), seed=1).batch(8_192)
    model = Basic()
    model.compile(optimizer=tf.keras.optimizers.legacy.Adagrad(0.1))
    model.fit(data.cache(), epochs=3, verbose=0)
    return model.user(world.rows).numpy() @ model.item(np.arange(items)).numpy().T


# The search on the validation cut, and the one look at the test period.


def search(
    fit: Callable[..., Scores], grid: dict[str, tuple[float, ...]], validation: World
) -> tuple[dict[str, float], float, float]:
    """The arguments, half-life and beta that are best on the validation cut."""
    best, found = -1.0, ({}, 30.0, 0.0)
    for values in itertools.product(*grid.values()):
        arguments = dict(zip(grid, values, strict=True))
        scores = fit(validation, **arguments)
        for days, beta in itertools.product(PRIOR_DAYS, BETAS):
            prior = np.exp(beta * validation.prior(days))
            value = validation.measure(scores * prior)[:, CHOSEN_BY].mean()
            if value > best:
                best, found = value, (arguments, days, beta)
    return found


def learners(validation: World, test: World) -> Iterator[tuple[str, float, Values]]:
    """Name, seconds and values of each, ours last: one for each seed."""
    for name in ("most_popular", "recently_popular", "co_visited"):
        began = time.perf_counter()
        rule = HEURISTICS[name](test.features, HeuristicSettings())
        seconds = time.perf_counter() - began
        rule.export(test.folder / name, name, test.features.window)
        yield name, seconds, lists(test, test.folder / name)
    for name, fit, grid in (
        ("EASE", ease, {"weight": (200.0, 500.0, 1_000.0, 2_000.0, 4_000.0)}),
        ("iALS, d 64", ials, {"weight": (0.003, 0.01, 0.03), "unobserved": (0.1, 0.3)}),
    ):
        arguments, days, beta = search(fit, grid, validation)
        print(f"{name}: {arguments}, prior of {days:g} days to the power {beta}", file=sys.stderr)
        began = time.perf_counter()
        scores = fit(test, **arguments)
        seconds = time.perf_counter() - began
        yield name, seconds, test.measure(scores)
        yield (
            f"{name}, with the prior",
            seconds,
            test.measure(scores * np.exp(beta * test.prior(days))),
        )
    began = time.perf_counter()
    scores = tutorial(test)
    yield "TFRS tutorial, d 32, 3 epochs", time.perf_counter() - began, test.measure(scores)
    for seed in SEEDS:
        folder = test.folder / f"two-tower-{seed}"
        began = time.perf_counter()
        train(test.features, ModelSettings(seed=seed), folder, lambda epoch: None)
        yield f"ours, seed {seed}", time.perf_counter() - began, lists(test, folder)


def lists(world: World, folder: Path) -> Values:
    """The values of a model folder."""
    people, features = world.people, world.features
    inputs = {name: people.users[name].tolist() for name in features.inputs}
    ids = pd.Index(features.items["item_id"])
    top, _ = SavedModel(folder).lists(ids, people.plays, people.history, K, inputs, people.ages)
    return world.of_lists(top)


def validation_of(folder: Path, window: Window, settings, dataset: Path) -> World:
    """The last tenth of the training plays as a test period of its own."""
    plays = pd.read_parquet(dataset / "train.parquet").sort_values("timestamp", kind="stable")
    cut = plays["timestamp"].iloc[int(len(plays) * 0.9)]
    inner = folder / "dataset"
    inner.mkdir(parents=True)
    plays[plays["timestamp"] < cut].to_parquet(inner / "train.parquet")
    plays[plays["timestamp"] >= cut].to_parquet(inner / "test.parquet")
    for name in ("items", "users"):
        (inner / f"{name}.parquet").write_bytes((dataset / f"{name}.parquet").read_bytes())
    return World.make(folder, replace(window, cut=cut, end=window.cut), settings, inner)


def main() -> None:
    """Print the table."""
    settings = read_settings(Path(sys.argv[1] if len(sys.argv) > 1 else EXAMPLE))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        window = resolve_window(settings.window, settings.as_of, pd.Timestamp.now("UTC"))
        stdout, sys.stdout = sys.stdout, sys.stderr
        curate(settings.data, window, settings.curation, folder / "dataset")
        validation = validation_of(folder / "validation", window, settings, folder / "dataset")
        test = World.make(folder / "test", window, settings, folder / "dataset")
        found = []
        for one in learners(validation, test):
            print(f"{one[0]}: {one[1]:.1f} s, {one[2].mean(axis=0).round(4)}", file=sys.stderr)
            found.append(one)
        sys.stdout = stdout
    ours = [values for name, _, values in found if name.startswith("ours")]
    seconds = [one for name, one, _ in found if name.startswith("ours")]
    mean = ("ours, mean of 3 seeds", float(np.mean(seconds)), np.mean(ours, axis=0))
    print("| | seconds | " + " | ".join(name for name, _, _ in METRICS) + " |")
    print("|---|--:|" + "---|" * len(METRICS))
    for name, taken, values in [*found, mean]:
        cells = [f"{value:.4f}" for value in values.mean(axis=0)]
        if not name.startswith("ours"):
            lifts = bootstrap(mean[2] - values)
            cells = [
                f"{cell}; ours {lift.mean:+.4f} [{lift.low:+.4f}, {lift.high:+.4f}]"
                for cell, lift in zip(cells, lifts, strict=True)
            ]
        print(f"| {name} | {taken:.1f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
