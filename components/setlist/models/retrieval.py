"""Exact retrieval where the score is a dot product: a matrix product, pruned by a bound.

A listener's k-th best score is at least the k-th largest of any k maxima of disjoint groups of
items. So one pass takes the maxima of a few groups, one more keeps what reaches the bound, a few
more than k items, and only these are sorted. Each thread does all of it for listeners of its own:
the next selects while this one multiplies.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from setlist.arrays import Bools, Float32s, Int32s, Int64s

BLOCK_ROWS = 256
"""Listeners whose scores a thread holds: the matrix product packs the items once for them."""
BLOCK_SCORES = 2**24
"""Scores that a thread holds at most: 64 MiB."""
PART_SCORES = 2**19
"""Scores that a thread selects from at a time, so that its second pass finds them in the cache."""
ITEM_GROUPS = 5
"""Groups of items for each place in the list: more make a closer bound that costs more to find."""
NOTHING = np.int64(0x7F800000_FFFFFFFF)
"""The key of a place without an item: of score -inf and code -1."""


def top(
    users: Float32s, items: Float32s, k: int, offsets: Int64s, exclude: Int32s
) -> tuple[Int32s, Float32s]:
    """The k items with the largest dot product, for each listener.

    Args:
        users: float32[listeners, d], finite.
        items: float32[items, d], finite.
        k: the length of the lists.
        offsets: int64[listeners + 1]; what is not listed for listener u are the codes
            exclude[offsets[u]:offsets[u + 1]], of which those below 0 mean nothing.
        exclude: int32[offsets[-1]].

    Returns:
        codes: int32[listeners, k], best first, of equal scores the lower code first; -1 where
        nothing is left to list.
        scores: float32[listeners, k], -inf there.

    Raises:
        ValueError: when a vector is not finite or a score is NaN.
    """
    if not (np.isfinite(users).all() and np.isfinite(items).all()):
        raise ValueError("its vectors contain NaN or an infinity")
    codes = np.full((len(users), max(k, 0)), -1, np.int32)
    scores = np.full(codes.shape, -np.inf, np.float32)
    places = min(codes.shape[1], len(items))
    if places == 0 or len(users) == 0:
        return codes, scores
    # Here, as a server has no need of it: it asks the graph.
    from threadpoolctl import threadpool_limits

    threads = os.cpu_count() or 1
    height = max(min(BLOCK_ROWS, BLOCK_SCORES // len(items), -(-len(users) // threads)), 1)
    part = max(min(PART_SCORES // len(items), height), 1)
    starts = iter(range(0, len(users), height))

    def work() -> None:
        """Take the blocks that are left, one after the other, into the same memory."""
        buffer = np.empty((height, len(items)), np.float32)
        reached = np.empty((part, len(items)), np.bool_)
        for start in starts:
            stop = min(start + height, len(users))
            with np.errstate(over="ignore", invalid="ignore"):  # `best` sees NaN
                block = np.matmul(users[start:stop], items.T, out=buffer[: stop - start])
            rows = np.repeat(np.arange(stop - start), np.diff(offsets[start : stop + 1]))
            out = exclude[offsets[start] : offsets[stop]]
            block[rows[out >= 0], out[out >= 0]] = -np.inf
            for row in range(0, stop - start, part):
                last = min(row + part, stop - start)
                place = slice(start + row, start + last), slice(places)
                codes[place], scores[place] = best(block[row:last], reached[: last - row], places)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    return codes, scores


def best(block: Float32s, reached: Bools, k: int) -> tuple[Int32s, Float32s]:
    """The k best cells of each row, as `top` returns them.

    Args:
        block: float32[rows, items].
        reached: bool[rows, items], to be written to: fresh memory would cost more than the pass.
        k: at least 1, at most the number of items.
    """
    rows, items = block.shape
    groups = min(ITEM_GROUPS * k, items)
    whole = items - items % groups
    maxima = block[:, :whole].reshape(rows, -1, groups).max(axis=1)
    rest = items - whole
    np.maximum(maxima[:, :rest], block[:, whole:], out=maxima[:, :rest])
    if np.isnan(maxima).any():
        raise ValueError("its scores contain NaN")
    maxima.partition(groups - k, axis=1)
    # Not below the least finite score, so that a cell of -inf reaches no bound.
    bound = np.maximum(maxima[:, groups - k], np.finfo(np.float32).min)
    np.greater_equal(block, bound[:, None], out=reached)
    cell = np.flatnonzero(reached)
    row, code = np.divmod(cell, items)
    starts = np.searchsorted(row, np.arange(rows + 1))
    width = max(k, int(np.diff(starts).max()))
    keys = np.full((rows, width), NOTHING)
    # One whole number for score and code sorts several times faster than pairs do.
    falling = ~ordered(block[row, code] + np.float32(0)).astype(np.int64)  # -0 + 0 is 0
    keys[row, np.arange(len(row)) - starts[row]] = falling << 32 | code
    keys.sort(axis=1)
    keys = keys[:, :k]
    rising = ~(keys >> 32).astype(np.int32)
    return keys.astype(np.int32), ordered(rising.view(np.float32)).view(np.float32)


def ordered(scores: Float32s) -> Int32s:
    """Whole numbers in the order of the scores: their bits, below 0 inverted but for the sign.

    It is its own inverse on the bits.
    """
    bits = scores.view(np.int32)
    return bits ^ (bits >> 31 & np.int32(0x7FFFFFFF))
