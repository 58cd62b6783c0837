"""Training-serving skew: whether what a revision is asked looks like what it was trained on.

The request log holds what a revision read of every request. Its `profile.json` holds what it would
have read of the listeners that it was trained on. Compared are the shares of the values of each
named input, the lengths of the histories that are not empty, the age of their last play, and the
share of their items that are in the catalogue (in training all are).

Listeners who come to the page play more, and more recently, than all listeners of the training
period. On the sample data, the listeners of the first day after training differ by 0.18 (length)
and 0.11 (age) without any mistake. Missing ages, ages in another unit, or plays in the wrong order
differ by 0.5 and more. That is why `HABIT_FACTOR` exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int64s
from setlist.models.profile import LENGTH_BINS, Profile
from setlist.serving.log_reader import (
    HISTORY_ITEMS,
    HISTORY_LENGTH,
    LAST_PLAY_AGE,
    InputBins,
    count_served,
)

MIN_SERVED = 30
"""With fewer listeners nothing alerts: the share of each of them is too large."""
HABIT_FACTOR = 3
"""The threshold of the length and age of histories is this many times that of the others."""
SIMULATED_SAMPLES = 1_000
CHANCE_QUANTILE = 0.99
"""An alert by chance alone happens in 1 of 100 comparisons of a feature."""


@dataclass(frozen=True)
class FeatureSkew:
    """One feature in training and in serving.

    Attributes:
        feature: a named input, HISTORY_LENGTH, LAST_PLAY_AGE or HISTORY_ITEMS.
        counted: number of listeners, and of requests without an id, that were compared.
        distance: the largest absolute difference of a share (L-infinity distance).
        allowed: the threshold of this feature.
        chance: the distance that 99 of 100 samples which differ by chance alone stay below.
        value: the value whose share differs most.
        trained, served: its shares.
        unknown: of a named input, the share of the values that the profile does not name.
        rare: the share of such values in training; if it is 0, the model knows none of them.
        alert: whether the distance is above both `allowed` and `chance`.
    """

    feature: str
    counted: int
    distance: float
    allowed: float
    chance: float
    value: str
    trained: float
    served: float
    unknown: float | None
    rare: float
    alert: bool


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


def find_skew(
    log: str,
    name: str,
    revision: int,
    profile: Profile,
    catalogue: Sequence[str],
    threshold: float,
    days: int | None = None,
) -> SkewReport:
    """Compare what a revision was asked with what it was trained on.

    Args:
        log: a local folder or gs://bucket/prefix, as `RequestLog` writes it.
        name: of the model in its store.
        revision: that answered, live or as a candidate.
        profile: of the revision.
        catalogue: of the revision.
        threshold: the distance, from 0 to 1, above which a feature may alert; see HABIT_FACTOR.
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
        features=tuple(_compare(*comparison, profile, threshold) for comparison in comparisons),
        listeners=served.listeners,
        requests=served.requests,
        empty=empty / total,
        first=served.first,
        last=served.last,
    )


def chance_distance(trained: Float64s, listeners: int, counted: int) -> float:
    """The distance that two samples of the same listeners stay below in 99 of 100 cases.

    It is simulated, with a fixed seed. The training listeners are a sample too, so both samples
    vary.

    Args:
        trained: float64[bins], the shares in training.
        listeners: number of training listeners.
        counted: number of served listeners; below MIN_SERVED the result is 1, which no distance
            exceeds.
    """
    if counted < MIN_SERVED:
        return 1.0
    random, shares = np.random.default_rng(0), trained / trained.sum()
    first, second = (
        random.multinomial(size, shares, SIMULATED_SAMPLES) / size for size in (listeners, counted)
    )
    return float(np.quantile(np.abs(first - second).max(axis=1), CHANCE_QUANTILE))


def _compare(
    feature: str,
    names: Sequence[str],
    trained: Float64s,
    counts: Int64s,
    counted: int,
    profile: Profile,
    threshold: float,
) -> FeatureSkew:
    served = counts / counts.sum()
    largest = int(np.abs(served - trained).argmax())
    distance = float(abs(served[largest] - trained[largest]))
    of_habits = feature in (HISTORY_LENGTH, LAST_PLAY_AGE)
    allowed = threshold * HABIT_FACTOR if of_habits else threshold
    chance = chance_distance(trained, profile.listeners, counted)
    is_input = feature in profile.inputs
    return FeatureSkew(
        feature=feature,
        counted=counted,
        distance=distance,
        allowed=allowed,
        chance=chance,
        value=names[largest],
        trained=float(trained[largest]),
        served=float(served[largest]),
        unknown=float(served[-1]) if is_input else None,
        rare=float(trained[-1]) if is_input else 0.0,
        alert=distance > max(allowed, chance),
    )
