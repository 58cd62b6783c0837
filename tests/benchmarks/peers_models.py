"""Other learners than ours: EASE, iALS, and the two-tower of TFRS' basic tutorial.

Each takes a `Cut` and returns what scores the evaluated listeners once it is fitted, so that the
fit alone can be timed.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from setlist.models.tf import tf  # before TFRS, which would import it with Keras 3

# isort: split
import numpy as np
import tensorflow_recommenders as tfrs
from cut import Cut, Scores
from scipy import sparse

Scorer = Callable[[], Scores]
Fit = Callable[..., Scorer]
Grid = Mapping[str, tuple[float, ...]]

ROUNDS = 12
SOLVED = 2**24
"""Numbers in a batch of plays of equal length, so that it stays small."""
HALF_LIVES = (3.0, 30.0)
BETAS = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
CHOSEN_BY = 1
"""The place in the metrics of the one that the search maximises."""


def ease(cut: Cut, weight: float) -> Scorer:
    """Steck 2019: the closed form, its regularisation `weight`."""
    plays = cut.plays
    gram = (plays.T @ plays).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += weight
    inverse = np.linalg.inv(gram)
    model = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(model, 0)
    return lambda: plays[cut.rows] @ model


def ials(cut: Cut, weight: float, unobserved: float, dimension: int = 64) -> Scorer:
    """Hu et al. 2008 with the loss and the regularisation of Rendle et al. 2022."""
    plays = cut.plays
    generator = np.random.default_rng(1)
    users, items = (
        generator.normal(0, 0.1 / np.sqrt(dimension), (size, dimension)).astype(np.float32)
        for size in plays.shape
    )
    sides = (users, items, plays), (items, users, sparse.csr_array(plays.T))
    for _ in range(ROUNDS):
        for side, other, table in sides:
            gram = unobserved * (other.T @ other)
            for rows, codes in _of_equal_length(table, dimension):
                own = other[codes]
                scale = weight * (codes.shape[1] + unobserved * table.shape[1])
                square = gram + scale * np.eye(dimension, dtype=np.float32)
                square = square + own.transpose(0, 2, 1) @ own
                root, right = tf.linalg.cholesky(square), own.sum(axis=1)[..., None]
                side[rows] = tf.linalg.cholesky_solve(root, right).numpy()[..., 0]
    return lambda: users[cut.rows] @ items.T


def _of_equal_length(table: sparse.csr_array, dimension: int) -> Iterator[tuple]:
    """Rows with as many entries each, int64[rows], and their columns, int32[rows, entries]."""
    lengths = np.diff(table.indptr)
    order = np.argsort(lengths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        entries = int(lengths[group[0]])
        size = max(1, SOLVED // (dimension * max(entries, dimension)))
        for start in range(0, len(group), size):
            rows = group[start : start + size]
            yield rows, table.indices[table.indptr[rows][:, None] + np.arange(entries)]


def tutorial(cut: Cut, metric: bool = True) -> Scorer:
    """The model of the basic retrieval tutorial of TFRS; `metric` off shows what its metric costs.

    As there: ids are strings, a `StringLookup` and an `Embedding` of 32 numbers for each side, the
    retrieval task with `FactorizedTopK` over the items in batches of 128, which is computed in
    training, too; Adagrad at .1, batches of 8,192, three epochs, the training data cached. Most of
    the time goes into the metric, which embeds and ranks all items for every row of every batch;
    most of the rest into the softmax of 8,192 rows over one another.

    Different from there: the plays of this data set, shuffled all of them and not 100,000; the ids
    of items in place of titles, which mean the same; no evaluation by its metric after `fit`.
    """
    tf.keras.utils.set_random_seed(42)
    features = cut.features
    ids = [
        table[name].to_numpy(object)
        for table, name in ((features.users, "user_id"), (features.items, "item_id"))
    ]
    towers = [
        tf.keras.Sequential(
            [
                tf.keras.layers.StringLookup(vocabulary=one, mask_token=None),
                tf.keras.layers.Embedding(len(one) + 1, 32),
            ]
        )
        for one in ids
    ]
    candidates = tf.data.Dataset.from_tensor_slices(ids[1]).batch(128).map(towers[1])
    metrics = tfrs.metrics.FactorizedTopK(candidates=candidates) if metric else None
    model = Basic(*towers, tfrs.tasks.Retrieval(metrics=metrics))
    model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate=0.1))
    plays = features.plays
    pairs = {name: one[plays[name]] for name, one in zip(("user", "item"), ids, strict=True)}
    data = tf.data.Dataset.from_tensor_slices(pairs)
    data = data.shuffle(len(plays), seed=42, reshuffle_each_iteration=False)
    model.fit(data.batch(8_192).cache(), epochs=3, verbose=0)
    asked = cut.people.users["user_id"].to_numpy(object)
    return lambda: towers[0](asked).numpy() @ towers[1](ids[1]).numpy().T


class Basic(tfrs.Model):
    """Two towers and a task."""

    def __init__(self, users: tf.keras.Model, items: tf.keras.Model, task: tf.keras.layers.Layer):
        super().__init__()
        self.users, self.items, self.task = users, items, task

    def compute_loss(self, pairs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        return self.task(self.users(pairs["user"]), self.items(pairs["item"]))


@dataclass(frozen=True)
class Choice:
    """What is best on the validation cut: arguments alone, and arguments with a prior."""

    alone: dict[str, float]
    arguments: dict[str, float]
    betas: tuple[float, ...]


def search(
    name: str, fit: Fit, grid: Grid, cut: Cut, tried_betas: tuple[float, ...] = BETAS
) -> Choice:
    """Every point of the grid, each with every recency prior; the edges are warned of.

    The prior is a factor exp(beta . features) on the scores, whose features are those of ours: 0
    betas are no prior.
    """
    features = cut.recency(HALF_LIVES)
    values: dict[tuple, float] = {}
    for point in itertools.product(*grid.values()):
        scores = cut.unknown(fit(cut, **dict(zip(grid, point, strict=True)))())
        for betas in itertools.product(tried_betas, repeat=len(HALF_LIVES)):
            factor = np.exp(features @ betas).astype(np.float32)
            values[point, betas] = cut.of_scores(scores * factor)[:, CHOSEN_BY].mean()
        print(f"{name} {point}: {values[point, (0.0,) * len(HALF_LIVES)]:.4f}", file=sys.stderr)
    none = (0.0,) * len(HALF_LIVES)
    alone, _ = max((key for key in values if key[1] == none), key=values.__getitem__)
    point, betas = max(values, key=values.__getitem__)
    for place, tried in enumerate(grid.values()):
        for chosen in (alone, point):
            if chosen[place] in (min(tried), max(tried)):
                print(f"warning: {name}: {chosen} lies on the edge of {dict(grid)}")
    if 0 < max(betas) == max(tried_betas):
        print(f"warning: {name}: the prior {betas} lies on the edge of {tried_betas}")
    print(
        f"{name}: {dict(zip(grid, alone, strict=True))}; with a prior "
        f"{dict(zip(grid, point, strict=True))} and betas {betas} for {HALF_LIVES} days"
    )
    alone_arguments, arguments = (dict(zip(grid, one, strict=True)) for one in (alone, point))
    return Choice(alone_arguments, arguments, betas)


def timed(fit: Callable[[], Scorer]) -> tuple[float, Scores]:
    """Seconds of the fit, and the scores."""
    began = time.perf_counter()
    scorer = fit()
    return time.perf_counter() - began, scorer()
