"""The recency prior of the items: how much more each is played now than over the whole period.

With half-lives h, feature h of item i is log((r_i + s) / (a_i + s)): r_i the plays weighted by
2^(-age / h) and scaled to the total of the plays a_i, s a smoothing of ten plays that keeps rare
items at 0. The prior is the sum of beta_h times feature h, and the betas are what makes the
held-out plays likeliest (softmax regression with the towers' scores as offset, by Newton's method).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SMOOTHING = 10.0
DOUBT = 10.0
"""As if so many more listeners had been held out, and had played regardless of recency."""
STEPS, LONGEST = 15, 1.0
"""Newton steps, and the longest one in any coordinate."""


def recency(
    items: npt.NDArray[np.int32], ages: npt.NDArray[np.float32], size: int, days: Sequence[float]
) -> Floats:
    """float64[size, half-lives]: the features.

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
        columns.append(np.log((recent + SMOOTHING) / (plays + SMOOTHING)))
    return np.array(columns).reshape(len(columns), size).T


def fit(
    scores: Floats,
    features: Floats,
    targets: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
) -> Floats:
    """float64[half-lives]: the betas.

    Args:
        scores: float64[listeners, items] of the towers; -inf for what cannot be played.
        features: float64[items, half-lives], as of the moment before the held-out plays.
        targets: int32[plays], the items of the held-out plays.
        weights: float32[plays]; those of a listener add up to 1.
    """
    listeners, kinds = len(scores), features.shape[1]
    beta = np.zeros(kinds)
    doubt = DOUBT / listeners
    wanted = (features[targets] * weights[:, None]).sum(axis=0) / listeners
    for _ in range(STEPS):
        logits = scores + features @ beta
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        mean = share.mean(axis=0)
        each = share @ features
        gradient = mean @ features - wanted + doubt * beta
        curvature = (features * mean[:, None]).T @ features - each.T @ each / listeners
        step = np.linalg.solve(curvature + doubt * np.eye(kinds), gradient)
        beta -= np.clip(step, -LONGEST, LONGEST)
    return beta
