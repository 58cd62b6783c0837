import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluation.statistics import (
    RESAMPLES,
    SEED,
    Interval,
    bootstrap,
    smallest_detectable_lift,
)

floats = st.floats(-1, 1, width=32)


def column(values) -> np.ndarray:
    return np.asarray(values, np.float64)[:, None]


def skewed(rng: np.random.Generator, listeners: int) -> np.ndarray:
    """Like an accuracy: many zeros, the rest spread; the mean is .3 * .5."""
    return (rng.random(listeners) < 0.3) * rng.random(listeners)


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(3).random((500, 3))
    assert bootstrap(values) == bootstrap(values.copy())


def test_the_definition():
    """Means of whole resamples; 3,000 listeners are more than one block of draws."""
    values = np.random.default_rng(4).random((3_000, 2))
    generator = np.random.default_rng(SEED)
    means = np.array(
        [
            values[generator.integers(len(values), size=len(values))].mean(axis=0)
            for _ in range(RESAMPLES)
        ]
    )
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    for place, interval in enumerate(bootstrap(values)):
        assert interval.mean == pytest.approx(values[:, place].mean())
        assert (interval.low, interval.high) == pytest.approx((low[place], high[place]))


def test_coverage():
    """Of 300 samples, 285 intervals are expected to hold the mean, with a deviation of 3.8."""
    rng = np.random.default_rng(20)
    held = [
        interval.low <= 0.15 <= interval.high
        for _ in range(300)
        for interval in bootstrap(column(skewed(rng, 200)))
    ]
    assert 0.91 <= np.mean(held) <= 0.985


@settings(max_examples=30, deadline=None)
@given(st.lists(floats, min_size=1, max_size=40))
def test_between_the_extremes(values):
    interval = bootstrap(column(values))[0]
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_is_inside(seed):
    interval = bootstrap(column(skewed(np.random.default_rng(seed), 300)))[0]
    assert interval.low < interval.mean < interval.high


def test_more_listeners_narrow_it():
    values = skewed(np.random.default_rng(5), 100)
    few, many = (bootstrap(column(np.tile(values, times)))[0] for times in (1, 16))
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(1 / 4, rel=0.1)


def test_constant_values_leave_no_doubt():
    assert bootstrap(np.full((40, 1), 0.25)) == [Interval(0.25, 0.25, 0.25)]
    assert bootstrap(np.full((1, 1), 0.25)) == [Interval(0.25, 0.25, 0.25)]


def test_columns_stay_paired():
    """Two models that differ by a constant for every listener differ by it in every resample."""
    values = skewed(np.random.default_rng(6), 200)
    ours, theirs, difference, mirrored = bootstrap(
        np.column_stack([values + 0.5, values, (values + 0.5) - values, -values])
    )
    assert ours.low - theirs.low == pytest.approx(0.5)
    assert (difference.low, difference.high) == pytest.approx((0.5, 0.5))
    assert (mirrored.low, mirrored.high) == pytest.approx((-theirs.high, -theirs.low))
    alone = bootstrap(column(values))[0]
    assert (alone.low, alone.high) == pytest.approx((theirs.low, theirs.high))


def test_smallest_detectable_lift_by_hand():
    # 50 times -1 and 50 times 1: the mean is 0, the variance 100 / 99, the standard error
    # sqrt(100 / 99) / 10 = .100504, and 1.959964 + .841621 = 2.801585 of them are .281570.
    assert smallest_detectable_lift(np.array([-1.0, 1.0] * 50)) == pytest.approx(0.281570, abs=1e-6)


def test_smallest_detectable_lift_of_certainty_and_of_nobody():
    assert smallest_detectable_lift(np.full(40, 0.25)) == 0
    assert smallest_detectable_lift(np.array([0.25])) == float("inf")


def test_smallest_detectable_lift_is_detected_four_times_of_five():
    """Of 300 samples with that very lift, 240 are expected above 0, with a deviation of 6.9."""
    rng = np.random.default_rng(7)
    lift = smallest_detectable_lift(rng.normal(0, 0.2, 20_000)) * np.sqrt(20_000 / 150)
    seen = [bootstrap(column(rng.normal(lift, 0.2, 150)))[0].low > 0 for _ in range(300)]
    assert 0.72 <= np.mean(seen) <= 0.88
