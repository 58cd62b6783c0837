from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from setlist.evaluation import tag_similarity
from setlist.evaluation.tag_similarity import TagSimilarity

WAYS = ("counts", "pairs")


def jaccard(one, other) -> float:
    either = (one | other).sum()
    return (one & other).sum() / either if either else 0.0


def within(tags, top, way):
    made = TagSimilarity(csr_array(tags))
    sums = made._over_pairs(top) if way == "pairs" else made._over_counts(top, *made._subsets)
    tagged = np.append(tags.any(axis=1), [False, False])
    return (sums - tagged[top].sum(axis=1)) / 2


@pytest.mark.parametrize(("one", "other", "both"), [(1, 1, 1), (3, 2, 1), (3, 4, 2), (5, 5, 5)])
def test_shared_subsets_sum_to_the_jaccard_index(one, other, both):
    total = sum(comb(both, size) / comb(one + other - 1, size) for size in range(1, both + 1))
    assert total == pytest.approx(both / (one + other - both))


@pytest.mark.parametrize("way", WAYS)
def test_by_hand(way):
    #   0: x   1: x y   2: y z   3: nothing
    tags = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0]], np.bool_)
    top = np.array([[0, 1, 2, 3], [3, -1, -2, 0], [2, 1, -1, -1]], np.int32)
    # 0-1: 1/2, 1-2: 1/3, the rest nothing.
    np.testing.assert_allclose(within(tags, top, way), [5 / 6, 0, 1 / 3], atol=1e-6)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(1, 7), st.integers(0, 9))
def test_all_ways_are_the_sum_over_pairs(seed, kinds, items, k):
    rng = np.random.default_rng(seed)
    tags = rng.random((items, kinds)) < 0.5
    drawn = [rng.permutation(np.arange(-2, items))[:k] for _ in range(4)]
    top = np.array(drawn, np.int32).reshape(4, -1)
    expected = [
        sum(jaccard(tags[a], tags[b]) for a, b in combinations(row[row >= 0], 2)) for row in top
    ]
    for way in WAYS:
        np.testing.assert_allclose(within(tags, top, way), expected, atol=1e-5, err_msg=way)
    np.testing.assert_allclose(
        TagSimilarity(csr_array(tags)).sum_within_lists(top), expected, atol=1e-5
    )


@pytest.mark.parametrize("most", [2**16, 0])
@pytest.mark.parametrize("cells", [2**17, 8])  # one block, and many
def test_across_is_the_sum_over_the_list(monkeypatch, most, cells):
    monkeypatch.setattr(tag_similarity, "MAX_SUBSETS", most)
    monkeypatch.setattr(tag_similarity, "BLOCK_CELLS", cells)
    rng = np.random.default_rng(0)
    tags = rng.random((40, 6)) < 0.4
    lists = [rng.permutation(40)[: rng.integers(0, 9)] for _ in range(30)]
    ends = np.cumsum([0, *map(len, lists)])
    codes = np.concatenate(lists).astype(np.int32)
    rows = np.sort(rng.integers(0, 30, 50))
    items = rng.integers(0, 40, 50).astype(np.int32)
    expected = [
        sum(jaccard(tags[item], tags[other]) for other in lists[row])
        for row, item in zip(rows, items, strict=True)
    ]
    made = TagSimilarity(csr_array(tags))
    found = made.sum_against_lists(rows, items, ends, codes)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert TagSimilarity(csr_array(tags)).sum_against_lists(
        rows[:0], items[:0], ends, codes
    ).shape == (0,)


def test_items_of_many_tags_are_compared_pair_by_pair():
    tags = np.ones((3, 40), np.bool_)  # 2^40 subsets
    tags[1, :20] = False
    np.testing.assert_allclose(
        TagSimilarity(csr_array(tags)).sum_within_lists(np.array([[0, 1, 2]], np.int32)), [2.0]
    )


@pytest.mark.parametrize("way", WAYS)
def test_lists_of_more_than_a_block_are_each_as_if_alone(way):
    rng = np.random.default_rng(0)
    tags = rng.random((300, 8)) < 0.3
    top = rng.permuted(np.tile(np.arange(300), (5_000, 1)), axis=1)[:, :30].astype(np.int32)
    found = within(tags, top, way)
    np.testing.assert_allclose(found[-2:], within(tags, top[-2:], way), rtol=1e-6)
    np.testing.assert_allclose(found[:2], within(tags, top[:2], way), rtol=1e-6)
