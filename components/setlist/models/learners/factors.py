"""A learner as vectors of items: the form in which the two-tower starts from it."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from setlist.arrays import Float32s
from setlist.models.histories import Examples, Histories
from setlist.models.inner_split import InnerSplit

COARSE_LISTENERS = 250
"""Held-out listeners on whom all settings of a learner are tried."""
SEARCH_PLAYS = 1_000_000
"""Enough to compare settings on, and few enough that a setting takes seconds."""


@dataclass(frozen=True)
class ItemFactors:
    """The score of item j for a history H is the sum over i in H of weight_i v_i . scale v_j.

    Attributes:
        vectors: float32[items, dimension]; 0 for an item without plays.
        weights: float32[items], of a play of each item; above 0, at most 1.
        scale: float32[dimension].
    """

    vectors: Float32s
    weights: Float32s
    scale: Float32s

    @classmethod
    def plain(cls, vectors: Float32s) -> "ItemFactors":
        """With weights and scale of 1."""
        items, dimension = vectors.shape
        ones = np.ones(max(items, dimension), np.float32)
        return cls(vectors.astype(np.float32), ones[:items], ones[:dimension])

    @property
    def into(self) -> Float32s:
        """float32[items, dimension]: what a play of each item adds to a listener's vector."""
        return self.vectors * self.scale * self.weights[:, None]

    def worth(self, split: InnerSplit) -> float:
        """Mean NDCG@100 of the held-out plays."""
        use = self.scale > 0
        into, out = self.into[:, use], np.ascontiguousarray(self.vectors[:, use])
        return float(split.ndcg_by_vectors(lambda batch: bag(batch, len(into)) @ into, out).mean())


def play_matrix(histories: Histories, items: int) -> sparse.csr_array:
    """float32[listeners, items]: 1 where the listener played the item."""
    pairs = histories.listeners[histories.first], histories.items[histories.first]
    shape = len(histories.offsets) - 1, items
    return sparse.csr_array((np.ones(len(pairs[0]), np.float32), pairs), shape=shape)


def search_matrix(split: InnerSplit, items: int) -> sparse.csr_array:
    """The plays on which settings are compared: of random listeners, about SEARCH_PLAYS at most."""
    plays = play_matrix(split.learn, items)
    order = np.random.default_rng(0).permutation(plays.shape[0])
    kept = np.cumsum(np.diff(plays.indptr)[order]) <= SEARCH_PLAYS
    return plays[np.sort(order[kept])]


def scaled(
    plays: sparse.csr_array, row_exponent: float, column_exponent: float
) -> sparse.csr_array:
    """The matrix with rows and columns divided by powers of the number of their plays."""
    rows, columns = (
        np.maximum(plays.sum(axis=axis), 1).astype(np.float32) ** -exponent
        for axis, exponent in ((1, row_exponent), (0, column_exponent))
    )
    return sparse.csr_array(plays.multiply(rows[:, None]).multiply(columns), dtype=np.float32)


def bag(batch: Examples, items: int) -> sparse.csr_array:
    """float32[batch, items]: how often each item is in each history."""
    ones = np.ones(len(batch.rows), np.float32)
    shape = len(batch.listeners), items
    return sparse.csr_array(sparse.coo_array((ones, (batch.rows, batch.items)), shape=shape))
