"""Intervals and tests over listeners: the unit is the listener, and differences are paired.

Every result depends on the values and a fixed seed only, so that a verdict can be computed again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from scipy import special

from setlist.arrays import Float64s
from setlist.evaluation.progress import Progress

CONFIDENCE_LEVEL = 0.95
RESAMPLES = 2_000
FLIPS = 10_000
RESAMPLING_SEED = 20_210_131
POWER = 0.8
"""The probability with which the smallest detectable lift would have been detected."""
MIN_LISTENERS = 30
"""With fewer listeners no interval can be trusted where large losses are rare: a resample cannot
hold a loss that the sample does not hold. Measured without an effect, on small wins for 0.4 of
listeners against large losses for 0.15: the lower bound is above 0 for 0.097 of samples of 10
listeners, 0.056 of 20 and 0.033 of 30 (nominal: 0.025)."""
CHUNK_CELLS = 16_000_000
"""Counts of draws in memory at a time, 32 MB; the number does not influence a result."""
CHUNK_ROWS = 256
"""Resamples or flips at a time, at most; no influence either."""
BLOCK_CELLS = 500_000
"""Of these, as many are converted and multiplied at a time as fit into a cache, 4 MB; nor this."""
INTERVAL_DECIMALS = 12
"""Decimals of the bounds of an interval. The resampled sums are exact, but the moments of a sample
and the quantiles of Student's t may differ in their last bits between processors."""


@dataclass(frozen=True)
class Interval:
    """A mean over listeners and its two-sided interval at `CONFIDENCE_LEVEL`."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: Float64s, resamples: int = RESAMPLES, progress: Progress | None = None
) -> list[Interval]:
    """Intervals of the mean of each column: on each side the wider of BCa and Student's t.

    Listeners are resampled with replacement (Efron 1979), whole rows at a time, so columns stay
    paired. The quantiles of the resampled means are corrected for bias and skewness (BCa, Efron
    1987) and for the narrowness of a resample (Hesterberg 2015, "expanded"). BCa alone is too
    narrow where nearly every value is 0, Student's t where values are skewed, a percentile
    interval in both cases. Measured: how often the lower bound is above a true mean of 0 (nominal:
    0.025; 20,000 samples, standard error 0.001), for a percentile interval and for this interval.
    Sparse: each of two models has a hit for 0.05 of listeners. Skewed: small wins for 0.4 of
    listeners, large losses for 0.15; very skewed: for 0.2 and 0.05.

        listeners           30            100           300          1,000         3,000
        sparse         0.019 0.008   0.034 0.023   0.028 0.025   0.026 0.024   0.024 0.022
        skewed         0.054 0.033   0.037 0.027   0.031 0.025   0.028 0.026   0.027 0.025
        very skewed    0.190 0.174   0.056 0.037   0.039 0.027   0.034 0.027   0.029 0.026

    Where differences are normal, this interval is wider than a percentile interval by 0.09 with 30
    listeners, 0.04 with 100 and 0.02 with 300 or more; in the cases of the table by at most 0.34,
    0.15, 0.08 and 0.04.

    Args:
        values: float64[listeners, columns], at least one listener, finite. Their unit is kept.
        resamples: the number of resamples, some hundreds at least. Most of the time goes into the
            draws, which all columns of a call share: what is of the same listeners is cheaper in
            one call, and has the same intervals in any.
        progress: counts the listeners of all resamples; one of its own if left out.

    Returns:
        One interval for each column, rounded to `INTERVAL_DECIMALS`. For a single listener both
        bounds are the value itself.
    """
    listeners, columns = values.shape
    steps, step = _on_grid(values)
    mean = steps.mean(axis=1)
    if listeners == 1:
        return _intervals(mean * step, mean * step, mean * step)
    progress = progress or Progress("intervals", resamples * listeners)
    means = np.sort(_resampled_sums(steps, resamples, progress), axis=0) / listeners

    squares, cubes = np.empty(columns), np.empty(columns)
    for column in range(columns):  # a table of their powers would be as large as all values
        centred = steps[column] - mean[column]
        squares[column], cubes[column] = (centred**2).sum(), (centred**3).sum()
    error = np.sqrt(squares / (listeners - 1) / listeners)
    tail = (1 - CONFIDENCE_LEVEL) / 2
    student = special.stdtrit(listeners - 1, 1 - tail)

    # Ties count half: there are many where most values are 0.
    bias = special.ndtri(((means < mean).mean(axis=0) + (means <= mean).mean(axis=0)) / 2)
    # BCa's acceleration of a mean is a sixth of its skewness; a column of equal values has none.
    skew = np.divide(cubes, 6 * squares**1.5, out=np.zeros_like(cubes), where=squares > 0)
    expanded = np.sqrt(listeners / (listeners - 1)) * student
    low, high = (
        _quantiles(means, special.ndtr(bias + (bias + z) / (1 - skew * (bias + z))))
        for z in (-expanded, expanded)
    )
    # The wider bound on each side: each method errs where the other does not.
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

    Without an effect, both signs of a listener's difference are equally likely. All columns see
    the same flips. On recommendations this test keeps its level, while Wilcoxon's test and the sign
    test do not (Ihemelandu and Ekstrand, SIGIR 2023). It assumes symmetry, and errs like Student's
    t where the differences of few listeners are skewed. Measured at a nominal 0.025 on the skewed
    and very skewed cases of `bootstrap`, on the side that errs: 0.051 and 0.124 with 30 listeners,
    0.031 and 0.045 with 300, 0.029 and 0.036 with 1,000.

    Args:
        differences: float64[listeners, columns], finite. A listener outside the group of a column
            has 0 in it, which no sign changes.
        alternative: "less" tests whether the mean is below 0.
        flips: the number of flips.

    Returns:
        float64[columns]: (1 + flips at least as extreme as the observed sum) / (1 + flips).
    """
    steps, _ = _on_grid(differences)
    columns, listeners = steps.shape
    observed = steps.sum(axis=1)
    # Sums that differ by the rounding of decimals only, such as 0.1 + 0.2 and 0.3, are ties.
    slack = 1e-9 * np.abs(steps).sum(axis=1)
    generator = np.random.default_rng(RESAMPLING_SEED)
    progress = Progress("sign flips", flips * listeners)
    extreme = np.zeros(columns, np.int64)
    bytes_per_flip = (listeners + 7) // 8
    rows = _rows(flips, listeners)
    for start in range(0, flips, rows):
        # The last chunk may be shorter.
        drawn = [generator.bytes(bytes_per_flip) for _ in range(min(rows, flips - start))]
        bits = np.frombuffer(b"".join(drawn), np.uint8).reshape(len(drawn), bytes_per_flip)
        positive = np.zeros((len(bits), columns))
        for block in _blocks(listeners, len(bits)):
            packed = bits[:, block.start // 8 : (block.stop + 7) // 8]
            unpacked = np.unpackbits(packed, axis=1, count=block.stop - block.start)
            positive += unpacked.astype(np.float64) @ steps[:, block].T
        # A bit b stands for the sign 2 * b - 1.
        flipped = 2 * positive - observed
        if alternative == "less":
            extreme += (flipped <= observed + slack).sum(axis=0)
        else:
            extreme += (np.abs(flipped) >= np.abs(observed) - slack).sum(axis=0)
        progress.add(len(bits) * listeners)
    return (1 + extreme) / (1 + flips)


def holm(p: Float64s) -> Float64s:
    """P-values corrected so that the chance of any false alarm stays at its level (Holm 1979).

    Args:
        p: float64[m], any order.

    Returns:
        float64[m] in the same order: the i-th smallest p-value times m - i + 1, at least the
        corrected value of the next smaller p-value, at most 1.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)


def smallest_detectable_lift(differences: Float64s) -> float:
    """The true difference that this many listeners would have shown with a probability of `POWER`.

    (z of the level + z of the power) * standard error of the paired difference: the usual formula
    for a sample size, solved for the difference. In the unit of the metric; infinite for fewer than
    two listeners.
    """
    normal = NormalDist()
    z = normal.inv_cdf((1 + CONFIDENCE_LEVEL) / 2) + normal.inv_cdf(POWER)
    if len(differences) < 2:
        return float("inf")
    return float(z * differences.std(ddof=1) / np.sqrt(len(differences)))


def _on_grid(values: Float64s) -> tuple[Float64s, Float64s]:
    """Each column as whole multiples of a power of two, so fine that any sum of rows is exact.

    The sum of any `listeners` rows stays below 2**53 steps. So the result does not depend on the
    order of additions, which the matrix library and its threads choose, and equal sums are equal.

    Returns:
        float64[columns, listeners] of whole numbers, and float64[columns], the value of a step:
        6e-11 for 200,000 listeners with values up to 1.
    """
    columns = np.array(values.T, np.float64, order="C")
    step = np.empty(len(columns))
    for place, column in enumerate(columns):
        _, exponent = np.frexp(np.abs(column).max() * len(column))
        step[place] = np.ldexp(1.0, exponent - 52)
        np.rint(column / step[place], out=column)
    return columns, step


def _resampled_sums(steps: Float64s, resamples: int, progress: Progress) -> Float64s:
    """float64[resamples, columns]: the sum of the listeners of each resample."""
    columns, listeners = steps.shape
    generator = np.random.default_rng(RESAMPLING_SEED)
    sums = np.zeros((resamples, columns))
    # No listener is drawn 65,536 times: below so many draws it cannot be, and above the chance is
    # less than 1 in 10 to the power of 250,000.
    counts = np.empty((_rows(resamples, listeners), listeners), np.uint16)
    for start in range(0, resamples, len(counts)):
        chunk = counts[: resamples - start]
        # How often each listener was drawn; row by row, because a row fits into the cache.
        for row in chunk:
            row[:] = np.bincount(generator.integers(listeners, size=listeners), minlength=listeners)
            progress.add(listeners)
        for block in _blocks(listeners, len(chunk)):
            part = chunk[:, block].astype(np.float64) @ steps[:, block].T
            sums[start : start + len(chunk)] += part
    return sums


def _rows(rows: int, listeners: int) -> int:
    """How many of so many resamples or flips are drawn before they are multiplied."""
    return max(1, min(rows, CHUNK_ROWS, CHUNK_CELLS // listeners))


def _blocks(listeners: int, rows: int) -> Iterator[slice]:
    """The listeners in blocks of as many as fit into the cache; each begins at a multiple of 8."""
    size = max(8, BLOCK_CELLS // rows // 8 * 8)
    for start in range(0, listeners, size):
        yield slice(start, min(start + size, listeners))


def _quantiles(ordered: Float64s, shares: Float64s) -> Float64s:
    """float64[columns]: a quantile of each column, interpolated linearly.

    Args:
        ordered: float64[resamples, columns], each column ascending.
        shares: float64[columns], the share for which the quantile of each column is taken.
    """
    position = shares * (len(ordered) - 1)
    below = np.floor(position).astype(np.intp)
    above = np.ceil(position).astype(np.intp)
    columns = np.arange(ordered.shape[1])
    low, high = ordered[below, columns], ordered[above, columns]
    return low + (high - low) * (position - below)


def _intervals(mean: Float64s, low: Float64s, high: Float64s) -> list[Interval]:
    bounds = np.round([mean, low, high], INTERVAL_DECIMALS)
    return [Interval(*map(float, column)) for column in bounds.T]
