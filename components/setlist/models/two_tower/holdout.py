"""What the finished towers make of the held-out plays."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize_scalar

from setlist.arrays import Bools, Float32s, Float64s, Int32s
from setlist.models.histories import Examples
from setlist.models.inner_split import InnerSplit, ndcg
from setlist.models.tf import tf
from setlist.models.two_tower.examples import tensors
from setlist.models.two_tower.network import TwoTower
from setlist.models.two_tower.prior import Prior, fit, freshness

HEATS = (-5.0, 10.0)
"""Bounds of the logarithm of the temperature."""


def scores_of(
    towers: TwoTower, held: InnerSplit, inputs: Int32s
) -> Iterator[tuple[Examples, Float64s]]:
    """Each batch with its scores float64[batch, items]; -inf for what the listener has played.

    Args:
        towers: trained.
        held: the plays.
        inputs: int32[listeners, named inputs].
    """
    items = towers.item_tower()
    everything = np.ones(len(towers.played), np.float32)
    for batch in held.everybody:
        users = towers.user_vectors(tensors(batch, inputs, everything), items)
        scores = tf.matmul(users, items, transpose_b=True).numpy().astype(np.float64)
        scores[held.known(batch)] = -np.inf
        yield batch, scores


def fit_prior(
    towers: TwoTower,
    held: InnerSplit,
    inputs: Int32s,
    recencies: tuple[Float64s, Float64s],
    released: Float64s,
) -> Prior:
    """The prior that makes the held-out plays of the first batch likeliest; see `Prior`.

    Where they do not begin at one moment, nothing is known of recency, and the prior is 0.

    Args:
        towers: trained.
        held: the plays.
        inputs: int32[listeners, named inputs].
        recencies: float64[items, half-lives], before the held-out plays and now.
        released: float64[items], days before the end of training; NaN where not known.
    """
    before, now = recencies
    played = towers.played.numpy() > 0
    fresh = freshness(released - (held.since or 0), played)
    kinds = before.shape[1]
    if held.since is None or not kinds:
        return Prior(np.zeros((len(played), 2), np.float32), np.zeros((fresh.shape[1], 2)))
    batch, scores = next(scores_of(towers, held, inputs))
    # What nobody could have known of then was not to be chosen from.
    scores[:, ~played & ~(released > held.since)] = -np.inf
    possible = np.isfinite(scores[batch.target_rows, batch.targets])
    rows, targets = batch.target_rows[possible], batch.targets[possible]
    features, group = np.hstack([before, fresh]), has_plays(batch)

    def fitted(listeners: Bools, start: Float64s) -> Float64s:
        use = listeners[rows]
        if not use.any():
            return start
        offset = scores[listeners] + features @ start
        return start + fit(offset, features, targets[use], batch.weights[possible][use])

    everybody = fitted(np.ones(len(scores), np.bool_), np.zeros(features.shape[1]))
    beta = np.column_stack([fitted(~group, everybody), fitted(group, everybody)])
    return Prior((now @ beta[:kinds]).astype(np.float32), beta[kinds:])


def has_plays(batch: Examples) -> Bools:
    """bool[batch]: whether a listener has a history."""
    return np.bincount(batch.rows, minlength=len(batch.listeners)) > 0


def log_temperature(towers: TwoTower, held: InnerSplit, inputs: Int32s) -> float:
    """The logarithm of the factor on the scores under which the held-out plays are likeliest.

    Args:
        towers: as they start.
        held: the plays; the first batch is looked at.
        inputs: int32[listeners, named inputs].
    """
    batch, scores = next(scores_of(towers, held, inputs))
    scores[:, towers.played.numpy() == 0] = -np.inf
    possible = np.isfinite(scores[batch.target_rows, batch.targets])
    rows, targets = batch.target_rows[possible], batch.targets[possible]
    weights = batch.weights[possible]
    scores -= scores.max(axis=1, keepdims=True)

    def entropy(heat: float) -> float:
        heated = scores * np.exp(heat)
        total = np.log(np.exp(heated).sum(axis=1))
        return float(((total[rows] - heated[rows, targets]) * weights).sum())

    return float(minimize_scalar(entropy, bounds=HEATS, method="bounded").x)


def likelihood_and_ndcg(
    towers: TwoTower, held: InnerSplit, inputs: Int32s, prior: Float32s
) -> tuple[float, Float64s]:
    """Mean cross-entropy of the held-out plays in nats, and float64[checked listeners], NDCG@100.

    Both over the whole catalogue but for what the listener has played.

    Args:
        towers: trained.
        held: the plays; of somebody.
        inputs: int32[listeners, named inputs].
        prior: float32[items, 2].
    """
    entropy, gains = 0.0, []
    for batch, scores in scores_of(towers, held, inputs):
        scores += prior.T[has_plays(batch).astype(int)]
        scores -= scores.max(axis=1, keepdims=True)
        target_scores = scores[batch.target_rows, batch.targets]
        total = np.log(np.exp(scores).sum(axis=1))
        entropy += float(((total[batch.target_rows] - target_scores) * batch.weights).sum())
        gains.append(ndcg(scores, batch.target_rows, batch.targets))
    return entropy / held.listeners, np.concatenate(gains)
