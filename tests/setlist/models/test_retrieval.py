"""Pruned retrieval against a plain sort of all scores."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setlist.models import retrieval

NOTHING = np.zeros(0, np.int32)


def naive(users, items, k, offsets, exclude):
    """The same by sorting everything."""
    codes = np.full((len(users), k), -1)
    scores = np.full((len(users), k), -np.inf, np.float32)
    for row, user in enumerate(users):
        own = items @ user
        out = exclude[offsets[row] : offsets[row + 1]]
        left = np.setdiff1d(np.arange(len(items)), out)
        order = left[np.argsort(-own[left], kind="stable")][:k]
        codes[row, : len(order)] = order
        scores[row, : len(order)] = own[order]
    return codes, scores


@st.composite
def questions(draw):
    """Vectors of small whole numbers: their products are exact, and full of ties."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    users, items, dimension = (draw(st.integers(*bounds)) for bounds in ((0, 9), (0, 60), (1, 4)))
    largest = draw(st.integers(0, 3))
    vectors = [
        generator.integers(-largest, largest + 1, (count, dimension)).astype(np.float32)
        for count in (users, items)
    ]
    lengths = generator.integers(0, items + 1, users) * draw(st.integers(0, 1))
    exclude = [generator.permutation(items)[:length] for length in lengths]
    codes = np.concatenate([np.zeros(0), *exclude]).astype(np.int32)
    codes[generator.random(len(codes)) < 0.1] = -1
    return *vectors, draw(st.integers(0, 70)), np.cumsum([0, *lengths]), codes


@settings(max_examples=300)
@given(
    questions(), st.sampled_from([(256, 2**25, 2**20), (256, 100, 30), (3, 2**25, 30), (1, 1, 1)])
)
def test_finds_what_a_sort_of_everything_finds(question, memory):
    rows, block, part = memory
    sizes = {"BLOCK_ROWS": rows, "BLOCK_SCORES": block, "PART_SCORES": part}
    with mock.patch.multiple(retrieval, **sizes):
        codes, scores = retrieval.top(*question)
    expected = naive(*question)
    np.testing.assert_array_equal(codes, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


def test_finds_it_in_a_large_catalogue():
    generator = np.random.default_rng(5)
    users, items = (generator.normal(size=(count, 16)).astype(np.float32) for count in (40, 7001))
    exclude = np.concatenate([generator.permutation(7001)[:100] for _ in users]).astype(np.int32)
    question = users, items, 100, np.arange(41) * 100, exclude
    codes, scores = retrieval.top(*question)
    expected = naive(*question)
    np.testing.assert_allclose(scores, expected[1], atol=1e-4)
    assert (codes == expected[0]).mean() > 0.99
    assert not any(
        np.isin(codes[row], exclude[row * 100 : row * 100 + 100]).any() for row in range(40)
    )


def test_signed_zeros_are_equal():
    items = np.array([[-0.0], [0.0], [-0.0]], np.float32)
    codes, _ = retrieval.top(np.ones((1, 1), np.float32), items, 3, np.zeros(2, np.int64), NOTHING)
    assert codes.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("where", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_an_error(where, value):
    vectors = [np.ones((3, 2), np.float32), np.ones((5, 2), np.float32)]
    vectors[where][2, 1] = value
    with pytest.raises(ValueError, match="contain NaN"):
        retrieval.top(*vectors, 2, np.zeros(4, np.int64), NOTHING)


def test_a_score_that_becomes_nan_is_an_error():
    users = np.array([[1e30, 1e30]], np.float32)
    items = np.array([[1, 1], [1e30, -1e30]], np.float32)
    with pytest.raises(ValueError, match="contain NaN"):
        retrieval.top(users, items, 1, np.zeros(2, np.int64), NOTHING)
