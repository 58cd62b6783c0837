"""Batches of listeners whose histories and exclusions are bounded with their padding."""

from collections.abc import Iterator, Sequence

import numpy as np

from setlist.arrays import Int64s

CELLS = 2**20
"""The most cells of a batch, padding included: a table is padded to the longest row of the batch,
and one listener who has played everything would make it as wide for everybody. As text a cell takes
some 100 bytes, so that these are 0.1 GB. The largest request that the server allows has a quarter
of them."""


def batches(lengths: Sequence[Int64s], most: int) -> Iterator[Int64s]:
    """Row numbers in batches of similar length: padding in user order costs a factor of five.

    Args:
        lengths: int64[rows], how long each row of a table is; each table is padded by itself.
        most: the rows of a batch. It has fewer, but one, where its tables would have more than
            CELLS together.
    """
    order = np.argsort(np.sum(lengths, axis=0), kind="stable")
    start = 0
    while start < len(order):
        rows = order[start : start + most]
        width = np.sum([np.maximum.accumulate(length[rows]) for length in lengths], axis=0)
        cells = width * np.arange(1, len(rows) + 1)
        rows = rows[: max(int(np.searchsorted(cells, CELLS, "right")), 1)]
        yield rows
        start += len(rows)
