"""Training-serving skew: whether what a revision is asked looks like what it was trained on.

The request log holds what a revision read of every request. Its `profile.json` holds what it would
have read of the listeners that it was trained on. Compared are the shares of the values of each
named input, the lengths of the histories that are not empty, the age of their last play, and the
share of their items that are in the catalogue (in training all are).

Listeners who come to the page play more, and more recently, than all listeners of the training
period. That is why the bound of numbers, which are lengths and ages, is wider than for drift.
`setlist.serving.matched_skew` does not depend on who comes: it compares single listeners.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int64s
from setlist.data.case import MIN_LISTENERS
from setlist.data.distributions import Kind, distances
from setlist.data.policy import ServingBounds
from setlist.data.verdict import DataOutcome, DataReason
from setlist.models.profile import LENGTH_BINS, Profile
from setlist.serving.log_reader import (
    HISTORY_ITEMS,
    HISTORY_LENGTH,
    LAST_PLAY_AGE,
    InputBins,
    count_served,
)

SIMULATED_SAMPLES = 1_000
CHANCE_QUANTILE = 0.99
"""An alert by chance alone happens in 1 of 100 comparisons of a feature."""


@dataclass(frozen=True)
class FeatureSkew:
    """One feature in training and in serving.

    Attributes:
        feature: a named input, HISTORY_LENGTH, LAST_PLAY_AGE or HISTORY_ITEMS.
        kind: "numbers" or "categories", which have bounds of their own.
        counted: number of listeners, and of requests without an id, that were compared.
        distance: L-infinity of an input and of HISTORY_ITEMS, else Jensen-Shannon.
        allowed: the bound above which it is reported.
        chance: the distance that 99 of 100 samples which differ by chance alone stay below.
        value: the value whose share differs most.
        trained, served: its shares.
        unknown: of a named input, the share of the values that the profile does not name.
        rare: the share of such values in training; if it is 0, the model knows none of them.
        outcome: `pass` where the distance is not above `chance`; else by the bounds.
    """

    feature: str
    kind: Kind
    counted: int
    distance: float
    allowed: float
    chance: float
    value: str
    trained: float
    served: float
    unknown: float | None
    rare: float
    outcome: DataOutcome

    @property
    def reason(self) -> DataReason:
        """The same as a reason of a verdict on data."""
        return DataReason(
            rule=f"served {self.feature}",
            outcome=self.outcome,
            value=round(self.distance, 6),
            bound=self.allowed,
            sentence=f"{self.feature}: {self.value} is {self.served:.1%} of what is served and "
            f"{self.trained:.1%} of training (distance {self.distance:.3f}, allowed: "
            f"{self.allowed:.3f}, by chance: {self.chance:.3f})",
            remedy=""
            if self.outcome == "pass"
            else f"see what the service sends as {self.feature}, or raise "
            f"policy.data.serving.{self.kind}.{self.outcome} where listeners have changed",
        )


@dataclass(frozen=True)
class SkewReport:
    """How far serving is from training.

    Attributes:
        features: each of them compared.
        listeners: number of listeners with an id, each counted by the last request.
        requests: number of requests without an id.
        empty: the share of both without a history; training has no such listeners to compare with.
        first, last: when the first and the last of all requests came.
    """

    features: tuple[FeatureSkew, ...]
    listeners: int
    requests: int
    empty: float
    first: pd.Timestamp
    last: pd.Timestamp

    @property
    def summary(self) -> str:
        """Which requests were compared, in a sentence without its full stop."""
        return (
            f"{self.listeners:,} listeners by the last request of each and {self.requests:,} "
            f"requests without an id, {self.first:%Y-%m-%d %H:%M} to {self.last:%Y-%m-%d %H:%M}; "
            f"{self.empty:.1%} without a history (in training there are none)"
        )


def find_skew(
    log: str,
    name: str,
    revision: int,
    profile: Profile,
    catalogue: Sequence[str],
    bounds: ServingBounds,
    days: int | None = None,
) -> SkewReport:
    """Compare what a revision was asked with what it was trained on.

    Args:
        log: a local folder or gs://bucket/prefix, as `RequestLog` writes it.
        name: of the model in its store.
        revision: that answered, live or as a candidate.
        profile: of the revision.
        catalogue: of the revision.
        bounds: the distances above which a feature is reported.
        days: read only the newest days (UTC, of writing) that the log has, this many.

    Raises:
        DataError: the log has no such request, or cannot be read.
    """
    inputs = {feature: InputBins(values) for feature, values in profile.inputs.items()}
    served = count_served(log, name, revision, inputs, catalogue, days)
    counts, total = served.counts, served.total
    empty = int(counts[HISTORY_LENGTH][0])
    comparisons = [
        (feature, bins.names(), bins.trained, counts[feature], total)
        for feature, bins in inputs.items()
    ]
    of_histories = [
        (
            HISTORY_LENGTH,
            {length: profile.lengths[length] for length in LENGTH_BINS[1:]},
            counts[HISTORY_LENGTH][1:],
        ),
        (LAST_PLAY_AGE, profile.ages or {}, counts[LAST_PLAY_AGE]),
        (HISTORY_ITEMS, {"outside catalogue": 0.0, "in it": 1.0}, counts[HISTORY_ITEMS]),
    ]
    for feature, trained, counts_of_bins in of_histories:
        shares = np.array([*trained.values()])
        # Without histories or ages, in serving or in training, there is nothing to compare.
        if counts_of_bins.any() and shares.any():
            comparisons.append(
                (feature, [*trained], shares / shares.sum(), counts_of_bins, total - empty)
            )
    return SkewReport(
        features=tuple(_compare(*comparison, profile, bounds) for comparison in comparisons),
        listeners=served.listeners,
        requests=served.requests,
        empty=empty / total,
        first=served.first,
        last=served.last,
    )


def chance_distance(
    trained: Float64s, listeners: int, counted: int, kind: Kind = "categories"
) -> float:
    """The distance that two samples of the same listeners stay below in 99 of 100 cases.

    It is simulated, with a fixed seed. The training listeners are a sample too, so both samples
    vary.

    Args:
        trained: float64[bins], the shares in training.
        listeners: number of training listeners.
        counted: number of served listeners; below MIN_LISTENERS the result is 1, which no distance
            exceeds.
        kind: of the distance.
    """
    if counted < MIN_LISTENERS:
        return 1.0
    random, shares = np.random.default_rng(0), trained / trained.sum()
    first, second = (
        random.multinomial(size, shares, SIMULATED_SAMPLES) / size for size in (listeners, counted)
    )
    return float(np.quantile(distances(kind, first, second), CHANCE_QUANTILE))


def _compare(
    feature: str,
    names: Sequence[str],
    trained: Float64s,
    counts: Int64s,
    counted: int,
    profile: Profile,
    bounds: ServingBounds,
) -> FeatureSkew:
    served = counts / counts.sum()
    largest = int(np.abs(served - trained).argmax())
    kind: Kind = "numbers" if feature in (HISTORY_LENGTH, LAST_PLAY_AGE) else "categories"
    bound = bounds.numbers if kind == "numbers" else bounds.categories
    distance = float(distances(kind, trained, served))
    chance = chance_distance(trained, profile.listeners, counted, kind)
    outcome: DataOutcome = "pass"
    if distance > chance:
        outcome = "stop" if distance > bound.stop else "warn" if distance > bound.warn else "pass"
    is_input = feature in profile.inputs
    return FeatureSkew(
        feature=feature,
        kind=kind,
        counted=counted,
        distance=distance,
        allowed=bound.stop if outcome == "stop" else bound.warn,
        chance=chance,
        value=names[largest],
        trained=float(trained[largest]),
        served=float(served[largest]),
        unknown=float(served[-1]) if is_input else None,
        rare=float(trained[-1]) if is_input else 0.0,
        outcome=outcome,
    )
