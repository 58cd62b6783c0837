"""The input of every metric: lists, truth, history and catalogue as arrays of integer codes.

Notation in all metrics: R_u is the set of relevant items of listener u, L_u is the top-k list of u,
phi(i) is the share of training listeners who played item i. The truth sets the denominator: a
listener for whom a model returned nothing scores 0, and an unfilled position counts as a miss.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from setlist.arrays import Float64s, Int32s, Int64s, Ragged
from setlist.evaluation.tag_similarity import TagSimilarity
from setlist.models.contract import EMPTY, FOREIGN

# A metric from outside needs only this module and `setlist.evaluation.metric`.
__all__ = ["EMPTY", "FOREIGN", "Catalogue", "Hits", "Ragged", "Ranking"]

BLOCK_BYTES = 2**21
"""Size of a table that is filled and read for one block of lists: small enough for the cache."""


@dataclass(frozen=True)
class Catalogue:
    """The items that a model can recommend, in the order of their codes.

    Attributes:
        listeners: int64[items], how many training listeners played each item.
        tags: bool[items, tags], which tags each item has: a sparse table, in which each True is
            stored once and no False is.
        training_listeners: the number of listeners in the training period.
    """

    listeners: Int64s
    tags: sparse.csr_array
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
        """Sums of similarities between items by their tags."""
        return TagSimilarity(self.tags)


@dataclass(frozen=True)
class Hits:
    """The positions of lists that hold a relevant item, sorted by rank, then by listener.

    Attributes:
        rows: int64[hits], the row of the listener.
        ranks: int64[hits], from 0, ascending.
        ordinals: int64[hits], 1 for the first hit of its listener, 2 for the second, and so on.
    """

    rows: Int64s
    ranks: Int64s
    ordinals: Int64s

    def until(self, k: int) -> "Hits":
        """The hits among the first k positions, as views of these arrays."""
        # Hits are sorted by rank, so those of a smaller k are a prefix.
        end = int(np.searchsorted(self.ranks, k))
        return Hits(self.rows[:end], self.ranks[:end], self.ordinals[:end])


@dataclass(frozen=True)
class Ranking:
    """The lists of one model, together with the truth.

    Attributes:
        top: int32[listeners, K], codes, best first; EMPTY and FOREIGN are below 0. No item stands
            twice in a list.
        truth: the relevant items of each listener, at least one, each once.
        history: the items that each listener played in training, each once.
        catalogue: the items that the codes mean.
        gains: float64[codes of truth], 0 or more, how relevant each item is; None where each
            counts 1.
    """

    top: Int32s
    truth: Ragged
    history: Ragged
    catalogue: Catalogue
    gains: Float64s | None = None

    @cached_property
    def hits(self) -> Hits:
        """Every position that holds a relevant item.

        The fastest look-up is a table of listeners by items, but its size grows with the catalogue.
        So the table holds a block of listeners that fits into the processor's cache, and is filled
        and emptied for each block.
        """
        listeners, depth = self.top.shape
        # EMPTY and FOREIGN are negative: they reach the last two columns of the row before (for the
        # first row, of the last), which the table has for them and which stay false.
        width = self.catalogue.size - FOREIGN
        block = min(max(BLOCK_BYTES // width, 1), max(listeners, 1))
        relevant_cells = self.truth.rows * width + self.truth.codes
        table = np.zeros(block * width, np.bool_)
        starts = np.arange(block)[:, None] * width
        positions = []
        for first in range(0, listeners, block):
            top = self.top[first : first + block]
            bounds = self.truth.offsets[[first, first + len(top)]]
            cells = relevant_cells[slice(*bounds)] - first * width
            table[cells] = True
            hit = table.take(starts[: len(top)] + top)
            positions.append(np.flatnonzero(hit) + first * depth)
            # Clearing the cells that were set is cheaper than a new table.
            table[cells] = False
        # The empty array stands for an audience without any block.
        rows, ranks = np.divmod(np.concatenate([np.zeros(0, np.int64), *positions]), max(depth, 1))
        counts = np.bincount(rows, minlength=listeners)
        # Rows ascend: the number of hits before those of the same listener is taken off.
        ordinals = np.arange(1, len(rows) + 1) - (np.cumsum(counts) - counts)[rows]
        # numpy sorts integers of at most 16 bits by radix, which is many times faster.
        order = np.argsort(ranks.astype(np.min_scalar_type(depth)), kind="stable")
        return Hits(rows[order], ranks[order], ordinals[order])

    @cached_property
    def first_hits(self) -> Int64s:
        """int64[listeners]: the rank, from 0, of the first relevant item; K where there is none."""
        first = np.full(len(self.top), self.top.shape[1])
        # Hits are sorted by rank; written in reverse, the best rank of a listener is written last.
        first[self.hits.rows[::-1]] = self.hits.ranks[::-1]
        return first

    @cached_property
    def hit_truth(self) -> Int64s:
        """int64[hits]: the position in `truth.codes` of the item of each hit."""
        size = self.catalogue.size
        relevant_cells = self.truth.rows * size + self.truth.codes
        order = np.argsort(relevant_cells)
        hits = self.hits
        hit = hits.rows * size + self.top[hits.rows, hits.ranks]
        return order[np.searchsorted(relevant_cells, hit, sorter=order)]

    @cached_property
    def best_first(self) -> Int64s:
        """int64[codes of truth]: positions in `truth.codes`, sorted by gain.

        Listener after listener, of each the largest gain first.
        """
        if self.gains is None:
            return np.arange(len(self.truth.codes))
        return np.lexsort([-self.gains, self.truth.rows])

    @cached_property
    def relevant(self) -> Int64s:
        """int64[listeners]: |R_u|, the number of relevant items."""
        return self.truth.lengths

    @cached_property
    def familiarity(self) -> Float64s:
        """float64[hits]: mean Jaccard index between the tags of a hit and of each history item.

        0 for a listener without a history.
        """
        hits, history = self.hits, self.history
        # `sum_against_lists` reads its rows in ascending order.
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
        """`shown` of each k that was asked for."""
        return {}

    def shown(self, k: int) -> Int64s:
        """int64[items]: the number of top-k lists in which each item of the catalogue stands."""
        if k not in self._shown:
            # Shifted so that EMPTY and FOREIGN are counted too, at the front, and cut off.
            shifted = self.top[:, :k].ravel() - np.intp(FOREIGN)
            counts = np.bincount(shifted, minlength=self.catalogue.size - FOREIGN)
            # -FOREIGN is 2: without the two leading counts.
            self._shown[k] = counts[-FOREIGN:]
        return self._shown[k]

    def mean_over_list(self, values: npt.NDArray[np.generic], k: int) -> Float64s:
        """float64[listeners]: mean of `values[item]` over the filled positions of L_u; 0 for none.

        Args:
            values: numbers or booleans, [items].
            k: the length of the lists.
        """
        # EMPTY and FOREIGN index from the end, where a 0 stands for each.
        padded = np.append(values, np.zeros(-FOREIGN))
        sums = np.empty(len(self.top))
        filled = np.empty(len(self.top), np.int64)
        # 8 bytes a float64.
        block = max(BLOCK_BYTES // 8 // max(self.top.shape[1], 1), 1)
        for first in range(0, len(self.top), block):
            codes = self.top[first : first + block, :k]
            padded.take(codes).sum(axis=1, out=sums[first : first + block])
            filled[first : first + block] = np.count_nonzero(codes >= 0, axis=1)
        return sums / np.maximum(filled, 1)
