"""Intervals and tests over listeners: the unit is the listener, differences are paired.

Everything is a function of the values and a fixed seed, so that a verdict can be replayed.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from scipy import special

from setlist.arrays import Float64s

CONFIDENCE_LEVEL = 0.95
RESAMPLES = 2_000
FLIPS = 10_000
RESAMPLING_SEED = 20_210_131
POWER = 0.8
MIN_LISTENERS = 30
"""With fewer listeners no interval can be believed where large losses are rare: what a sample does
not hold, nobody can resample. Measured on small wins for .4 of listeners against large losses for
.15, without an effect: the lower bound is above 0 for .097 of samples of 10, .056 of 20, .033 of 30
(nominal: .025)."""
CHUNK_CELLS = 4_000_000
"""Weights or signs held at a time, 32 MB; it has no influence on a result."""
INTERVAL_DECIMALS = 12
"""Of an interval. The resampled sums are exact, but the moments of a sample and the quantiles of
Student's t may differ in their last bits from one processor to the next."""


@dataclass(frozen=True)
class Interval:
    """A mean over listeners and its two-sided interval at `CONFIDENCE_LEVEL`."""

    mean: float
    low: float
    high: float


def bootstrap(values: Float64s, resamples: int = RESAMPLES) -> list[Interval]:
    """Intervals of the mean of each column: on each side the wider of BCa and Student's t.

    Listeners are resampled with replacement (Efron 1979), whole rows at a time, so columns stay
    paired. The quantiles of the resampled means are corrected for bias and skewness (BCa, Efron
    1987) and for the narrowness of a resample (Hesterberg 2015, "expanded"). BCa alone promises
    too much where nearly every value is 0, Student's t where values are skewed, a percentile
    interval in both. Measured: how often the lower bound is above a true mean of 0 (nominal: .025;
    20,000 samples, deviation .001) for a percentile interval and for this one. Sparse: each of two
    models has a hit for .05 of listeners. Skewed: small wins for .4 of listeners, large losses for
    .15; very skewed: for .2 and .05.

        listeners          30          100         300        1,000       3,000
        sparse         .019 .008   .034 .023   .028 .025   .026 .024   .024 .022
        skewed         .054 .033   .037 .027   .031 .025   .028 .026   .027 .025
        very skewed    .190 .174   .056 .037   .039 .027   .034 .027   .029 .026

    It is wider than a percentile interval by .09 with 30 listeners, .04 with 100 and .02 with 300
    or more where differences are normal, and at most .34, .15, .08 and .04 in the table's cases.

    Args:
        values: float64[listeners, columns], at least one listener, finite. Their unit is kept.
        resamples: how many, some hundreds at least; 10,000 over 100,000 listeners and 20 columns
            take about 7 s and .2 GB on two cores that are free.

    Returns:
        One interval for each column, rounded to `INTERVAL_DECIMALS`. For a single listener both
        bounds are the value itself.
    """
    listeners = len(values)
    steps, step = _on_grid(values)
    mean = steps.mean(axis=0)
    if listeners == 1:
        return _intervals(mean * step, mean * step, mean * step)
    means = np.sort(_resampled_sums(steps, resamples), axis=0) / listeners

    centred = steps - mean
    squares = (centred**2).sum(axis=0)
    error = np.sqrt(squares / (listeners - 1) / listeners)
    tail = (1 - CONFIDENCE_LEVEL) / 2
    student = special.stdtrit(listeners - 1, 1 - tail)

    # Half of the ties, which are many where most values are 0.
    bias = special.ndtri(((means < mean).mean(axis=0) + (means <= mean).mean(axis=0)) / 2)
    cubes = (centred**3).sum(axis=0)
    skew = np.divide(cubes, 6 * squares**1.5, out=np.zeros_like(cubes), where=squares > 0)
    expanded = np.sqrt(listeners / (listeners - 1)) * student
    low, high = (
        _quantiles(means, special.ndtr(bias + (bias + z) / (1 - skew * (bias + z))))
        for z in (-expanded, expanded)
    )
    return _intervals(
        mean * step,
        np.minimum(low, mean - student * error) * step,
        np.maximum(high, mean + student * error) * step,
    )


def sign_flip(
    differences: Float64s,
    alternative: Literal["two-sided", "less"] = "two-sided",
    flips: int = FLIPS,
) -> Float64s:
    """P-values of the mean of each column by the paired sign-flip test (Fisher 1935).

    Without an effect, a listener's difference is as likely with either sign. All columns see the
    same flips. On recommendations this test keeps its level, where Wilcoxon's and the sign test
    do not (Ihemelandu and Ekstrand, SIGIR 2023). It assumes symmetry, and errs like Student's t
    where few listeners' differences are skewed: measured at a nominal .025 on the skewed cases of
    `bootstrap`, on the side that errs, .051 and .124 with 30 listeners, .031 and .045 with 300,
    .029 and .036 with 1,000.

    Args:
        differences: float64[listeners, columns], finite. A listener outside of a column's group
            has 0 there, which no sign changes.
        alternative: "less" asks whether the mean is below 0.
        flips: how many; 10,000 over 200,000 listeners and 20 columns take about
            7 s and .2 GB on two cores that are free.

    Returns:
        float64[columns]: (1 + flips at least as extreme as the truth) / (1 + flips).
    """
    steps, _ = _on_grid(differences)
    listeners, columns = steps.shape
    observed = steps.sum(axis=0)
    # Equal but for the rounding of decimals, such as .1 + .2 and .3, is a tie.
    slack = 1e-9 * np.abs(steps).sum(axis=0)
    generator = np.random.default_rng(RESAMPLING_SEED)
    extreme = np.zeros(columns, np.int64)
    positive = np.empty((max(1, min(flips, CHUNK_CELLS // listeners)), listeners))
    for start in range(0, flips, len(positive)):
        chunk = positive[: flips - start]
        for row in chunk:
            bits = np.frombuffer(generator.bytes((listeners + 7) // 8), np.uint8)
            row[:] = np.unpackbits(bits, count=listeners)
        flipped = 2 * (chunk @ steps) - observed
        if alternative == "less":
            extreme += (flipped <= observed + slack).sum(axis=0)
        else:
            extreme += (np.abs(flipped) >= np.abs(observed) - slack).sum(axis=0)
    return (1 + extreme) / (1 + flips)


def holm(p: Float64s) -> Float64s:
    """P-values adjusted for their number: the chance of any false alarm is kept (Holm 1979).

    Args:
        p: float64[m], any order.

    Returns:
        float64[m] in the same order: the i-th smallest times m - i + 1, never below the one
        before it nor above 1.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)


def smallest_detectable_lift(differences: Float64s) -> float:
    """The true difference that this many listeners would have shown with a probability of .8.

    (z of the level + z of the power) * standard error of the paired difference, the usual
    sample-size formula turned round; in the unit of the metric.
    """
    normal = NormalDist()
    z = normal.inv_cdf((1 + CONFIDENCE_LEVEL) / 2) + normal.inv_cdf(POWER)
    if len(differences) < 2:
        return float("inf")
    return float(z * differences.std(ddof=1) / np.sqrt(len(differences)))


def _on_grid(values: Float64s) -> tuple[Float64s, Float64s]:
    """Each column in whole steps of a power of two, so fine that any sum of its rows is exact.

    Sums of `listeners` rows stay below 2**53 steps, whatever the rows: neither the order of
    additions, which is the matrix library's, nor its threads can change a bit, and ties are ties.

    Returns:
        float64[listeners, columns] of whole numbers, and float64[columns], the value of a step:
        6e-11 for 200,000 listeners with values up to 1.
    """
    _, exponent = np.frexp(np.abs(values).max(axis=0) * len(values))
    step = np.ldexp(1.0, exponent - 52)
    return np.rint(values / step), step


def _resampled_sums(steps: Float64s, resamples: int) -> Float64s:
    """float64[resamples, columns]: how often each row was drawn, times the rows."""
    listeners, columns = steps.shape
    generator = np.random.default_rng(RESAMPLING_SEED)
    sums = np.empty((resamples, columns))
    weights = np.empty((max(1, min(resamples, CHUNK_CELLS // listeners)), listeners))
    for start in range(0, resamples, len(weights)):
        chunk = weights[: resamples - start]
        # A row at a time stays in the processor's cache.
        for row in chunk:
            row[:] = np.bincount(generator.integers(listeners, size=listeners), minlength=listeners)
        sums[start : start + len(chunk)] = chunk @ steps
    return sums


def _quantiles(ordered: Float64s, shares: Float64s) -> Float64s:
    """float64[columns]: of each ascending column the quantile of its own share."""
    place = shares * (len(ordered) - 1)
    below = np.floor(place).astype(np.intp)
    above = np.ceil(place).astype(np.intp)
    columns = np.arange(ordered.shape[1])
    low, high = ordered[below, columns], ordered[above, columns]
    return low + (high - low) * (place - below)


def _intervals(mean: Float64s, low: Float64s, high: Float64s) -> list[Interval]:
    bounds = np.round([mean, low, high], INTERVAL_DECIMALS)
    return [Interval(*map(float, column)) for column in bounds.T]
