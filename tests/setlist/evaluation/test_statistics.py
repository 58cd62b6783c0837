import itertools
import os
import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from setlist.evaluation import statistics
from setlist.evaluation.statistics import (
    FLIPS,
    RESAMPLES,
    RESAMPLING_SEED,
    Interval,
    bootstrap,
    holm,
    sign_flip,
    smallest_detectable_lift,
)

floats = st.floats(-1, 1, width=32)


def column(values) -> np.ndarray:
    return np.asarray(values, np.float64)[:, None]


def hits(rng: np.random.Generator, shape, share: float, low: float, high: float) -> np.ndarray:
    """Like an accuracy: many zeros, the rest spread; the mean is share * (low + high) / 2."""
    return (rng.random(shape) < share) * rng.uniform(low, high, shape)


def skewed(rng: np.random.Generator, shape) -> np.ndarray:
    return hits(rng, shape, 0.3, 0, 1)


def bounds(values: np.ndarray) -> np.ndarray:
    """float[2, columns]: low and high."""
    return np.array([(interval.low, interval.high) for interval in bootstrap(values)]).T


def expanded(listeners: int) -> float:
    """The share below a resampled quantile that allows for the narrowness of a resample."""
    student = scipy.stats.t.ppf(0.025, listeners - 1)
    return NormalDist().cdf(student * np.sqrt(listeners / (listeners - 1)))


def student_interval(values: np.ndarray) -> tuple[float, float]:
    error = values.std(ddof=1) / np.sqrt(len(values))
    return scipy.stats.t.interval(0.95, len(values) - 1, values.mean(), error)


def enumerated(differences: np.ndarray, alternative: str) -> float:
    """The sign-flip test over all 2**n signs, of whole numbers: sums have no error."""
    signs = np.array(list(itertools.product([-1, 1], repeat=len(differences))))
    sums, observed = signs @ differences, differences.sum()
    if alternative == "less":
        return float(np.mean(sums <= observed))
    return float(np.mean(abs(sums) >= abs(observed)))


# The interval


def test_the_definition():
    """Resample by resample, and BCa's acceleration from leaving out one listener at a time."""
    values = hits(np.random.default_rng(4), (120, 2), 0.3, 0.1, 1)
    values[:, 1] *= -1
    generator = np.random.default_rng(RESAMPLING_SEED)
    means = np.array(
        [values[generator.integers(120, size=120)].mean(axis=0) for _ in range(RESAMPLES)]
    )
    normal = NormalDist()
    for place, interval in enumerate(bootstrap(values)):
        one = values[:, place]
        without = (one.sum() - one) / 119
        apart = without.mean() - without
        acceleration = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
        bias = normal.inv_cdf(np.mean(means[:, place] < one.mean()))
        low, high = (
            np.quantile(
                means[:, place],
                normal.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))),
            )
            for z in (normal.inv_cdf(expanded(120)), -normal.inv_cdf(expanded(120)))
        )
        student = student_interval(one)
        assert interval.mean == pytest.approx(one.mean())
        assert interval.low == pytest.approx(min(low, student[0]), abs=1e-8)
        assert interval.high == pytest.approx(max(high, student[1]), abs=1e-8)


def test_other_software_agrees():
    """scipy's BCa draws other resamples: the bounds differ by the error of a quantile of them."""
    values = hits(np.random.default_rng(5), 80, 0.2, 0.1, 1)
    bca = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=20_000,
        confidence_level=1 - 2 * expanded(80),
        rng=np.random.default_rng(6),
    ).confidence_interval
    student = student_interval(values)
    interval = bootstrap(column(values), 20_000)[0]
    width = interval.high - interval.low
    assert interval.low == pytest.approx(min(bca.low, student[0]), abs=0.03 * width)
    assert interval.high == pytest.approx(max(bca.high, student[1]), abs=0.03 * width)
    # What was compared is Student's t below and BCa above.
    assert student[0] < bca.low - 0.03 * width
    assert student[1] < bca.high - 0.03 * width


def test_normal_theory():
    values = np.random.default_rng(8).normal(3, 2, (20_000, 3))
    errors = 2 / np.sqrt(20_000)
    low, high = bounds(values)
    assert low == pytest.approx(values.mean(axis=0) - 1.96 * errors, abs=0.15 * errors)
    assert high == pytest.approx(values.mean(axis=0) + 1.96 * errors, abs=0.15 * errors)


def test_coverage():
    """Of 2,000 samples, 1,900 intervals are expected to hold the mean, with a deviation of 10."""
    low, high = bounds(skewed(np.random.default_rng(20), (200, 2_000)))
    assert 0.94 <= np.mean((low <= 0.15) & (high >= 0.15)) <= 0.965


def false_wins(differences: np.ndarray) -> tuple[float, float]:
    """Of columns whose true mean is 0, how many seem better: by ours, by the percentiles alone."""
    draws = np.random.default_rng(1).integers(len(differences), size=(RESAMPLES, len(differences)))
    weights = np.array([np.bincount(draw, minlength=len(differences)) for draw in draws])
    percentile = np.quantile(weights @ differences / len(differences), 0.025, axis=0)
    return np.mean(bounds(differences)[0] > 1e-9), np.mean(percentile > 1e-9)


def test_few_listeners_with_a_hit_are_not_taken_for_a_win():
    """.025 of 4,000 samples, with a deviation of .0025; nine of ten differences are 0."""
    rng = np.random.default_rng(21)
    ours, percentile = false_wins(
        hits(rng, (100, 4_000), 0.05, 0.2, 1) - hits(rng, (100, 4_000), 0.05, 0.2, 1)
    )
    assert ours <= 0.03 < percentile


def test_rare_large_losses_are_not_taken_for_a_win():
    """Small wins for .4 of listeners, large losses for .15: Student's t errs upwards too."""
    rng = np.random.default_rng(22)
    differences = hits(rng, (100, 4_000), 0.4, 0.1, 0.5) - hits(rng, (100, 4_000), 0.15, 0.6, 1)
    ours, percentile = false_wins(differences)
    student = scipy.stats.ttest_1samp(differences, 0, alternative="greater").pvalue <= 0.025
    assert ours <= 0.031 < percentile
    assert student.mean() > 0.031


@settings(max_examples=30)
@given(st.lists(floats, min_size=1, max_size=40))
def test_the_mean_is_inside(values):
    interval = bootstrap(column(values))[0]
    assert interval.low <= interval.mean <= interval.high
    assert np.isfinite([interval.low, interval.high]).all()


def test_more_listeners_narrow_it():
    values = np.random.default_rng(5).normal(0, 1, 400)
    few, many = (bootstrap(column(np.tile(values, times)))[0] for times in (1, 16))
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(1 / 4, rel=0.1)


def test_constant_values_leave_no_doubt():
    assert bootstrap(np.full((40, 1), 0.25)) == [Interval(0.25, 0.25, 0.25)]
    assert bootstrap(np.full((1, 1), 0.25)) == [Interval(0.25, 0.25, 0.25)]
    assert bootstrap(np.zeros((40, 1))) == [Interval(0, 0, 0)]


def test_columns_stay_paired():
    """Two models that differ by a constant for every listener differ by it in every resample."""
    values = skewed(np.random.default_rng(6), 200)
    ours, theirs, difference, mirrored = bootstrap(
        np.column_stack([values + 0.5, values, (values + 0.5) - values, -values])
    )
    assert ours.low - theirs.low == pytest.approx(0.5)
    assert (difference.low, difference.high) == pytest.approx((0.5, 0.5))
    assert (mirrored.low, mirrored.high) == pytest.approx((-theirs.high, -theirs.low))
    assert bootstrap(column(values)) == [theirs]


def test_the_unit_does_not_matter():
    """Ten of 200 have a hit: many resampled means tie with the mean, whatever a tenth is."""
    hundreds = np.repeat([100.0, 0], [10, 190])
    small, large = bootstrap(np.column_stack([hundreds / 1000, hundreds]))
    assert large.low == pytest.approx(1000 * small.low)
    assert large.high == pytest.approx(1000 * small.high)


# The sign-flip test


@pytest.mark.parametrize("alternative", ["two-sided", "less"])
def test_sign_flip_by_enumeration(alternative):
    """Within four deviations of 10,000 flips; whole numbers have many ties, and zeros."""
    differences = np.random.default_rng(10).integers(-3, 3, (10, 12))
    differences[5:, 0] = 0
    exact = [enumerated(one, alternative) for one in differences.T]
    deviation = np.sqrt(np.multiply(exact, np.subtract(1, exact)) / FLIPS)
    off = np.abs(sign_flip(differences.astype(float), alternative) - exact)
    assert len(set(exact)) > 5
    assert (off <= 4 * deviation + 1 / FLIPS).all()


def test_sign_flip_by_hand():
    # Of the 8 signs of 1, 2, 3 only +++ and --- reach 6, only --- reaches -6.
    both = np.column_stack([[1.0, 2, 3], [-1.0, -2, -3]])
    assert sign_flip(both) == pytest.approx([2 / 8, 2 / 8], abs=0.02)
    assert sign_flip(both, "less") == pytest.approx([1, 1 / 8], abs=0.02)
    assert sign_flip(both, "less")[0] == 1


def test_sign_flip_of_no_difference_is_certain_of_nothing():
    assert sign_flip(np.zeros((50, 2))).tolist() == [1, 1]
    assert sign_flip(np.zeros((50, 2)), "less").tolist() == [1, 1]


def test_sign_flip_is_never_zero():
    assert sign_flip(-np.ones((200, 1)), "less") == pytest.approx(1 / (1 + FLIPS))
    assert sign_flip(np.ones((200, 1)), flips=99) == pytest.approx(1 / 100)


def test_sign_flip_knows_a_tie_of_decimals():
    """.1 + .2 - .3 is not 0 for a computer."""
    whole = np.random.default_rng(11).integers(-6, 7, (30, 40)).astype(float)
    whole[:, 0] = [1, 2, -3] * 10
    for alternative in ("two-sided", "less"):
        tenths, ones = (sign_flip(of, alternative, 2_000) for of in (whole / 10, whole))
        assert tenths.tolist() == ones.tolist()
    assert sign_flip(whole / 10, flips=2_000)[0] == 1


def test_sign_flip_keeps_its_level():
    """.05 of 4,000 samples without an effect, with a deviation of .0034; most values are 0."""
    rng = np.random.default_rng(12)
    differences = skewed(rng, (60, 4_000)) - skewed(rng, (60, 4_000))
    assert np.mean(sign_flip(differences, flips=2_000) <= 0.05) == pytest.approx(0.05, abs=0.011)
    less = np.mean(sign_flip(differences, "less", flips=2_000) <= 0.05)
    assert less == pytest.approx(0.05, abs=0.011)


def test_sign_flip_sees_an_effect():
    worse = np.random.default_rng(13).normal(-0.4, 1, (100, 50))
    assert np.mean(sign_flip(worse, "less") <= 0.05) > 0.9
    assert np.mean(sign_flip(worse) <= 0.05) > 0.9
    assert (sign_flip(-worse, "less") > 0.5).all()


def test_sign_flip_ignores_listeners_outside_of_a_group():
    """Their zeros shift which bits the others see, not the law of the flips."""
    group = np.random.default_rng(14).normal(0.2, 1, (40, 20))
    with_others = np.insert(group, np.repeat(np.arange(40), 3), 0, axis=0)
    assert sign_flip(with_others) == pytest.approx(sign_flip(group), abs=0.025)


# Holm


def test_holm_by_hand():
    # .005 * 4 = .02, .01 * 3 = .03, .03 * 2 = .06, and .04 * 1 may not be below .06.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.5])).tolist() == [1, 1]
    assert holm(np.array([0.02])).tolist() == [0.02]
    assert holm(np.empty(0)).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(values):
    p = np.array(values)
    adjusted = holm(p)
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert (p <= adjusted).all()
    assert (adjusted <= np.minimum(1, len(p) * p)).all()


def test_holm_keeps_the_chance_of_any_false_alarm():
    """.05 of 4,000 families, with a deviation of .0034, where .40 is the rate without it."""
    families = np.random.default_rng(15).random((4_000, 10))
    assert np.mean([holm(p).min() <= 0.05 for p in families]) == pytest.approx(0.05, abs=0.011)


# The same figures everywhere


def test_the_order_of_columns_does_not_matter():
    values = np.random.default_rng(16).normal(0.1, 1, (300, 5))
    order = [3, 0, 4, 2, 1]
    assert bootstrap(values[:, order]) == [bootstrap(values)[place] for place in order]
    assert sign_flip(values[:, order]).tolist() == sign_flip(values)[order].tolist()


def test_the_size_of_chunks_does_not_matter(monkeypatch):
    values = np.random.default_rng(17).normal(0.1, 1, (301, 3))
    intervals, p = bootstrap(values), sign_flip(values)
    monkeypatch.setattr(statistics, "CHUNK_CELLS", 301 * 7)
    assert bootstrap(values) == intervals
    assert sign_flip(values).tolist() == p.tolist()


def test_neither_the_process_nor_its_threads_matter():
    program = (
        "import numpy as np\n"
        "from setlist.evaluation.statistics import bootstrap, sign_flip\n"
        "values = np.random.default_rng(18).normal(0.01, 1, (5_000, 7))\n"
        "print(bootstrap(values), sign_flip(values, flips=2_000).tolist())\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "4")
    }
    assert len(said) == 1
    assert "Interval" in said.pop()


def test_sums_are_exact():
    """Any order of the same listeners, in any company, has the same mean to the last bit."""
    rng = np.random.default_rng(19)
    values = rng.normal(0, 1e6, (10_000, 1))
    assert len({bootstrap(rng.permutation(values), 200)[0].mean for _ in range(20)}) == 1


# The smallest detectable lift


def test_smallest_detectable_lift_by_hand():
    # 50 times -1 and 50 times 1: the mean is 0, the variance 100 / 99, the standard error
    # sqrt(100 / 99) / 10 = .100504, and 1.959964 + .841621 = 2.801585 of them are .281570.
    assert smallest_detectable_lift(np.array([-1.0, 1.0] * 50)) == pytest.approx(0.281570, abs=1e-6)


def test_smallest_detectable_lift_of_certainty_and_of_nobody():
    assert smallest_detectable_lift(np.full(40, 0.25)) == 0
    assert smallest_detectable_lift(np.array([0.25])) == float("inf")


def test_smallest_detectable_lift_is_detected_four_times_of_five():
    """Of 2,000 samples, 1,600 are expected above 0, with a deviation of 18."""
    rng = np.random.default_rng(7)
    lift = smallest_detectable_lift(rng.normal(0, 0.2, 20_000)) * np.sqrt(20_000 / 150)
    low, _ = bounds(rng.normal(lift, 0.2, (150, 2_000)))
    assert 0.76 <= np.mean(low > 0) <= 0.83
