"""The prior of the items: what the moment says of an item, whoever listens.

Three things that the towers do not know, because one vector stands for the whole period:

    recency    how much more it is played now than over the whole period. With half-life h,
               log((r + s) / (a + s)): r its plays weighted by 2^(-age / h) and scaled to the total
               of the plays a, s a smoothing of ten plays that keeps rare items at 0
    freshness  2^(-days since its release / h), 0 where the release is not known
    unplayed   1 for an item that nobody had played

The prior is a weighted sum of them, and the weights are what makes the held-out plays likeliest
(softmax regression with the towers' scores as offset, by Newton's method): first for everybody,
then, from there, for newcomers and for listeners with plays, who look for other
things. Recency stays as it was at the end of training; the others are what they are on the day on
which the model is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from setlist.arrays import Bools, Float32s, Float64s, Int32s

# Chosen on MovieLens-1M and the bundled sample.
SMOOTHING_PLAYS = 10.0
FRESH_DAYS = (7.0, 30.0)
# Chosen on MovieLens-1M and the bundled sample.
DOUBTING_LISTENERS = 10.0
"""As if so many more listeners had been held out, and had played regardless of the prior."""
# The bound on a step keeps the first ones from overshooting.
NEWTON_STEPS, LONGEST_NEWTON_STEP, SHORTEST_NEWTON_STEP = 15, 1.0, 1e-6
"""Newton steps at most, the longest one in any coordinate, and the one after which it is done."""


@dataclass(frozen=True)
class Prior:
    """A fitted prior; its columns are for newcomers and for listeners with plays.

    Attributes:
        recency: float32[items, 2], its part of the prior.
        fresh: float64[half-lives of FRESH_DAYS + 1, 2], the weights of freshness and unplayed.
    """

    recency: Float32s
    fresh: Float64s

    def at(self, days: Float64s, played: Bools) -> Float32s:
        """float32[items, 2]: the prior at a moment.

        Args:
            days: float64[items], since the release; NaN where it is not known.
            played: bool[items].
        """
        return (self.recency + freshness(days, played) @ self.fresh).astype(np.float32)


def recency(items: Int32s, ages: Float64s, size: int, days: Sequence[float]) -> Float64s:
    """float64[size, half-lives].

    Args:
        items: of the plays.
        ages: of the plays, in days before the moment that is "now".
        size: of the catalogue.
        days: the half-lives.
    """
    plays = np.bincount(items, minlength=size).astype(np.float64)
    columns = []
    for half_life in days:
        recent = np.bincount(items, 0.5 ** (ages / half_life), minlength=size)
        recent = recent * (plays.sum() / max(recent.sum(), 1e-300))
        columns.append(np.log((recent + SMOOTHING_PLAYS) / (plays + SMOOTHING_PLAYS)))
    return np.array(columns).reshape(len(columns), size).T


def freshness(days: Float64s, played: Bools) -> Float64s:
    """float64[items, half-lives of FRESH_DAYS + 1]; the arguments are those of `Prior.at`."""
    since = np.where(days >= 0, days, np.inf)
    return np.column_stack([*(0.5 ** (since / half_life) for half_life in FRESH_DAYS), ~played])


def fit(
    scores: Float64s,
    features: Float64s,
    targets: Int32s,
    weights: Float64s,
) -> Float64s:
    """float64[features]: the weights of the features.

    Args:
        scores: float64[listeners, items] of the towers; -inf for what cannot be played.
        features: float64[items, features], as of the moment before the held-out plays.
        targets: int32[plays], the items of the held-out plays.
        weights: float64[plays]; those of each listener add up to 1.
    """
    listeners, kinds = len(scores), features.shape[1]
    beta = np.zeros(kinds)
    doubt = DOUBTING_LISTENERS / listeners
    wanted = (features[targets] * weights[:, None]).sum(axis=0) / listeners
    for _ in range(NEWTON_STEPS):
        logits = scores + features @ beta
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        mean = share.mean(axis=0)
        each = share @ features
        gradient = mean @ features - wanted + doubt * beta
        curvature = (features * mean[:, None]).T @ features - each.T @ each / listeners
        step = np.linalg.solve(curvature + doubt * np.eye(kinds), gradient)
        beta -= np.clip(step, -LONGEST_NEWTON_STEP, LONGEST_NEWTON_STEP)
        if np.abs(step).max() < SHORTEST_NEWTON_STEP:
            break
    return beta
