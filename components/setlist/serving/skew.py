"""Whether what is served looks like what was trained on.

The log holds what a revision read of every request, its `profile.json` what it would have read of
the listeners that it was trained on. Held against each other are the shares by value of each named
input, the lengths of the histories that are not empty, the age of the play at their end, and
whether their items are in the catalogue, as all of training are.

Those who come play more, and more lately, than all who were trained on. On the sample, those of the
first day after training are away by .18 (length) and .11 (age) without any mistake; no ages, ages
in another unit, or plays in the wrong order are away by .5 and more. Hence `HABITS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int64s
from setlist.models.profile import LENGTH_BINS, Profile
from setlist.serving.log_reader import AGE, HISTORY, ITEMS, InputCells, read_served

FEWEST = 30
"""With fewer listeners nothing alerts: one of them is too large a share."""
HABITS = 3
"""Length and age of a history alert above so many times the threshold."""
SAMPLES, CERTAINTY = 1_000, 0.99


@dataclass(frozen=True)
class Compared:
    """One feature of training beside the same of serving.

    Attributes:
        feature: a named input, HISTORY, AGE or ITEMS.
        counted: listeners, and requests without an id, that it is made of.
        distance: the largest absolute difference of a share (L-infinity).
        allowed: the threshold of this feature.
        chance: what the distance stays below in 99 of 100 samples which differ by chance alone.
        value: the one whose share differs most.
        trained, served: its shares.
        unknown: of an input, the share of the values that the profile does not name.
        rare: the share of such values in training; where it is 0, the model knows none of them.
        alert: the distance is above both what is allowed and chance.
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
class Skew:
    """How far serving is from training.

    Attributes:
        compared: the features.
        listeners: those who have an id, each counted by the last request.
        requests: those without an id.
        empty: the share of both that has no history; training has nothing to hold against it.
        first, last: when the first and the last of all requests came.
    """

    compared: tuple[Compared, ...]
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
) -> Skew:
    """Hold what a revision was asked against what it was trained on.

    Args:
        log: a local folder or gs://bucket/prefix, as `ServingLog` writes it.
        name: of the model in its store.
        revision: that answered, live or as a candidate.
        profile: of the revision.
        catalogue: of the revision.
        threshold: the distance, from 0 to 1, above which a feature may alert; see HABITS.
        days: only so many of the newest days (UTC, on which they were written) that the log has.

    Raises:
        SetlistError: the log has no such request, or cannot be read.
    """
    inputs = {one: InputCells(values) for one, values in profile.inputs.items()}
    served = read_served(log, name, revision, inputs, catalogue, days)
    counts, everybody, empty = served.counts, served.everybody, int(served.counts[HISTORY][0])
    features = [
        (one, cells.names(), cells.trained, counts[one], everybody) for one, cells in inputs.items()
    ]
    beside = [
        (
            HISTORY,
            {bin_: profile.lengths[bin_] for bin_ in LENGTH_BINS[1:]},
            counts[HISTORY][1:],
        ),
        (AGE, profile.ages or {}, counts[AGE]),
        (ITEMS, {"outside catalogue": 0.0, "in it": 1.0}, counts[ITEMS]),
    ]
    for one, trained, found in beside:
        shares = np.array([*trained.values()])
        if found.any() and shares.any():
            share_of = shares / shares.sum()
            features.append((one, [*trained], share_of, found, everybody - empty))
    return Skew(
        compared=tuple(_compare(*feature, profile, threshold) for feature in features),
        listeners=served.listeners,
        requests=served.requests,
        empty=empty / everybody,
        first=served.first,
        last=served.last,
    )


def chance(trained: Float64s, listeners: int, counted: int) -> float:
    """What the distance of two samples of the same listeners stays below in 99 of 100 cases.

    Simulated with a fixed seed. The listeners of training are a sample, too, so both vary.

    Args:
        trained: float64[cells], the shares in training.
        listeners: how many these were.
        counted: how many were served; for less than FEWEST it is 1, which no distance exceeds.
    """
    if counted < FEWEST:
        return 1.0
    random, shares = np.random.default_rng(0), trained / trained.sum()
    one, other = (random.multinomial(size, shares, SAMPLES) / size for size in (listeners, counted))
    return float(np.quantile(np.abs(one - other).max(axis=1), CERTAINTY))


def _compare(
    feature: str,
    names: Sequence[str],
    trained: Float64s,
    counts: Int64s,
    counted: int,
    profile: Profile,
    threshold: float,
) -> Compared:
    served = counts / counts.sum()
    most = int(np.abs(served - trained).argmax())
    distance = float(abs(served[most] - trained[most]))
    allowed = threshold * HABITS if feature in (HISTORY, AGE) else threshold
    bound = chance(trained, profile.listeners, counted)
    named = feature in profile.inputs
    return Compared(
        feature=feature,
        counted=counted,
        distance=distance,
        allowed=allowed,
        chance=bound,
        value=names[most],
        trained=float(trained[most]),
        served=float(served[most]),
        unknown=float(served[-1]) if named else None,
        rare=float(trained[-1]) if named else 0.0,
        alert=distance > max(allowed, bound),
    )
