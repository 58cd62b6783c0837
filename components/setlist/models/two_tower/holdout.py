"""What towers make of the held-out plays."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from setlist.arrays import Bools, Float64s, Int32s
from setlist.models.histories import Examples
from setlist.models.inner_split import InnerSplit, ndcg
from setlist.models.tf import tf
from setlist.models.two_tower.neighbourhood import SHARES, Neighbourhood
from setlist.models.two_tower.network import TwoTower
from setlist.models.two_tower.prior import Prior, fit, freshness

HEATS = (-5.0, 10.0)
"""Bounds of the logarithm of the temperature."""
NORMAL_95 = 1.96
"""The quantile of the normal distribution, for an interval of 95%."""


@dataclass(frozen=True)
class Judgement:
    """What the held-out plays say of towers, with the prior that they ask for.

    Attributes:
        loss: mean cross-entropy of the held-out plays in nats, over all but what is known.
        ndcg: float64[checked listeners], NDCG@100.
        prior: the one under which the held-out plays of the first batch are likeliest.
    """

    loss: float
    ndcg: Float64s
    prior: Prior


@dataclass(frozen=True)
class Holdout:
    """The held-out plays, and what is known of their listeners and items.

    Attributes:
        split: with the plays.
        inputs: int32[listeners, named inputs].
        recencies: float64[items, half-lives], before the held-out plays and now.
        released: float64[items], days before the end of training; NaN where not known.
    """

    split: InnerSplit
    inputs: Int32s
    recencies: tuple[Float64s, Float64s]
    released: Float64s

    def scores(
        self, towers: TwoTower, neighbourhood: Neighbourhood | None = None
    ) -> Iterator[tuple[Examples, Float64s]]:
        """Each batch with its scores float64[batch, items]; -inf for what is known."""
        items = towers.item_tower()
        plays = items[:, :-1] * towers.play_factors()[:, None]
        for batch in self.split.everybody:
            fields = vars(batch) | {"inputs": self.inputs[batch.listeners]}
            users = towers.user_vectors(fields, plays)
            scores = tf.matmul(users, items, transpose_b=True).numpy().astype(np.float64)
            if neighbourhood:
                scores[has_plays(batch)] *= 1 - neighbourhood.share
                scores += neighbourhood.sums(batch)
            scores[self.split.known(batch)] = -np.inf
            yield batch, scores

    def judge(self, towers: TwoTower, neighbourhood: Neighbourhood | None = None) -> Judgement:
        """Fit the prior and rank; somebody has to be checked.

        Where the held-out plays do not begin at one moment, the prior is 0.
        """
        batches = self.scores(towers, neighbourhood)
        first = next(batches)
        prior = self._fit_prior(towers, *first)
        added = prior.at(self.released, towers.plays > 0)
        entropy, gains = 0.0, []
        for batch, scores in (first, *batches):
            scores += added.T[has_plays(batch).astype(int)]
            scores -= scores.max(axis=1, keepdims=True)
            target_scores = scores[batch.target_rows, batch.targets]
            total = np.log(np.exp(scores).sum(axis=1))
            entropy += float(((total[batch.target_rows] - target_scores) * batch.weights).sum())
            gains.append(ndcg(scores, batch.target_rows, batch.targets))
        return Judgement(entropy / self.split.listeners, np.concatenate(gains), prior)

    def no_prior(self) -> Prior:
        """Where nobody is held out."""
        items, kinds = len(self.released), len(freshness(np.zeros(1), np.ones(1, np.bool_))[0])
        return Prior(np.zeros((items, 2), np.float32), np.zeros((kinds, 2)))

    def _fit_prior(self, towers: TwoTower, batch: Examples, scores: Float64s) -> Prior:
        before, now = self.recencies
        since, kinds = self.split.since, before.shape[1]
        if since is None or not kinds:
            return self.no_prior()
        played = towers.plays > 0
        # What nobody could have known of then was not to be chosen from.
        scores = np.where(~played & ~(self.released > since), -np.inf, scores)
        possible = np.isfinite(scores[batch.target_rows, batch.targets])
        rows, targets = batch.target_rows[possible], batch.targets[possible]
        features = np.hstack([before, freshness(self.released - since, played)])
        counts = np.bincount(rows, minlength=len(scores))
        can_choose, known = counts > 0, has_plays(batch)

        def fitted(listeners: Bools, start: Float64s) -> Float64s:
            listeners = listeners & can_choose
            use = listeners[rows]
            if not use.any():
                return start
            offset = scores[listeners] + features @ start
            return start + fit(offset, features, targets[use], 1 / counts[rows[use]])

        everybody = fitted(can_choose, np.zeros(features.shape[1]))
        beta = np.column_stack([fitted(~known, everybody), fitted(known, everybody)])
        return Prior((now @ beta[:kinds]).astype(np.float32), beta[kinds:])

    def log_temperature(self, towers: TwoTower) -> float:
        """The logarithm of the factor on the scores under which the first batch is likeliest.

        Args:
            towers: as they start.
        """
        batch, scores = next(self.scores(towers))
        scores[:, towers.plays == 0] = -np.inf
        possible = np.isfinite(scores[batch.target_rows, batch.targets])
        rows, targets = batch.target_rows[possible], batch.targets[possible]
        weights = batch.weights[possible]
        scores -= scores.max(axis=1, keepdims=True)

        def entropy(heat: float) -> float:
            heated = scores * np.exp(heat)
            total = np.log(np.exp(heated).sum(axis=1))
            return float(((total[rows] - heated[rows, targets]) * weights).sum())

        return float(minimize_scalar(entropy, bounds=HEATS, method="bounded").x)

    def scaled(self, towers: TwoTower, weights: Neighbourhood) -> Neighbourhood:
        """The weights with the scale by which they deviate as much as the scores of the towers."""
        return weights.scaled_to(next(self.scores(towers)))

    def share(self, towers: TwoTower, weights: Neighbourhood) -> Neighbourhood | None:
        """The neighbourhood with the best share, where it is better beyond an interval of 95%.

        Args:
            towers: trained.
            weights: scaled to them, learnt from the plays that are not held out.

        Returns:
            None where no share is better.
        """
        alone = self.judge(towers).ndcg
        shared = [replace(weights, share=share) for share in SHARES]
        ndcgs = [self.judge(towers, candidate).ndcg for candidate in shared]
        best = int(np.argmax([ndcg.mean() for ndcg in ndcgs]))
        return shared[best] if better(ndcgs[best] - alone) else None


def better(lifts: Float64s, errors: float = NORMAL_95) -> bool:
    """Whether the mean of paired differences is above 0 by so many standard errors."""
    if len(lifts) < 2:
        return False
    return bool(lifts.mean() > errors * lifts.std(ddof=1) / np.sqrt(len(lifts)))


def has_plays(batch: Examples) -> Bools:
    """bool[batch]: whether a listener has a history."""
    return np.bincount(batch.rows, minlength=len(batch.listeners)) > 0
