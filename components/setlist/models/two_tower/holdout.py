"""What the finished towers make of the held-out plays."""

from collections.abc import Iterator

import numpy as np

from setlist.arrays import Float32s, Float64s, Int32s
from setlist.models.tf import tf
from setlist.models.training_record import CHECK_K
from setlist.models.two_tower.examples import Examples, HeldOut, spans, tensors
from setlist.models.two_tower.network import TwoTower
from setlist.models.two_tower.prior import Prior, fit, freshness


def scores_of(
    towers: TwoTower, held: HeldOut, inputs: Int32s
) -> Iterator[tuple[Examples, Float64s]]:
    """Each batch with its scores float64[batch, items]; -inf for what the listener has played.

    Args:
        towers: trained.
        held: the plays.
        inputs: int32[listeners, named inputs].
    """
    vectors, bias = towers.item_tower()
    everything = np.ones(len(towers.played), np.float32)
    for batch in held.check:
        users = towers.user_vectors(tensors(batch, inputs, everything), vectors)
        scores = (tf.matmul(users, vectors, transpose_b=True) + bias).numpy().astype(np.float64)
        offsets = held.learn.offsets
        rows, plays = spans(offsets[batch.listeners], offsets[batch.listeners + 1])
        scores[rows, held.learn.items[plays]] = -np.inf
        yield batch, scores


def fit_prior(
    towers: TwoTower,
    held: HeldOut,
    inputs: Int32s,
    recencies: tuple[Float64s, Float64s],
    released: Float64s,
) -> Prior:
    """The prior that makes the held-out plays of the first batch likeliest.

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
        return Prior(np.zeros(len(played), np.float32), np.zeros(fresh.shape[1]))
    batch, scores = next(scores_of(towers, held, inputs))
    # What nobody could have known of then was not to be chosen from.
    scores[:, ~played & ~(released > held.since)] = -np.inf
    possible = np.isfinite(scores[batch.target_rows, batch.targets])
    beta = fit(
        scores,
        np.hstack([before, fresh]),
        batch.targets[possible],
        batch.weights[possible],
    )
    return Prior((now @ beta[:kinds]).astype(np.float32), beta[kinds:])


def likelihood_and_ndcg(
    towers: TwoTower, held: HeldOut, inputs: Int32s, prior: Float32s
) -> tuple[float | None, float | None]:
    """Mean cross-entropy of the held-out plays in nats, and NDCG@100 (Järvelin and Kekäläinen).

    Both over the whole catalogue but for what the listener has played; None where nobody was
    held out.

    Args:
        towers: trained.
        held: the plays.
        inputs: int32[listeners, named inputs].
        prior: float32[items].
    """
    entropy, gain = 0.0, 0.0
    for batch, scores in scores_of(towers, held, inputs):
        scores += prior
        scores -= scores.max(axis=1, keepdims=True)
        target_scores = scores[batch.target_rows, batch.targets]
        total = np.log(np.exp(scores).sum(axis=1))
        entropy += float(((total[batch.target_rows] - target_scores) * batch.weights).sum())
        gain += float(ndcg(scores, batch.target_rows, batch.targets).sum())
    if not held.check:
        return None, None
    return entropy / held.listeners, gain / held.listeners


def ndcg(scores: Float64s, rows: Int32s, targets: Int32s) -> Float64s:
    """float64[listeners]: with binary gains, cut off at CHECK_K.

    Args:
        scores: float64[listeners, items].
        rows: int32[plays], the listener of each relevant pair.
        targets: int32[plays], its item; no pair stands twice.
    """
    listeners, items = scores.shape
    k = min(CHECK_K, items)
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    best = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    place = np.full(scores.shape, items, np.int32)
    np.put_along_axis(place, np.take_along_axis(top, best, axis=1), np.arange(k), axis=1)
    discount = np.append(1 / np.log2(np.arange(2, k + 2)), np.zeros(items - k + 1))
    gains = np.bincount(rows, discount[place[rows, targets]], listeners)
    ideal = np.cumsum(discount[:k])[np.minimum(np.bincount(rows, minlength=listeners), k) - 1]
    return gains / ideal
