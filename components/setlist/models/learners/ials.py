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

from setlist.arrays import Int32s, Int64s
from setlist.models.inner_split import InnerSplit
from setlist.models.learners.factors import ItemFactors, play_matrix, search_matrix
from setlist.models.learners.learnable import Bag, Learnable
from setlist.models.recommender import Recommender

DIMENSION, ROUNDS, SEARCH_ROUNDS = 64, 12, 4
STEP, MAX_TRIED = 10**0.5, 12
"""Each setting is multiplied and divided by STEP while that ranks the held-out plays better."""
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
    split: InnerSplit, items: int, dimension: int | None = None
) -> tuple[IalsSettings, float | None]:
    """Climb on the held-out plays, with few rounds of fitting, which are enough to compare.

    Returns:
        The settings, and the mean NDCG@100 of the held-out plays; None where nobody is held out.
    """
    best = IalsSettings(0.01, 0.1, dimension or DIMENSION)
    if not split.check:
        return best, None
    plays = search_matrix(split, items)
    values: dict[IalsSettings, float] = {}

    def worth(settings: IalsSettings) -> float:
        if settings not in values and len(values) < MAX_TRIED:
            values[settings] = ials(plays, settings, SEARCH_ROUNDS).worth(split)
            most = max(values.values())
            print(f"iALS: {len(values)} settings tried, held-out NDCG@100 {most:.4f}", flush=True)
        return values.get(settings, -np.inf)

    while True:
        around = [best]
        for factor in (STEP, 1 / STEP):
            around.append(replace(best, weight=rounded(best.weight * factor)))
            around.append(replace(best, unobserved=rounded(best.unobserved * factor)))
        former, best = best, max(around, key=worth)
        if best == former:
            return best, values[best]


def rounded(value: float) -> float:
    """To two digits, so that a step forth and a step back end at the same value."""
    return float(f"{value:.1e}")


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
            gram = settings.unobserved * (other.T @ other)
            for rows, codes in _of_equal_length(table, dimension):
                own = other[codes]
                scale = settings.weight * (codes.shape[1] + settings.unobserved * table.shape[1])
                square = gram + scale * unit + own.transpose(0, 2, 1) @ own
                side[rows] = np.linalg.solve(square, own.sum(axis=1)[..., None])[..., 0]
    typical = float(np.diff(plays.indptr).mean())
    scale = settings.weight * (typical + settings.unobserved * plays.shape[1])
    values, axes = np.linalg.eigh(settings.unobserved * (items.T @ items) + scale * unit)
    return ItemFactors.plain(items @ (axes / np.sqrt(values)))


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
