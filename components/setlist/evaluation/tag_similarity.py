"""How alike items are by their tags: sums of Jaccard indices over many pairs, mostly without them.

Let A and B be the tags of two items. Then

    |A and B| / |A or B| = sum over the sets S, not empty, within A and B
                           of 1 / C(|A| + |B| - 1, |S|),

because x shared tags have C(x, m) subsets of m tags, and the sum over m of C(x, m) / C(n - 1, m) is
x / (n - x). So it is enough to count, for each S and each number of tags a, the items of a list
that have a tags and all of S among them: the sum over all pairs is one over pairs of such counts,
and costs as much as the list is long. Where lists are short, or items have so many tags that their
subsets are too many, the pairs are the cheaper way, and a catalogue of few different tag sets has
the index of each pair in a table.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np
from scipy import sparse

from setlist.arrays import Bools, Float32s, Float64s, Int32s, Int64s

Table = sparse.csr_array

SHORT_LIST, MAX_TAG_SETS = 32, 2**11
"""Lists so short are summed from a table of all pairs of tag sets, where it is so small."""
MAX_SUBSETS = 2**16
"""Of the distinct tag sets of a catalogue; beyond that, likeness is computed pair by pair."""
BLOCK_CELLS = 2**17
"""Numbers of a table that is filled and read for one block of lists, so that it stays in cache."""


def tally(table: Table, codes: Int32s, ends: Int64s) -> Float32s:
    """float32[lists, columns]: the sum of the table's rows over the codes of each list.

    Args:
        table: float32[items + 2, columns]; the last two rows are empty, for codes of no item.
        codes: the lists, one after the other.
        ends: int64[lists + 1], where they end, after a 0.
    """
    rows = table[codes]
    # Of one list make one row: columns that repeat are summed where it becomes an array.
    shape = (len(ends) - 1, table.shape[1])
    return sparse.csr_array((rows.data, rows.indices, rows.indptr[ends]), shape=shape).toarray()


@dataclass(frozen=True)
class TagSimilarity:
    """Sums of Jaccard indices, of a catalogue; see the module.

    Attributes:
        tags: bool[items, tags].
    """

    tags: Bools

    @cached_property
    def _sets(self) -> tuple[Bools, Int64s]:
        """The distinct tag sets, bool[sets, tags], and which each item has, int64[items]."""
        sets, of_item = np.unique(self.tags, axis=0, return_inverse=True)
        return sets, of_item

    @cached_property
    def _subsets(self) -> tuple[Table, Table] | None:
        """Which counts an item belongs to, and what a pair of counts weighs.

        float32[items + 2, counts] and float32[counts, counts]; None where they are too many.
        """
        sets, of_item = self._sets
        if np.exp2(sets.sum(axis=1)).sum() > MAX_SUBSETS:
            return None
        column: dict[tuple[tuple[int, ...], int], int] = {}
        indices, ends = [], [0]
        for row in sets:
            own = tuple(np.flatnonzero(row).tolist())
            for size in range(1, len(own) + 1):
                for subset in combinations(own, size):
                    indices.append(column.setdefault((subset, len(own)), len(column)))
            ends.append(len(indices))
        ends.append(ends[-1])  # a set without tags, for codes of no item
        ones = np.ones(len(indices), np.float32)
        counts = sparse.csr_array(
            (ones, np.array(indices, np.int32), np.array(ends)), shape=(len(sets) + 1, len(column))
        )
        together = defaultdict(list)
        for (subset, size), place in column.items():
            together[subset].append((size, place))
        weights = [
            (one, other, 1 / comb(a + b - 1, len(subset)))
            for subset, places in together.items()
            for a, one in places
            for b, other in places
        ]
        left, right, weight = np.array(weights).reshape(-1, 3).T
        pairs = (left.astype(np.int32), right.astype(np.int32))
        square = sparse.csr_array(
            (weight.astype(np.float32), pairs), shape=(len(column), len(column))
        )
        return counts[np.append(of_item, [len(sets)] * 2)], square

    @cached_property
    def _table(self) -> tuple[Int64s, Float32s] | None:
        """The tag set of each item, int64[items + 2], and the index of each pair of tag sets.

        float32[sets + 1, sets + 1], the last for codes of no item; None where they are too many.
        """
        sets, of_item = self._sets
        if len(sets) > MAX_TAG_SETS:
            return None
        vectors = np.pad(sets, [(0, 1), (0, 0)]).astype(np.float32)
        both, size = vectors @ vectors.T, vectors.sum(axis=1)
        either = size[:, None] + size - both
        return np.append(of_item, [len(sets)] * 2), both / np.maximum(either, 1)

    def sum_within_lists(self, top: Int32s) -> Float64s:
        """float64[lists]: the sum over all pairs of different positions, each pair once.

        Args:
            top: int32[lists, k], no item twice in a list; a negative code is like nothing.
        """
        k = top.shape[1]
        if k <= SHORT_LIST and self._table:
            return self._by_table(top, *self._table)
        subsets = self._subsets
        # A list costs k * k pairs, or reading all counts, by a few times as fast as pairs.
        if subsets is None or 4 * k * k < subsets[1].shape[0]:
            sums = self._over_pairs(top)
        else:
            sums = self._over_counts(top, *subsets)
        # They are over all positions by all positions: an item with tags is like itself by 1.
        tagged = np.append(self.tags.any(axis=1), [False, False])
        return (sums - np.count_nonzero(tagged[top], axis=1)) / 2

    def _by_table(self, top: Int32s, of_item: Int64s, table: Float32s) -> Float64s:
        lists, k = top.shape
        left, right = np.triu_indices(k, 1)
        sums = np.zeros(lists)
        block = max(BLOCK_CELLS // max(len(left), 1), 1)
        for first in range(0, lists, block):
            kinds = of_item[top[first : first + block]]
            places = kinds[:, left] * len(table) + kinds[:, right]
            sums[first : first + block] = table.take(places).sum(axis=1)
        return sums

    def _over_pairs(self, top: Int32s) -> Float64s:
        lists, k = top.shape
        vectors = np.pad(self.tags, [(0, 2), (0, 0)]).astype(np.float32)
        sizes = vectors.sum(axis=1)
        sums = np.zeros(lists)
        block = max(BLOCK_CELLS // max(k * k, k * vectors.shape[1], 1), 1)
        for first in range(0, lists, block):
            codes = top[first : first + block]
            own, size = vectors[codes], sizes[codes]
            both = own @ own.transpose(0, 2, 1)
            either = size[:, :, None] + size[:, None, :]
            either -= both
            both /= np.maximum(either, 1, out=either)
            sums[first : first + block] = both.reshape(len(codes), k * k).sum(axis=1)
        return sums

    def _over_counts(self, top: Int32s, counts: Table, weights: Table) -> Float64s:
        lists, k = top.shape
        own = weights.diagonal()
        apart = sparse.triu(weights, 1).tocoo()
        sums = np.zeros(lists)
        block = max(BLOCK_CELLS // max(weights.shape[0], k, 1), 1)
        for first in range(0, lists, block):
            codes = top[first : first + block]
            table = tally(counts, codes.ravel(), np.arange(len(codes) + 1) * k)
            crossed = (table.take(apart.row, axis=1) * table.take(apart.col, axis=1)) @ apart.data
            sums[first : first + block] = (table * table) @ own + 2 * crossed
        return sums

    def sum_against_lists(
        self, rows: Int64s, items: Int32s, ends: Int64s, codes: Int32s
    ) -> Float64s:
        """float64[items]: the sum of the Jaccard indices of each item with all of one list.

        Args:
            rows: int64[items], which list; ascending.
            items: codes, none negative.
            ends: int64[lists + 1], where the lists end, after a 0.
            codes: the lists, one after the other.
        """
        if self._subsets is None:
            return self._across_pairs(rows, items, ends, codes)
        return self._across_counts(rows, items, ends, codes, *self._subsets)

    def _across_counts(
        self,
        rows: Int64s,
        items: Int32s,
        ends: Int64s,
        codes: Int32s,
        counts: Table,
        weights: Table,
    ) -> Float64s:
        read = counts @ weights  # what an item weighs each count of a list with
        sums = np.zeros(len(rows))
        block = max(BLOCK_CELLS // max(weights.shape[0], 1), 1)
        for first in range(0, len(ends) - 1, block):
            part = ends[first : first + block + 1]
            own = slice(*np.searchsorted(rows, [first, first + len(part) - 1]))
            table = tally(counts, codes[part[0] : part[-1]], part - part[0])
            asked = read[items[own]]
            of = np.repeat(np.arange(asked.shape[0]), np.diff(asked.indptr))
            cells = table[rows[own][of] - first, asked.indices]
            sums[own] = np.bincount(of, cells * asked.data, minlength=asked.shape[0])
        return sums

    def _across_pairs(self, rows: Int64s, items: Int32s, ends: Int64s, codes: Int32s) -> Float64s:
        lengths = np.diff(ends)[rows]
        after = np.cumsum(lengths)
        sums = np.zeros(len(rows))
        first = 0
        while first < len(rows):  # blocks of whole lists, of about as many pairs
            begun = after[first] - lengths[first]
            last = max(first + 1, int(np.searchsorted(after, begun + BLOCK_CELLS, "right")))
            of = np.repeat(np.arange(first, last), lengths[first:last])
            place = np.arange(begun, after[last - 1]) - (after - lengths)[of] + ends[rows[of]]
            other, one = self.tags[codes[place]], self.tags[items[of]]
            both, either = (other & one).sum(axis=1), (other | one).sum(axis=1)
            likeness = both / np.maximum(either, 1)
            sums[first:last] = np.bincount(of - first, likeness, minlength=last - first)
            first = last
        return sums
