"""iALS: matrix factorisation with weights on what was not played (Hu, Koren and Volinsky 2008).

With the loss and the regularisation of Rendle et al. 2022. A listener's vector is not stored but
folded in without a solve: by one matrix F for everybody, the inverse for a listener of average
length. The score of item j for a history H is then v_j . F v_i, summed over the plays i of H, which
is that of tied vectors F^(1/2) v. On tables of some thousand listeners that cost 0.003 of recall.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from setlist.arrays import Float32s, Int32s, Int64s
from setlist.models.inner_split import InnerSplit
from setlist.models.learners.factors import ItemFactors, play_matrix, search_matrix
from setlist.models.learners.learnable import Bag, Learnable
from setlist.models.learners.trials import Trials
from setlist.models.recommender import Recommender

DIMENSIONS, ROUNDS, SEARCH_ROUNDS = (64, 128), 12, 4
STEP, STEPS = 10**0.5, 3
"""Each setting is multiplied and divided by STEP while that ranks the held-out plays better, at
most so often."""
SOLVED = 2**24
"""Numbers in a batch of rows of equal length, so that it stays small."""


@dataclass(frozen=True)
class IalsSettings:
    """The regularisation, and the weight of what was not played."""

    weight: float
    unobserved: float
    dimension: int

    def __str__(self) -> str:
        """A phrase for people."""
        return (
            f"iALS with {self.dimension} dimensions (regularisation {self.weight:g}, "
            f"weight of the unobserved {self.unobserved:g})"
        )


def choose_ials(
    split: InnerSplit, items: int, dimension: int | None = None, trials: Trials | None = None
) -> tuple[IalsSettings, float | None]:
    """Climb on the held-out plays, with few rounds of fitting and the smaller number of dimensions.

    It begins at the better of two weights of the unobserved: a tenth, and that with which all that
    was not played weighs as much as the plays.

    At the end both numbers of dimensions are fitted with all rounds, as what is chosen will be.

    Args:
        split: of the training period.
        items: of the catalogue.
        dimension: the only number of dimensions, where it is set.
        trials: where what was measured is kept.

    Returns:
        The settings, and the mean NDCG@100 of the held-out plays; None where nobody is held out.
    """
    dimensions = (dimension,) if dimension else DIMENSIONS
    start = IalsSettings(0.01, 0.1, dimensions[0])
    if not split.check:
        return start, None
    plays = search_matrix(split, items)
    # In a large catalogue a weight of 0.1 drowns the plays: here both sides weigh the same.
    share = plays.nnz / (plays.shape[0] * plays.shape[1])
    balanced = rounded(STEP ** round(np.log(share) / np.log(STEP)))  # on the grid of the climb
    trials = trials or Trials()
    tried: dict[IalsSettings, float] = {}

    def look(settings: IalsSettings) -> float:
        if settings not in tried:
            tried[settings] = trials.first_look(
                settings, lambda: ials(plays, settings, SEARCH_ROUNDS).worth(split)
            )
            most = max(tried.values())
            print(f"iALS: {len(tried)} settings tried, held-out NDCG@100 {most:.4f}", flush=True)
        return tried[settings]

    def worth(settings: IalsSettings) -> float:
        return trials.worth(settings, lambda: ials(plays, settings).worth(split))

    best = max(start, replace(start, unobserved=balanced), key=look)
    for _ in range(STEPS):
        around = [best]
        for factor in (STEP, 1 / STEP):
            around.append(replace(best, weight=rounded(best.weight * factor)))
            around.append(replace(best, unobserved=rounded(best.unobserved * factor)))
        former, best = best, max(around, key=look)
        if best == former:
            break
    best = max((replace(best, dimension=size) for size in dimensions), key=worth)
    print(f"iALS: {ROUNDS} rounds, held-out NDCG@100 {worth(best):.4f}", flush=True)
    return best, worth(best)


def rounded(value: float) -> float:
    """To two digits, so that a step forth and a step back end at the same value."""
    return float(f"{value:.1e}")


# Systems of a hundred unknowns: threads of the BLAS would wait for each other more than they work.
@threadpool_limits.wrap(limits=1, user_api="blas")
def ials(plays: sparse.csr_array, settings: IalsSettings, rounds: int = ROUNDS) -> ItemFactors:
    """The items' vectors, with the root of F in them."""
    generator, dimension = np.random.default_rng(1), settings.dimension
    users, items = (
        generator.normal(0, 0.1 / np.sqrt(dimension), (size, dimension)).astype(np.float32)
        for size in plays.shape
    )
    sides = (users, items, plays), (items, users, sparse.csr_array(plays.T))
    unit = np.eye(dimension, dtype=np.float32)
    for _ in range(rounds):
        for side, other, table in sides:
            values, axes = np.linalg.eigh(settings.unobserved * (other.T @ other))
            turned = other @ axes
            for rows, codes in _of_equal_length(table, dimension):
                own, entries = turned[codes], codes.shape[1]
                scale = settings.weight * (entries + settings.unobserved * table.shape[1])
                side[rows] = least(own, np.maximum(values, 0) + scale) @ axes.T
    typical = float(np.diff(plays.indptr).mean())
    scale = settings.weight * (typical + settings.unobserved * plays.shape[1])
    values, axes = np.linalg.eigh(settings.unobserved * (items.T @ items) + scale * unit)
    return ItemFactors.plain(items @ (axes / np.sqrt(values)))


def least(own: Float32s, diagonal: Float32s) -> Float32s:
    """float32[rows, dimension]: x with (diagonal + own' own) x = own' 1, by the smaller square.

    Args:
        own: float32[rows, entries, dimension].
        diagonal: float32[dimension], above 0.
    """
    turned = own.transpose(0, 2, 1)
    if own.shape[1] < own.shape[2]:
        between = (own / diagonal) @ turned + np.eye(own.shape[1], dtype=np.float32)
        sums = np.linalg.solve(between, np.ones((*own.shape[:2], 1), np.float32))
        return (turned @ sums / diagonal[:, None])[..., 0].astype(np.float32, copy=False)
    square = turned @ own + np.diag(diagonal)
    return np.linalg.solve(square, own.sum(axis=1)[..., None])[..., 0].astype(
        np.float32, copy=False
    )


def _of_equal_length(table: sparse.csr_array, dimension: int) -> Iterator[tuple[Int64s, Int32s]]:
    """Rows with as many entries each, int64[rows], and their columns, int32[rows, entries]."""
    lengths = np.diff(table.indptr)
    order = np.argsort(lengths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        entries = int(lengths[group[0]])
        size = max(1, SOLVED // (dimension * max(entries, dimension)))
        for start in range(0, len(group), size):
            rows = group[start : start + size]
            yield rows, table.indices[table.indptr[rows][:, None] + np.arange(entries)]


def fit_ials(learnable: Learnable) -> Recommender:
    """Choose the settings on the held-out plays, and fit them to all."""
    settings, _ = choose_ials(learnable.split, learnable.items)
    plays = play_matrix(learnable.histories, learnable.items)
    return Bag(learnable, ials(plays, settings))
