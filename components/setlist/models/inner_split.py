"""The inner split: what is held out of the training period, so that models can be chosen on it.

The test period is looked at once, at the end. Whatever is chosen before (a learner's settings, the
epoch at which training stops, one of several candidates, the weights of the prior) is chosen on
plays of the training period that no model has learnt: everybody's plays from a moment on. Where the
times say nothing, there is no such moment, and where few listeners return, it says little; then the
last plays of each checked listener are held out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from setlist.arrays import Bools, Float32s, Float64s, Int32s, Int64s
from setlist.models.histories import Examples, Histories, examples, spans
from setlist.models.retrieval import best, top
from setlist.models.training_record import CHECK_K

# Bounded, because held-out plays are ranked often; with too few listeners the mean says nothing.
HOLDOUT_SHARE, MAX_HOLDOUT_LISTENERS, MIN_HOLDOUT_LISTENERS = 0.1, 1_000, 30
"""Of the first plays, how many are held out; and the most and the fewest listeners of them."""
RANKED_CELLS = 300_000_000
"""Scores that ranking the held-out plays once may take: beyond 300,000 items there are fewer
listeners."""
# 100 MB of float32; enough for 250 listeners of 100,000 items, on whom the prior is fitted.
HOLDOUT_CELLS = 25_000_000
"""Scores of held-out listeners in memory: their number times the items."""
# Four standard errors: by chance in fewer than one of 10,000 tables.
CHANCE = 4.0
"""How far the variance of times between listeners or items has to be above chance to say something,
in standard errors."""


@dataclass(frozen=True)
class InnerSplit:
    """The plays of the training period, split in two.

    Attributes:
        learn: what may be learnt while something is chosen.
        check: the held-out plays of at most MAX_HOLDOUT_LISTENERS listeners in batches of examples;
            none where nobody qualifies.
        everybody: the same of these listeners and, in their share, of newcomers, who played nothing
            before; in random order.
        since: how many days before the end of training the held-out plays begin; None where they
            begin at another place for each listener.
    """

    learn: Histories
    check: tuple[Examples, ...]
    everybody: tuple[Examples, ...]
    since: float | None

    @property
    def listeners(self) -> int:
        """How many are checked, newcomers included."""
        return sum(len(batch.listeners) for batch in self.everybody)

    def some(self, listeners: int) -> "InnerSplit":
        """With about so many checked listeners, at least a batch; they are in random order."""
        ends = np.cumsum([len(batch.listeners) for batch in self.check])
        return replace(self, check=self.check[: int(np.searchsorted(ends, listeners)) + 1])

    def known(self, batch: Examples) -> tuple[Int64s, Int32s]:
        """Pairs of the row in the batch and the item: what these listeners have played before."""
        offsets = self.learn.offsets
        rows, plays = spans(offsets[batch.listeners], offsets[batch.listeners + 1])
        return rows, self.learn.items[plays]

    def ndcg(self, score: Callable[[Examples], Float32s]) -> Float64s:
        """float64[checked listeners]: NDCG@100 of the held-out plays, what is known left out.

        Args:
            score: float32[batch, items] for a batch; -inf for an item without evidence.
        """
        values = [np.empty(0)]
        for batch in self.check:
            scores = np.array(score(batch))
            scores[self.known(batch)] = -np.inf
            values.append(ndcg(scores, batch.target_rows, batch.targets))
        return np.concatenate(values)

    def ndcg_by_vectors(self, users: Callable[[Examples], Float32s], items: Float32s) -> Float64s:
        """The same where scores are dot products; nothing of their number is held.

        Args:
            users: float32[batch, d] for a batch.
            items: float32[items, d].
        """
        if not self.check:
            return np.empty(0)
        listeners = np.concatenate([batch.listeners for batch in self.check])
        lengths = np.diff(self.learn.offsets)[listeners]
        known = np.concatenate([self.known(batch)[1] for batch in self.check])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        vectors = np.vstack([users(batch) for batch in self.check])
        lists, _ = top(vectors, items, min(CHECK_K, len(items)), offsets, known)
        starts = np.cumsum([0, *(len(batch.listeners) for batch in self.check)])
        return np.concatenate(
            [
                gains(lists[start:stop], batch.target_rows, batch.targets, len(items))
                for start, stop, batch in zip(starts, starts[1:], self.check, strict=False)
            ]
        )


def inner_split(
    histories: Histories, items: int, latest: float, length: int, newcomers: bool = False
) -> InnerSplit:
    """Hold out everybody's plays of the last days, a HOLDOUT_SHARE of all first plays.

    Checked are listeners who played before these days and discovered something in them. Where the
    times say nothing (`times_tell`), or fewer than MIN_HOLDOUT_LISTENERS such listeners are there
    (visitors who never return), the last HOLDOUT_SHARE of the first plays of each checked listener
    is held out; plays of one instant are in random order.

    The same histories give the same choice whatever else is set, so that trainings can be compared.

    Args:
        histories: of the whole training period.
        items: of the catalogue.
        latest: the days begin at the latest so many days before the end of training; where they
            cannot, nothing is held out.
        length: the longest suffix of a history that is read.
        newcomers: whether they count as checked, too; for a rule that reads no history.
    """
    generator = np.random.default_rng(0)
    number = len(histories.offsets) - 1
    days = min(float(np.quantile(histories.ages[histories.first], HOLDOUT_SHARE)), latest)
    since: float | None = days
    late = histories.ages < days
    chosen = _checkable(histories, late)
    if newcomers:
        chosen = np.union1d(chosen, _checkable(histories, late, known=False))
    if len(chosen) < MIN_HOLDOUT_LISTENERS or not times_tell(histories):
        since = None
        # Anybody's own last plays may lie before `latest`.
        late = _own_last(histories) if latest == np.inf else np.zeros_like(late)
        chosen = _checkable(histories, late)
    most = min(MAX_HOLDOUT_LISTENERS, max(RANKED_CELLS // max(items, 1), MIN_HOLDOUT_LISTENERS))
    # Never more than half: somebody's last plays have to be learnt from.
    share = min(1.0, min(most, number // 2) / max(len(chosen), 1))
    chosen = generator.permutation(chosen)[: round(len(chosen) * share)]
    new = np.empty(0, np.int64)
    if since is not None and not newcomers:
        new = generator.permutation(_checkable(histories, late, known=False))
        new = new[: min(most, int(len(new) * share))]
    everybody = generator.permutation(np.concatenate([chosen, new]))
    whose = np.isin(histories.listeners, everybody)
    learn = histories.where(~late if since is not None else ~(late & whose))
    future = histories.where(late & whose)
    ends = np.diff(learn.offsets)
    begins = np.zeros(number)
    np.maximum.at(begins, future.listeners, future.ages)
    size = max(1, HOLDOUT_CELLS // max(items, 1))

    def batches(listeners: Int64s) -> tuple[Examples, ...]:
        moments = begins if since is None else np.full(number, since)
        return tuple(
            examples(learn, future, some, ends[some], moments[some], length)
            for some in np.split(listeners, range(size, len(listeners), size))
            if len(some)
        )

    return InnerSplit(learn, batches(chosen), batches(everybody), since)


def times_tell(histories: Histories) -> bool:
    """Whether the times of plays differ between listeners, or between items, by more than chance.

    One-way analysis of variance of the ages of first plays. Where the times are all equal, or were
    drawn at random, the variance between groups is that within them: its ratio F is 1 but for
    chance, with a standard error of sqrt(2 / groups + 2 / rest).
    """
    ages = histories.ages[histories.first]
    for group in (histories.listeners[histories.first], histories.items[histories.first]):
        _, group = np.unique(group, return_inverse=True)
        counts = np.bincount(group)
        groups, rest = len(counts) - 1, len(ages) - len(counts)
        if groups < 1 or rest < 1:
            continue
        means = np.bincount(group, ages) / counts
        within = ((ages - means[group]) ** 2).sum() / rest
        between = (counts * (means - ages.mean()) ** 2).sum() / groups
        if between > within * (1 + CHANCE * np.sqrt(2 / groups + 2 / rest)):
            return True
    return False


def ndcg(scores: Float32s | Float64s, rows: Int32s, targets: Int32s) -> Float64s:
    """float64[listeners]: with binary gains, cut off at CHECK_K (Järvelin and Kekäläinen 2002).

    Args:
        scores: [listeners, items].
        rows: int32[plays], the listener of each relevant pair.
        targets: int32[plays], its item; no pair stands twice.
    """
    k = min(CHECK_K, scores.shape[1])
    lists, _ = best(scores.astype(np.float32), np.empty(scores.shape, np.bool_), k)
    return gains(lists, rows, targets, scores.shape[1])


def gains(lists: Int32s, rows: Int32s, targets: Int32s, items: int) -> Float64s:
    """The same of lists, int32[listeners, k] with -1 for no item, of a catalogue of `items`."""
    listeners, k = lists.shape
    listed = np.where(lists >= 0, np.arange(listeners)[:, None] * items + lists, -1)
    discount = 1 / np.log2(np.arange(2, k + 2))
    gained = np.isin(listed, rows.astype(np.int64) * items + targets) @ discount
    ideal = np.cumsum(discount)[np.minimum(np.bincount(rows, minlength=listeners), k) - 1]
    return gained / ideal


def _checkable(histories: Histories, late: Bools, known: bool = True) -> Int64s:
    """The listeners who discover something in the late plays; who played before, or did not."""
    whose, number = histories.listeners, len(histories.offsets) - 1
    discovers_late = np.bincount(whose[late & histories.first], minlength=number) > 0
    played = np.bincount(whose[~late], minlength=number) > 0
    return np.flatnonzero(discovers_late & (played == known))


def _own_last(histories: Histories) -> Bools:
    """bool[plays]: from the first play on that begins the last `HOLDOUT_SHARE` of a listener's."""
    discovered = np.concatenate([[0], np.cumsum(histories.first)])
    begin, stop = discovered[histories.offsets[:-1]], discovered[histories.offsets[1:]]
    kept = np.minimum(np.ceil((1 - HOLDOUT_SHARE) * (stop - begin)), stop - begin - 1)
    place = discovered[1:] - begin[histories.listeners]
    return place > kept[histories.listeners]
