"""Exact retrieval where the score is a dot product: a matrix product, pruned by a bound.

A listener's k-th best score is at least the k-th largest of any k maxima of disjoint groups of
items. So one pass takes the maxima of a few groups, one more keeps what reaches the bound, a few
more than k items, and only these are sorted.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

BLOCK = 2**25
"""Scores in memory at a time: 128 MiB. The matrix product packs the items once a block."""
PART = 2**20
"""Scores that one thread selects from at a time, so that they are still in its cache."""
GROUPS = 5
"""Groups of items for each place in the list: more make a closer bound that costs more to find."""


def top(
    users: Floats, items: Floats, k: int, offsets: npt.NDArray[np.int64], exclude: Codes
) -> tuple[Codes, Floats]:
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
    height = max(1, BLOCK // len(items))
    part = max(1, PART // len(items))
    buffer = np.empty((min(height, len(users)), len(items)), np.float32)

    def select(start: int, first: int, stop: int) -> None:
        """Fill `part` rows from `first` on; the buffer holds the rows `start` to `stop`."""
        rows = slice(first, min(first + part, stop))
        codes[rows, :places], scores[rows, :places] = best(
            buffer[rows.start - start : rows.stop - start], places
        )

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(users), height):
            stop = min(start + height, len(users))
            with np.errstate(over="ignore", invalid="ignore"):  # `best` sees NaN
                np.matmul(users[start:stop], items.T, out=buffer[: stop - start])
            rows = np.repeat(np.arange(stop - start), np.diff(offsets[start : stop + 1]))
            out = exclude[offsets[start] : offsets[stop]]
            buffer[rows[out >= 0], out[out >= 0]] = -np.inf
            parts = range(start, stop, part)
            for done in [threads.submit(select, start, row, stop) for row in parts]:
                done.result()
    return codes, scores


def best(block: Floats, k: int) -> tuple[Codes, Floats]:
    """The k best cells of each row, as `top` returns them.

    Args:
        block: float32[rows, items], finite but for -inf.
        k: at least 1, at most the number of items.
    """
    rows, items = block.shape
    groups = min(GROUPS * k, items)
    whole = items - items % groups
    maxima = block[:, :whole].reshape(rows, -1, groups).max(axis=1)
    rest = items - whole
    np.maximum(maxima[:, :rest], block[:, whole:], out=maxima[:, :rest])
    if np.isnan(maxima).any():
        raise ValueError("its scores contain NaN")
    maxima.partition(groups - k, axis=1)
    # Not below the least finite score, so that a cell of -inf reaches no bound.
    bound = np.maximum(maxima[:, groups - k], np.finfo(np.float32).min)
    row, code = np.divmod(np.flatnonzero(block >= bound[:, None]), items)
    starts = np.searchsorted(row, np.arange(rows + 1))
    width = max(k, int(np.diff(starts).max()))
    place = np.arange(len(row)) - starts[row]
    codes = np.full((rows, width), -1, np.int32)
    scores = np.full((rows, width), -np.inf, np.float32)
    codes[row, place] = code
    scores[row, place] = block[row, code]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(codes, order, axis=1), np.take_along_axis(scores, order, axis=1)
