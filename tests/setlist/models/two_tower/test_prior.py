"""The prior, by hand and recovered from plays that were drawn from it."""

import numpy as np
import pytest

from setlist.models.two_tower.prior import (
    DOUBTING_LISTENERS,
    FRESH_DAYS,
    SMOOTHING_PLAYS,
    Prior,
    fit,
    freshness,
    recency,
)


def test_features_by_hand():
    # Item 0 is played now and one half-life ago, item 1 twice two half-lives ago, item 2 never.
    items = np.array([0, 0, 1, 1], np.int32)
    ages = np.array([0, 7, 14, 14], np.float32)
    recent = np.array([1.5, 0.5, 0]) * 4 / 2
    plays = np.array([2, 2, 0])
    expected = np.log((recent + SMOOTHING_PLAYS) / (plays + SMOOTHING_PLAYS))
    found = recency(items, ages, 3, [7])
    np.testing.assert_allclose(found, expected[:, None])
    assert found[2, 0] == 0


def test_a_half_life_each_is_a_column_each():
    items, ages = np.array([0, 1], np.int32), np.array([1, 100], np.float32)
    assert recency(items, ages, 2, [3, 30, 90]).shape == (2, 3)


def test_no_plays_are_no_opinion():
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    assert (recency(*none, 4, [3]) == 0).all()


def test_freshness_by_hand():
    """Released today, a week ago, at an unknown time, in a week; the last two were not played."""
    days = np.array([0.0, 7.0, np.nan, -7.0])
    found = freshness(days, np.array([True, True, False, False]))
    week, month = FRESH_DAYS
    expected = [[1, 1, 0], [0.5, 0.5 ** (7 / month), 0], [0, 0, 1], [0, 0, 1]]
    assert week == 7
    np.testing.assert_allclose(found, expected)
    recency = np.array([[1, 0], [2, 0], [3, 0], [4, 0]], np.float32)
    prior = Prior(recency, np.array([[10.0, 0.0], [0.0, 0.0], [-1.0, 1.0]]))
    np.testing.assert_allclose(prior.at(days, found[:, 2] == 0), [[11, 0], [7, 0], [2, 1], [3, 1]])


def test_the_betas_are_recovered():
    generator = np.random.default_rng(1)
    listeners, size, plays = 2_000, 40, 20
    features = generator.normal(size=(size, 2))
    scores = generator.normal(size=(listeners, size))
    scores[:, 7] = -np.inf
    logits = scores + features @ [0.8, -0.3]
    drawn = (logits[:, None, :] + generator.gumbel(size=(listeners, plays, size))).argmax(axis=2)
    weights = np.full(listeners * plays, 1 / plays, np.float32)
    beta = fit(scores, features, drawn.ravel().astype(np.int32), weights)
    np.testing.assert_allclose(beta, [0.8, -0.3], atol=0.03)


def test_few_listeners_are_doubted():
    """The same evidence from a tenth of so many listeners moves the prior much less."""
    features = np.array([[1.0], [0.0]])
    targets, betas = np.zeros(1, np.int32), []
    for listeners in (1, 1_000):
        beta = fit(
            np.zeros((listeners, 2)),
            features,
            np.repeat(targets, listeners),
            np.ones(listeners, np.float32),
        )
        betas.append(beta[0])
    assert 0 < betas[0] < 0.1 < betas[1]
    # By hand: the gradient 1 / (1 + e^-b) - 1 + DOUBTING_LISTENERS b is 0.
    assert 1 / (1 + np.exp(-betas[0])) - 1 + DOUBTING_LISTENERS * betas[0] == pytest.approx(
        0, abs=1e-9
    )
