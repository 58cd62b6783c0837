"""Sums of Jaccard indices between the tags of items, mostly without a look at each pair.

Let A and B be the tags of two items. Then

    |A and B| / |A or B| = sum over the sets S, not empty, within A and B
                           of 1 / C(|A| + |B| - 1, |S|),

because x shared tags have C(x, m) subsets of m tags, and the sum over m of C(x, m) / C(n - 1, m) is
x / (n - x). So it is enough to count, for each S and each number of tags a, the items of a list
that have exactly a tags and all of S among them. The sum over pairs of items is then a sum over
pairs of such counts, at a cost that is linear in the length of the list.

Pairs of items are cheaper where lists are short, or where items have so many tags that they have
too many subsets. A catalogue with few distinct tag sets keeps the index of each pair in a table.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from math import comb

import numpy as np
import pandas as pd
from scipy import sparse

from setlist.arrays import Float32s, Float64s, Int32s, Int64s

SparseTable = sparse.csr_array

SHORT_LIST = 32
"""The longest list that is summed from the table of all pairs of distinct tag sets."""
MAX_TAG_SETS = 2**11
"""The largest side of that table: 16 MB of float32."""
MAX_SUBSETS = 2**16
"""The most subsets of all distinct tag sets together; with more, pairs of items are compared."""
BLOCK_CELLS = 2**17
"""Numbers in a table that is filled and read for one block of lists: small enough for the cache."""


def tally(table: SparseTable, codes: Int32s, ends: Int64s) -> Float32s:
    """float32[lists, columns]: the sum of the table's rows over the codes of each list.

    Args:
        table: float32[items + 2, columns]; the last two rows are empty, for EMPTY and FOREIGN.
        codes: the lists, one after the other.
        ends: int64[lists + 1], a 0, then the end of each list in `codes`.
    """
    rows = table[codes]
    # The entries of all items of a list become one row of a sparse array. A column may then stand
    # in a row several times; `toarray` adds such entries, which is the sum over the list.
    shape = (len(ends) - 1, table.shape[1])
    return sparse.csr_array((rows.data, rows.indices, rows.indptr[ends]), shape=shape).toarray()


def _own_columns(rows: SparseTable, lists: int) -> Float32s:
    """float32[lists, k, columns]: the rows of each list, over the tags that this list has alone.

    Args:
        rows: float32[lists * k, tags], ones.
        lists: how many; a list of a hundred items has far fewer tags than a catalogue.
    """
    number, tags = rows.shape
    row = np.repeat(np.arange(number), np.diff(rows.indptr))
    of_list = row // max(number // max(lists, 1), 1)
    found, place = np.unique(of_list * np.int64(tags) + rows.indices, return_inverse=True)
    column = place - np.searchsorted(found, np.arange(lists) * np.int64(tags))[of_list]
    table = np.zeros((number, int(column.max(initial=-1)) + 1), np.float32)
    table[row, column] = 1
    return table.reshape(lists, number // max(lists, 1), table.shape[1])


@dataclass(frozen=True)
class TagSimilarity:
    """Sums of Jaccard indices between the items of a catalogue; see the module.

    Attributes:
        tags: bool[items, tags], which tags each item has; each True is stored once, no False is.
    """

    tags: SparseTable

    @cached_property
    def _sets(self) -> tuple[SparseTable, Int64s]:
        """The distinct tag sets, bool[sets, tags], and the set of each item, int64[items]."""
        tags = self.tags.sorted_indices()
        names = np.empty(tags.shape[0], object)
        for item, (start, stop) in enumerate(pairwise(tags.indptr.tolist())):
            names[item] = tags.indices[start:stop].tobytes()
        of_item, distinct = pd.factorize(names)
        first = np.empty(len(distinct), np.int64)
        first[of_item[::-1]] = np.arange(len(of_item))[::-1]
        return tags[first], of_item

    @cached_property
    def _padded(self) -> tuple[SparseTable, Float32s]:
        """The tags, float32[items + 2, tags], and how many each item has, float32[items + 2].

        The last two rows have none, for EMPTY and FOREIGN.
        """
        tags = self.tags
        ends = np.append(tags.indptr, [tags.indptr[-1]] * 2)
        values = np.ones(len(tags.indices), np.float32)
        shape = (tags.shape[0] + 2, tags.shape[1])
        padded = sparse.csr_array((values, tags.indices, ends), shape=shape)
        return padded, np.diff(ends).astype(np.float32)

    @cached_property
    def _subsets(self) -> tuple[SparseTable, SparseTable] | None:
        """The counts that each item adds to, and the weight of each pair of counts.

        A count belongs to a subset of tags and a number of tags; see the module.

        Returns:
            float32[items + 2, counts] and float32[counts, counts]; None with too many subsets.
        """
        sets, of_item = self._sets
        lengths = np.minimum(np.diff(sets.indptr), 64)  # with so many there are too many subsets
        if np.exp2(lengths).sum() > MAX_SUBSETS:
            return None
        column: dict[tuple[tuple[int, ...], int], int] = {}
        indices, ends = [], [0]
        for start, stop in pairwise(sets.indptr.tolist()):
            tags = tuple(sets.indices[start:stop].tolist())
            for size in range(1, len(tags) + 1):
                for subset in combinations(tags, size):
                    indices.append(column.setdefault((subset, len(tags)), len(column)))
            ends.append(len(indices))
        ends.append(ends[-1])  # a set without tags, for EMPTY and FOREIGN
        ones = np.ones(len(indices), np.float32)
        counts = sparse.csr_array(
            (ones, np.array(indices, np.int32), np.array(ends)),
            shape=(sets.shape[0] + 1, len(column)),
        )
        by_subset = defaultdict(list)
        for (subset, size), count in column.items():
            by_subset[subset].append((size, count))
        weights = [
            (count_a, count_b, 1 / comb(a + b - 1, len(subset)))
            for subset, sized in by_subset.items()
            for a, count_a in sized
            for b, count_b in sized
        ]
        left, right, weight = np.array(weights).reshape(-1, 3).T
        pairs = (left.astype(np.int32), right.astype(np.int32))
        square = sparse.csr_array(
            (weight.astype(np.float32), pairs), shape=(len(column), len(column))
        )
        return counts[np.append(of_item, [sets.shape[0]] * 2)], square

    @cached_property
    def _table(self) -> tuple[Int64s, Float32s] | None:
        """The tag set of each item, and the Jaccard index of each pair of tag sets.

        Returns:
            int64[items + 2] and float32[sets + 1, sets + 1], where the last set has no tags and
            stands for EMPTY and FOREIGN; None with too many tag sets.
        """
        sets, of_item = self._sets
        number = sets.shape[0]
        if number > MAX_TAG_SETS:
            return None
        vectors = sets.astype(np.float32)
        both = np.pad((vectors @ vectors.T).toarray(), (0, 1))
        size = np.append(np.diff(sets.indptr), 0).astype(np.float32)
        either = size[:, None] + size - both
        return np.append(of_item, [number] * 2), both / np.maximum(either, 1)

    def sum_within_lists(self, top: Int32s) -> Float64s:
        """float64[lists]: the sum of Jaccard indices over all pairs of positions, each pair once.

        Args:
            top: int32[lists, k], no item twice in a list; pairs with a negative code count 0.
        """
        k = top.shape[1]
        if k <= SHORT_LIST and self._table:
            return self._by_table(top, *self._table)
        subsets = self._subsets
        # The cost of a list is k * k pairs, or a pass over all counts. A count is about four times
        # as fast as a pair.
        if subsets is None or 4 * k * k < subsets[1].shape[0]:
            sums = self._over_pairs(top)
        else:
            sums = self._over_counts(top, *subsets)
        # Both ways sum over all positions by all positions. An item with tags has an index of 1
        # with itself, which is subtracted; every other pair was counted twice.
        tagged = self._padded[1] > 0
        return (sums - np.count_nonzero(tagged[top], axis=1)) / 2

    def _by_table(self, top: Int32s, of_item: Int64s, table: Float32s) -> Float64s:
        lists, k = top.shape
        left, right = np.triu_indices(k, 1)
        sums = np.zeros(lists)
        block = max(BLOCK_CELLS // max(len(left), 1), 1)
        for first in range(0, lists, block):
            sets = of_item[top[first : first + block]]
            cells = sets[:, left] * len(table) + sets[:, right]
            sums[first : first + block] = table.take(cells).sum(axis=1)
        return sums

    def _over_pairs(self, top: Int32s) -> Float64s:
        lists, k = top.shape
        vectors, sizes = self._padded
        sums = np.zeros(lists)
        width = min(vectors.shape[1], k * int(sizes.max(initial=0)))
        block = max(BLOCK_CELLS // max(k * k, k * width, 1), 1)
        for first in range(0, lists, block):
            codes = top[first : first + block]
            tags, size = _own_columns(vectors[codes.ravel()], len(codes)), sizes[codes]
            both = tags @ tags.transpose(0, 2, 1)
            # In place: these are the largest arrays here, and a new one for each step costs time.
            either = size[:, :, None] + size[:, None, :]
            either -= both
            both /= np.maximum(either, 1, out=either)
            sums[first : first + block] = both.reshape(len(codes), k * k).sum(axis=1)
        return sums

    def _over_counts(self, top: Int32s, counts: SparseTable, weights: SparseTable) -> Float64s:
        lists, k = top.shape
        # The weights are symmetric: the diagonal once, and each pair above it twice.
        diagonal = weights.diagonal()
        upper = sparse.triu(weights, 1).tocoo()
        sums = np.zeros(lists)
        block = max(BLOCK_CELLS // max(weights.shape[0], k, 1), 1)
        for first in range(0, lists, block):
            codes = top[first : first + block]
            table = tally(counts, codes.ravel(), np.arange(len(codes) + 1) * k)
            products = table.take(upper.row, axis=1) * table.take(upper.col, axis=1)
            sums[first : first + block] = (table * table) @ diagonal + 2 * (products @ upper.data)
        return sums

    def sum_against_lists(
        self, rows: Int64s, items: Int32s, ends: Int64s, codes: Int32s
    ) -> Float64s:
        """float64[items]: the sum of the Jaccard indices of each item with the items of a list.

        Args:
            rows: int64[items], the list for each item; ascending.
            items: int32[items], codes, none negative.
            ends: int64[lists + 1], a 0, then the end of each list in `codes`.
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
        counts: SparseTable,
        weights: SparseTable,
    ) -> Float64s:
        item_weights = counts @ weights  # the weight that an item gives to each count of a list
        sums = np.zeros(len(rows))
        block = max(BLOCK_CELLS // max(weights.shape[0], 1), 1)
        for first in range(0, len(ends) - 1, block):
            part = ends[first : first + block + 1]
            chosen = slice(*np.searchsorted(rows, [first, first + len(part) - 1]))
            table = tally(counts, codes[part[0] : part[-1]], part - part[0])
            weight = item_weights[items[chosen]]
            # A sparse product row by row: only the counts that the item has a weight for are read.
            item = np.repeat(np.arange(weight.shape[0]), np.diff(weight.indptr))
            cells = table[rows[chosen][item] - first, weight.indices]
            sums[chosen] = np.bincount(item, cells * weight.data, minlength=weight.shape[0])
        return sums

    def _across_pairs(self, rows: Int64s, items: Int32s, ends: Int64s, codes: Int32s) -> Float64s:
        vectors, sizes = self._padded
        lengths = np.diff(ends)[rows]
        pairs_until = np.cumsum(lengths)
        sums = np.zeros(len(rows))
        first = 0
        # Blocks of whole lists, each of at most BLOCK_CELLS pairs or of a single list.
        while first < len(rows):
            start = pairs_until[first] - lengths[first]
            last = max(first + 1, int(np.searchsorted(pairs_until, start + BLOCK_CELLS, "right")))
            item = np.repeat(np.arange(first, last), lengths[first:last])
            within = np.arange(start, pairs_until[last - 1]) - (pairs_until - lengths)[item]
            left, right = codes[within + ends[rows[item]]], items[item]
            both = vectors[left].multiply(vectors[right]).sum(axis=1)
            jaccard = both / np.maximum(sizes[left] + sizes[right] - both, 1)
            sums[first:last] = np.bincount(item - first, jaccard, minlength=last - first)
            first = last
        return sums
