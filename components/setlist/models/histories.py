"""What listeners played, in order of time, and examples: the past and the future of a moment."""

from dataclasses import dataclass

import numpy as np

from setlist.arrays import Bools, Float32s, Float64s, Int32s, Int64s
from setlist.data.features import Features


@dataclass(frozen=True)
class Histories:
    """The plays of every listener, oldest first: u's are those from offsets[u] to offsets[u + 1].

    Attributes:
        items: int32[plays].
        ages: float64[plays], in days before the end of training.
        first: bool[plays], the listener had not played the item before.
        offsets: int64[listeners + 1].
        weights: float64[plays], how much a play counts as a target.
    """

    items: Int32s
    ages: Float64s
    first: Bools
    offsets: Int64s
    weights: Float64s

    @classmethod
    def of(cls, features: Features) -> "Histories":
        """Those of the training period; plays of one instant are in random order.

        Their order in the table is one of ids, from which a model would learn that high ids follow
        low ones.
        """
        random = np.random.default_rng(0).random(len(features.plays))
        plays = features.plays
        plays = plays.iloc[np.lexsort((random, -plays["age_days"], plays["user"]))]
        pairs = plays["user"].to_numpy(np.int64) * len(features.items) + plays["item"].to_numpy()
        order = np.argsort(pairs, kind="stable")
        first = np.empty(len(pairs), np.bool_)
        first[order] = np.diff(pairs[order], prepend=-1) != 0
        return cls(
            items=plays["item"].to_numpy(np.int32),
            ages=plays["age_days"].to_numpy(np.float64),
            first=first,
            offsets=features.offsets[: len(features.users) + 1],
            weights=(
                plays["weight"].to_numpy(np.float64) if "weight" in plays else np.ones(len(plays))
            ),
        )

    @property
    def listeners(self) -> Int64s:
        """int64[plays]: whose play it is."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def where(self, keep: Bools) -> "Histories":
        """Some of the plays, of the same listeners."""
        before = np.concatenate([[0], np.cumsum(keep)])
        return Histories(
            self.items[keep],
            self.ages[keep],
            self.first[keep],
            before[self.offsets],
            self.weights[keep],
        )

    def last_first(self) -> Int64s:
        """int64[listeners]: the place, from 0, of the last first play; -1 for nobody's."""
        place = np.arange(len(self.items)) - self.offsets[self.listeners]
        last = np.full(len(self.offsets) - 1, -1)
        np.maximum.at(last, self.listeners[self.first], place[self.first])
        return last


@dataclass(frozen=True)
class Examples:
    """A batch of examples as pairs of example and item.

    Attributes:
        rows, items, ranks: int32[history plays]: the example, the item, and how many plays of the
            history are newer.
        ages: float32[history plays], in days before the cut.
        target_rows, targets: int32[targets].
        weights: float32[targets]; those of an example add up to 1.
        listeners: int64[batch].
    """

    rows: Int32s
    items: Int32s
    ranks: Int32s
    ages: Float32s
    target_rows: Int32s
    targets: Int32s
    weights: Float32s
    listeners: Int64s


def examples(
    past: Histories,
    future: Histories,
    listeners: Int64s,
    cuts: Int64s,
    moments: Float64s,
    length: int,
) -> Examples:
    """The examples of some listeners, each with a cut.

    Args:
        past: the histories are the plays before the cut.
        future: the targets are the first plays from the cut on; the same table as `past`, or one
            with plays that were held out of it.
        listeners: int64[batch].
        cuts: int64[batch], places in the plays of `past`, the number of them for the end. If
            `future` is another table, its targets are taken from its beginning.
        moments: float64[batch], when the cuts are, in days before the end of training.
        length: the longest suffix of a history that is read.
    """
    begin = past.offsets[listeners]
    stop = begin + cuts
    rows, plays = spans(np.maximum(begin, stop - length), stop)
    counts = np.minimum(cuts, length)
    ranks = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(rows))
    start = stop if future is past else future.offsets[listeners]
    target_rows, chosen = spans(start, future.offsets[listeners + 1])
    new = future.first[chosen]
    target_rows, chosen = target_rows[new], chosen[new]
    weights = future.weights[chosen]
    total = np.bincount(target_rows, weights, minlength=len(listeners))
    return Examples(
        rows=rows.astype(np.int32),
        items=past.items[plays],
        ranks=ranks.astype(np.int32),
        ages=np.maximum(past.ages[plays] - moments[rows], 0).astype(np.float32),
        target_rows=target_rows.astype(np.int32),
        targets=future.items[chosen],
        weights=(weights / total[target_rows]).astype(np.float32),
        listeners=listeners,
    )


def spans(start: Int64s, stop: Int64s) -> tuple[Int64s, Int64s]:
    """Every place from start[i] to stop[i], with i beside it."""
    lengths = stop - start
    rows = np.repeat(np.arange(len(start)), lengths)
    ends = np.cumsum(lengths)
    return rows, np.arange(len(rows)) - (ends - lengths)[rows] + start[rows]
