"""What the two-tower learns from: a listener at some moment, what was played, and what came next.

An example cuts a listener's plays, in order of time, at a random place: the plays before it are the
history, the first plays of items after it are the targets. So training asks what serving asks, the
future from the past; hiding plays at random instead, wherever they lie, was worse on every data set
that has a future. A cut before the first play is a newcomer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from setlist.arrays import Bools, Float32s, Float64s, Int32s, Int64s
from setlist.data.features import Features
from setlist.models.tf import tf

# Bounded, because the holdout is ranked after every epoch; with too few listeners the mean of their
# losses says nothing.
HOLDOUT_SHARE, MAX_HOLDOUT_LISTENERS, MIN_HOLDOUT_LISTENERS = 0.1, 1_000, 30
"""Of the first plays, how many are held out; and the most and the fewest listeners of them."""
# Chosen on MovieLens-1M and the bundled sample.
NEWCOMER_SHARE = 0.05
"""The share of examples that are cut before the first play, however long the history is."""
# Chosen on MovieLens-1M and the bundled sample.
FORGOTTEN_SHARE = 0.3
"""The share of the plays of a history that a listener's example in an epoch lacks."""


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


def epoch(
    histories: Histories, batch: int, length: int, generator: np.random.Generator
) -> Iterator[Examples]:
    """Every listener once, in random order and at a random cut, in batches.

    Some of the plays of each history are left out, so that no play is relied on alone.
    """
    last = histories.last_first()
    order = generator.permutation(np.flatnonzero(last >= 0))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        cuts = np.floor(generator.random(len(chosen)) * (last[chosen] + 1)).astype(np.int64)
        cuts[generator.random(len(chosen)) < NEWCOMER_SHARE] = 0
        moments = histories.ages[histories.offsets[chosen] + cuts]
        whole = examples(histories, histories, chosen, cuts, moments, length)
        kept = generator.random(len(whole.rows)) >= FORGOTTEN_SHARE
        history = {name: getattr(whole, name)[kept] for name in ("rows", "items", "ranks", "ages")}
        yield replace(whole, **history)


@dataclass(frozen=True)
class HeldOut:
    """The last plays of some listeners, kept from training.

    Attributes:
        learn: all other plays.
        check: the held-out plays in batches of examples; none where nobody qualifies.
        since: how many days before the end of training they begin; None where they begin at
            another moment for each listener.
    """

    learn: Histories
    check: tuple[Examples, ...]
    since: float | None

    @property
    def listeners(self) -> int:
        """How many."""
        return sum(len(batch.listeners) for batch in self.check)


def hold_out(histories: Histories, latest: float, length: int, batch: int) -> HeldOut:
    """Hold out the last plays of listeners who played before and discovered something in them.

    Those of the last days, which are to hold a `HOLDOUT_SHARE` of all first plays. Where fewer than
    `MIN_HOLDOUT_LISTENERS` listeners play before these days and in them (plays without a time, or
    of visitors who never return), each listener's own last `HOLDOUT_SHARE` of first plays.

    The same histories give the same choice whatever else is set, so that trainings can be compared.

    Args:
        histories: of the whole training period.
        latest: the days begin at the latest so many days before the end of training.
        length: the longest suffix of a history that is read.
        batch: listeners a batch.
    """
    generator = np.random.default_rng(0)
    whose, number = histories.listeners, len(histories.offsets) - 1
    days = min(float(np.quantile(histories.ages[histories.first], HOLDOUT_SHARE)), latest)
    since: float | None = days
    late = histories.ages < days
    chosen = _checkable(histories, late)
    if len(chosen) < MIN_HOLDOUT_LISTENERS:
        since = None
        late = _own_last(histories)
        chosen = _checkable(histories, late)
    # Never more than half: somebody's last plays have to be learnt from.
    chosen = generator.permutation(chosen)[: min(MAX_HOLDOUT_LISTENERS, number // 2)]
    held = late & np.isin(whose, chosen)
    learn, future = histories.where(~held), histories.where(held)
    ends = np.diff(learn.offsets)
    newest = histories.ages[np.maximum(histories.offsets[1:] - 1, 0)]
    check = []
    for start in range(0, len(chosen), batch):
        some = chosen[start : start + batch]
        moments = newest[some] if since is None else np.full(len(some), since)
        check.append(examples(learn, future, some, ends[some], moments, length))
    return HeldOut(learn, tuple(check), since)


def _checkable(histories: Histories, late: Bools) -> Int64s:
    """The listeners who play something before the late plays, and discover something in them."""
    whose, number = histories.listeners, len(histories.offsets) - 1
    discovers_late = np.bincount(whose[late & histories.first], minlength=number) > 0
    known = np.bincount(whose[~late], minlength=number) > 0
    return np.flatnonzero(discovers_late & known)


def _own_last(histories: Histories) -> Bools:
    """bool[plays]: from the first play on that begins the last `HOLDOUT_SHARE` of a listener's."""
    discovered = np.concatenate([[0], np.cumsum(histories.first)])
    begin, stop = discovered[histories.offsets[:-1]], discovered[histories.offsets[1:]]
    kept = np.minimum(np.ceil((1 - HOLDOUT_SHARE) * (stop - begin)), stop - begin - 1)
    place = discovered[1:] - begin[histories.listeners]
    return place > kept[histories.listeners]


def tensors(examples: Examples, inputs: Int32s, known: Float32s) -> dict[str, tf.Tensor]:
    """What `TwoTower.compute_loss` takes.

    Args:
        examples: of some listeners.
        inputs: int32[all listeners, named inputs].
        known: float32[items], 0 for an item that is placed by its tags alone.
    """
    batch = dict(vars(examples))
    batch["inputs"] = inputs[batch.pop("listeners")]
    return {name: tf.constant(values) for name, values in (batch | {"known": known}).items()}


def specification(inputs: int, items: int) -> dict[str, tf.TensorSpec]:
    """The types of what `tensors` makes."""
    codes, floats = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
    kinds = dict.fromkeys(("rows", "items", "ranks", "target_rows", "targets"), codes)
    kinds |= {"ages": floats, "weights": floats, "known": tf.TensorSpec([items], tf.float32)}
    return kinds | {"inputs": tf.TensorSpec([None, inputs], tf.int32)}
