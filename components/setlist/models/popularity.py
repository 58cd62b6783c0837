"""Popularity as scores, and of how many days it is counted where it is the recent one.

A week holds enough plays of a large service, and next to nothing of a table that grows slowly. With
the wrong number of days the rule is easily beaten, so the days are chosen as a learner chooses its
settings: on the plays that the inner split holds out.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Float64s, Int32s
from setlist.data.schema import Window
from setlist.models.histories import Examples, Histories
from setlist.models.learners.learnable import Learnable

ALL_TIME_WEIGHT = np.float32(1e-6)
"""How much an all-time count weighs beside a recent or a segment's: enough to order the rest."""
RECENT_DAYS = (7, 28, 91, 364)
"""What is tried: whole weeks, since days of the week differ. The first where nothing can be."""


def evidence(scores: Float32s) -> Float32s:
    """The scores with -inf where they are 0: nothing is known, so nothing is claimed."""
    return np.where(scores > 0, scores, -np.inf).astype(np.float32)


def choose_recent_days(window: Window, learnable: Callable[[], Learnable]) -> int:
    """The days that rank the held-out plays best; of equals the fewest.

    Args:
        window: none of more days than its training period is tried.
        learnable: gives the plays and their inner split, where there is a choice.
    """
    have = (window.cutoff - window.start) / pd.Timedelta(days=1)
    tried = [days for days in RECENT_DAYS if days <= have]
    if len(tried) < 2:
        return _not_chosen(f"the training period is {have:g} days long")
    plays = learnable()
    split = plays.split_in_time
    if split.since is None or not split.check:
        return _not_chosen("there are no last days of training to choose on")
    items, ages = latest_plays(split.learn, plays.items)
    all_time = np.bincount(items, minlength=plays.items)
    values = {}
    for days in tried:
        recent = np.bincount(items[ages <= split.since + days], minlength=plays.items)
        scores = evidence(recent.astype(np.float32) + ALL_TIME_WEIGHT * all_time)
        values[days] = float(split.ndcg(_for_everybody(scores)).mean())
    best = max(values, key=values.__getitem__)
    tries = ", ".join(f"{days} days {value:.4f}" for days, value in values.items())
    print(f"recently_popular: {best} days chosen, held-out NDCG@100: {tries}", flush=True)
    return best


def latest_plays(histories: Histories, items: int) -> tuple[Int32s, Float64s]:
    """The item and the age of the latest play of each listener and item."""
    pairs = histories.listeners * items + histories.items
    _, back = np.unique(pairs[::-1], return_index=True)
    places = len(pairs) - 1 - back
    return histories.items[places], histories.ages[places]


def _for_everybody(scores: Float32s) -> Callable[[Examples], Float32s]:
    return lambda batch: np.broadcast_to(scores, (len(batch.listeners), len(scores)))


def _not_chosen(reason: str) -> int:
    print(f"recently_popular: {RECENT_DAYS[0]} days, not chosen, as {reason}", flush=True)
    return RECENT_DAYS[0]
