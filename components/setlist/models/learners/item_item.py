"""Item-item learners: EASE for catalogues whose square fits into memory, a graph filter beyond.

EASE (Steck 2019): with the Gram matrix G of the plays and P = (G + strength I)^-1, the weight of a
play of item i for item j is -P_ij / P_jj, and 0 for i = j. The graph filter is the linear term of
GF-CF (Shen et al. 2021): the Gram matrix of the plays, rows divided by the root of the number of
their plays, columns by a power of theirs. Both are cut to the strongest neighbours of an item.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from scipy import sparse

from setlist.arrays import Float32s, Int32s
from setlist.models.histories import Examples
from setlist.models.inner_split import InnerSplit
from setlist.models.learners.factors import (
    COARSE_LISTENERS,
    bag,
    play_matrix,
    scaled,
    search_matrix,
)
from setlist.models.learners.learnable import ItemItem, Learnable
from setlist.models.learners.trials import Trials
from setlist.models.recommender import Recommender

DENSE_ITEMS = 10_000
"""Up to this catalogue EASE; a matrix of float32 then takes 400 MB."""
STRENGTHS = (3.0, 10.0, 30.0, 100.0)
"""Of EASE, in units of the mean number of listeners of an item."""
COLUMN_EXPONENTS = (0.0, 0.25, 0.5)
NEIGHBOURS = 400
"""On MovieLens-1M in random folds, NDCG@100 with 400 is that of all 3,493 within 0.002."""
NEIGHBOUR_CELLS = 40_000_000
"""Neighbours of all items: 320 MB of codes and weights; beyond 100,000 items each has fewer."""
BLOCK_CELLS = 20_000_000
"""Numbers in memory at once, while neighbours are sought or histories are scored."""


@dataclass(frozen=True)
class ItemItemSettings:
    """The strength of EASE, or the exponent of the columns of the graph filter."""

    strength: float | None
    column_exponent: float | None

    def __str__(self) -> str:
        """A phrase for people."""
        if self.strength is not None:
            return f"EASE (strength {self.strength:g})"
        return f"the graph filter (exponent {self.column_exponent:g})"


def choose_item_item(
    split: InnerSplit, items: int, trials: Trials | None = None
) -> ItemItemSettings:
    """Try the strengths, or the exponents, on the held-out plays.

    Args:
        split: of the training period.
        items: of the catalogue.
        trials: where what was measured is kept.
    """
    trials = trials or Trials()
    plays = search_matrix(split, items)
    dense = items <= DENSE_ITEMS
    tried = [
        ItemItemSettings(value if dense else None, None if dense else value)
        for value in (STRENGTHS if dense else COLUMN_EXPONENTS)
    ]
    if not split.check:
        return tried[1]
    coarse, values = split.some(COARSE_LISTENERS), {}
    for settings in tried:
        values[settings] = trials.first_look(settings, partial(_worth, plays, settings, coarse))
        print(f"item-item: {settings}, held-out NDCG@100 {values[settings]:.4f}", flush=True)
    return max(values, key=values.__getitem__)


def _worth(plays: sparse.csr_array, settings: ItemItemSettings, split: InnerSplit) -> float:
    return float(split.ndcg(_score(plays, settings)).mean())


def _score(plays: sparse.csr_array, settings: ItemItemSettings) -> Callable[[Examples], Float32s]:
    """What scores a batch by all weights, those beyond the neighbours included."""
    items = plays.shape[1]
    if settings.strength is not None:
        weights = ease(plays, settings.strength)
        return lambda batch: bag(batch, items) @ weights
    matrix = _filtered(plays, settings)
    rows = max(1, BLOCK_CELLS // matrix.shape[0])

    def score(batch: Examples) -> Float32s:
        """Also by the play's own item, which is not ranked, as it is known."""
        histories = bag(batch, items)
        blocks = (histories[start : start + rows] for start in range(0, histories.shape[0], rows))
        return np.vstack([(block @ matrix.T).toarray() @ matrix for block in blocks])

    return score


def ease(plays: sparse.csr_array, strength: float) -> Float32s:
    """float32[items, items]: what a play of the row's item adds to the column's."""
    penalty = strength * float(plays.sum(axis=0).mean())
    diagonal = np.diag_indices(plays.shape[1])
    if plays.shape[0] < plays.shape[1]:  # by the smaller matrix (Woodbury's identity)
        between = (plays @ plays.T).toarray() + penalty * np.eye(plays.shape[0], dtype=np.float32)
        inverse = -(plays.T @ np.linalg.solve(between, plays.toarray())) / penalty
        inverse[diagonal] += 1 / penalty
    else:
        gram = (plays.T @ plays).toarray()
        gram[diagonal] += penalty
        inverse = np.linalg.inv(gram)
    weights = inverse / -inverse[diagonal]
    weights[diagonal] = 0
    return weights.astype(np.float32, copy=False)


def neighbours(plays: sparse.csr_array, settings: ItemItemSettings) -> tuple[Int32s, Float32s]:
    """The strongest neighbours of each item and their weights.

    Returns:
        codes: int32[items, neighbours], at most NEIGHBOURS; 0 with a weight of 0 for none.
        weights: float32 of the same shape.
    """
    items = plays.shape[1]
    keep = min(NEIGHBOURS, items, max(1, NEIGHBOUR_CELLS // items))
    codes, values = np.zeros((items, keep), np.int32), np.zeros((items, keep), np.float32)
    if settings.strength is not None:
        dense = ease(plays, settings.strength)
        codes = np.argpartition(-np.abs(dense), keep - 1, axis=1)[:, :keep].astype(np.int32)
        return codes, np.take_along_axis(dense, codes, axis=1)
    matrix = _filtered(plays, settings)
    turned = sparse.csr_array(matrix.T)
    # So many products make the rows of an item: at most so many numbers they hold.
    products = np.cumsum(turned.astype(np.bool_).astype(np.int64) @ np.diff(matrix.indptr))
    edges = np.flatnonzero(np.diff(products // BLOCK_CELLS, prepend=0)) + 1
    for start, stop in pairwise([0, *edges, items]):
        block = turned[start:stop] @ matrix
        for row in range(stop - start):
            place = slice(block.indptr[row], block.indptr[row + 1])
            near, weights = block.indices[place], block.data[place]
            other = near != start + row
            near, weights = near[other], weights[other]
            if len(near) > keep:
                strongest = np.argpartition(-weights, keep - 1)[:keep]
                near, weights = near[strongest], weights[strongest]
            codes[start + row, : len(near)] = near
            values[start + row, : len(near)] = weights
    return codes, values


def _filtered(plays: sparse.csr_array, settings: ItemItemSettings) -> sparse.csr_array:
    """float32[listeners, items]: the matrix whose Gram matrix is the graph filter."""
    return scaled(plays, 0.5, settings.column_exponent or 0.0)


def fit_item_item(learnable: Learnable) -> Recommender:
    """Choose the setting on the held-out plays, and fit it to all."""
    settings = choose_item_item(learnable.split, learnable.items)
    plays = play_matrix(learnable.histories, learnable.items)
    return ItemItem(learnable, *neighbours(plays, settings))
