"""A seeded data set: a long tail, lists that hit now and then, histories, tags."""

import sys
from pathlib import Path

import numpy as np

ITEMS, DEPTH, TAGS = 27_000, 100, 20
RELEVANT = (5, 20)  # fewest and most relevant items of a listener
HISTORY = (20, 50)  # fewest and most items played in training
HIT = 0.55  # the probability that a relevant item is in the list: 5 to 10 hits in 100
ZIPF = 0.8  # the exponent of popularity


def write(path: Path, listeners: int, seed: int = 0) -> None:
    """Write the data set as one .npz file.

    Arrays: `top` int32[listeners, DEPTH], codes best first; `truth` and `history` as offsets
    int64[listeners + 1] and codes int32; `tags` bool[ITEMS, TAGS], one to three an item.
    """
    rng = np.random.default_rng(seed)
    code = rng.permutation(ITEMS).astype(np.int32)
    chance = np.cumsum(np.arange(1, ITEMS + 1) ** -ZIPF)
    parts = []
    for first in range(0, listeners, 5_000):
        size = min(5_000, listeners - first)
        pool = code[_distinct(rng, chance / chance[-1], size, DEPTH + RELEVANT[1] + HISTORY[1])]
        top, missed, past = np.split(pool, [DEPTH, DEPTH + RELEVANT[1]], axis=1)
        relevant = rng.integers(*RELEVANT, size, endpoint=True)
        hits = rng.binomial(relevant, HIT)
        # An exponential race picks the ranks that hit, the upper ones more often.
        race = rng.exponential(size=(size, DEPTH)) * (np.arange(DEPTH) + 10)
        place = race.argsort(axis=1).argsort(axis=1)
        truth = [place < hits[:, None], np.arange(RELEVANT[1]) < (relevant - hits)[:, None]]
        played = rng.integers(*HISTORY, size, endpoint=True)
        parts.append(
            (
                top,
                np.concatenate([top, missed], axis=1)[np.concatenate(truth, axis=1)],
                relevant,
                past[np.arange(HISTORY[1]) < played[:, None]],
                played,
            )
        )
    top, truth, relevant, history, played = map(np.concatenate, zip(*parts, strict=True))
    tags = np.zeros((ITEMS, TAGS), np.bool_)
    own = _distinct(rng, np.cumsum(1 / np.arange(1, TAGS + 1)) / _harmonic(TAGS), ITEMS, 3)
    count = rng.integers(1, 3, ITEMS, endpoint=True)
    for place in range(3):
        has = np.flatnonzero(count > place)
        tags[has, own[has, place]] = True
    np.savez(
        path,
        top=top,
        truth_offsets=np.cumsum([0, *relevant]),
        truth_codes=truth,
        history_offsets=np.cumsum([0, *played]),
        history_codes=history,
        tags=tags,
    )


def _harmonic(count: int) -> float:
    return float((1 / np.arange(1, count + 1)).sum())


def _distinct(rng: np.random.Generator, chance: np.ndarray, rows: int, width: int) -> np.ndarray:
    """int64[rows, width]: draws from cumulative chances, in each row every number once."""
    drawn = np.searchsorted(chance, rng.random((rows, 6 * width)))
    order = drawn.argsort(axis=1, kind="stable")
    ascending = np.take_along_axis(drawn, order, axis=1)
    again = np.zeros(drawn.shape, np.bool_)
    np.put_along_axis(again, order[:, 1:], ascending[:, 1:] == ascending[:, :-1], axis=1)
    fresh = again.argsort(axis=1, kind="stable")[:, :width]
    if np.take_along_axis(again, fresh, axis=1).any():
        raise ValueError("too few draws for so many distinct numbers")
    return np.take_along_axis(drawn, fresh, axis=1)


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
