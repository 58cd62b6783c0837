"""What metrics see: lists, truth, history and catalogue as tables of integer codes.

Notation of all metrics: R_u are the relevant items of listener u, L_u is u's top-k list, phi(i)
the share of training listeners who played item i. Truth sets the denominator: a listener for whom
a model returned nothing scores 0, and a short list is not forgiven.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from setlist.arrays import Bools, Float64s, Int32s, Int64s, Ragged
from setlist.evaluation.tag_similarity import TagSimilarity
from setlist.models.contract import EMPTY, FOREIGN

__all__ = ["EMPTY", "FOREIGN", "Catalogue", "Hits", "Ragged", "Ranking"]


BLOCK_BYTES = 2**21
"""Bytes of a table that is filled and read for one block of lists, so that it stays in cache."""


@dataclass(frozen=True)
class Catalogue:
    """What metrics know of the items, in the order of the codes.

    Attributes:
        listeners: int64[items], training listeners of each item.
        tags: bool[items, tags].
        training_listeners: how many listeners the training period has.
    """

    listeners: Int64s
    tags: Bools
    training_listeners: int

    @property
    def size(self) -> int:
        """The number of items that can be recommended."""
        return len(self.listeners)

    @cached_property
    def phi(self) -> Float64s:
        """float64[items]: the share of training listeners who played the item."""
        return self.listeners / max(self.training_listeners, 1)

    @cached_property
    def tag_similarity(self) -> TagSimilarity:
        """How alike the items are by their tags."""
        return TagSimilarity(self.tags)


@dataclass(frozen=True)
class Hits:
    """The positions that hold a relevant item, best ranks first: those of the first k come first.

    Attributes:
        rows: int64[hits], the listener; of one rank in ascending order.
        ranks: int64[hits], from 0, ascending.
        ordinals: int64[hits], which hit of its listener it is, from 1.
    """

    rows: Int64s
    ranks: Int64s
    ordinals: Int64s

    def until(self, k: int) -> "Hits":
        """The hits among the first k, views of these arrays."""
        end = int(np.searchsorted(self.ranks, k))
        return Hits(self.rows[:end], self.ranks[:end], self.ordinals[:end])


@dataclass(frozen=True)
class Ranking:
    """One model's lists beside the truth.

    Attributes:
        top: int32[listeners, K], codes best first; EMPTY and FOREIGN are below 0. No code stands
            twice in a row.
        truth: the relevant items of each listener, each once, at least one.
        history: the items that each listener played in training.
        gains: float64[codes of truth], 0 or more: how relevant each is; None where each counts 1.
    """

    top: Int32s
    truth: Ragged
    history: Ragged
    catalogue: Catalogue
    gains: Float64s | None = None

    @cached_property
    def hits(self) -> Hits:
        """Every position that holds a relevant item.

        A table of listeners by items answers fastest, but grows with the catalogue; so it is one
        of few listeners that fits a processor's cache, filled and emptied for each block of them.
        """
        listeners, depth = self.top.shape
        # Two columns more, which stay false: EMPTY and FOREIGN fall into those of the row before.
        width = self.catalogue.size - FOREIGN
        block = min(max(BLOCK_BYTES // width, 1), max(listeners, 1))
        relevant = self.truth.rows * width + self.truth.codes
        table = np.zeros(block * width, np.bool_)
        starts = np.arange(block)[:, None] * width
        found = []
        for first in range(0, listeners, block):
            top = self.top[first : first + block]
            bounds = self.truth.offsets[[first, first + len(top)]]
            own = relevant[slice(*bounds)] - first * width
            table[own] = True
            found.append(np.flatnonzero(table.take(starts[: len(top)] + top)) + first * depth)
            table[own] = False
        rows, ranks = np.divmod(np.concatenate([np.zeros(0, np.int64), *found]), max(depth, 1))
        counts = np.bincount(rows, minlength=listeners)
        ordinals = np.arange(1, len(rows) + 1) - (np.cumsum(counts) - counts)[rows]
        # Numbers of at most 16 bits are sorted by radix.
        order = np.argsort(ranks.astype(np.min_scalar_type(depth)), kind="stable")
        return Hits(rows[order], ranks[order], ordinals[order])

    @cached_property
    def first_hits(self) -> Int64s:
        """int64[listeners]: the rank, from 0, of the first relevant item; K where there is none."""
        first = np.full(len(self.top), self.top.shape[1])
        first[self.hits.rows[::-1]] = self.hits.ranks[::-1]  # the last to be written stays
        return first

    @cached_property
    def hit_truth(self) -> Int64s:
        """int64[hits]: the place in `truth.codes` of the item that each hit is."""
        size = self.catalogue.size
        relevant = self.truth.rows * size + self.truth.codes
        order = np.argsort(relevant)
        hits = self.hits
        asked = hits.rows * size + self.top[hits.rows, hits.ranks]
        return order[np.searchsorted(relevant, asked, sorter=order)]

    @cached_property
    def best_first(self) -> Int64s:
        """int64[codes of truth]: places in `truth.codes`, each listener's largest gains first."""
        if self.gains is None:
            return np.arange(len(self.truth.codes))
        return np.lexsort([-self.gains, self.truth.rows])

    @cached_property
    def relevant(self) -> Int64s:
        """int64[listeners]: |R_u|."""
        return self.truth.lengths

    @cached_property
    def familiarity(self) -> Float64s:
        """float64[hits]: the mean Jaccard index of a hit's tags with those of the history's items.

        0 for a listener without a history: there is nothing that it could be like.
        """
        hits, history = self.hits, self.history
        order = np.argsort(hits.rows, kind="stable")
        rows = hits.rows[order]
        items = self.top[rows, hits.ranks[order]]
        sums = np.zeros(len(rows))
        sums[order] = self.catalogue.tag_similarity.sum_against_lists(
            rows, items, history.offsets, history.codes
        )
        return sums / np.maximum(history.lengths[hits.rows], 1)

    @cached_property
    def _shown(self) -> dict[int, Int64s]:
        return {}

    def shown(self, k: int) -> Int64s:
        """int64[items]: in how many top-k lists each item of the catalogue stands."""
        if k not in self._shown:
            places = self.top[:, :k].ravel() - np.intp(FOREIGN)
            self._shown[k] = np.bincount(places, minlength=self.catalogue.size - FOREIGN)[-FOREIGN:]
        return self._shown[k]

    def mean_over_list(self, values: npt.NDArray[np.generic], k: int) -> Float64s:
        """float64[listeners]: mean over the filled positions of L_u of `values[item]`; 0 for none.

        Args:
            values: numbers or booleans [items].
            k: the cut-off.
        """
        padded = np.append(values, np.zeros(-FOREIGN))  # what EMPTY and FOREIGN count from the end
        sums = np.empty(len(self.top))
        filled = np.empty(len(self.top), np.int64)
        block = max(BLOCK_BYTES // 8 // max(self.top.shape[1], 1), 1)
        for first in range(0, len(self.top), block):
            codes = self.top[first : first + block, :k]
            padded.take(codes).sum(axis=1, out=sums[first : first + block])
            filled[first : first + block] = np.count_nonzero(codes >= 0, axis=1)
        return sums / np.maximum(filled, 1)
