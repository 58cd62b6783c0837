"""Sums over the neighbours of plays, in blocks of listeners."""

import numpy as np
import pytest

from setlist.models.scatter import neighbour_sum
from setlist.models.tf import tf

ITEMS, NEIGHBOURS = 12, 5


@pytest.mark.parametrize("pairs", [1, 40, 4_000_000])
@pytest.mark.parametrize("shape", [(7, 4), (1, 4), (7, 0), (0, 4), (0, 0)])
def test_blocks_sum_what_each_play_gives(monkeypatch, pairs, shape):
    monkeypatch.setattr("setlist.models.scatter.PAIRS", pairs)
    generator = np.random.default_rng(1)
    history = generator.integers(-1, ITEMS, shape).astype(np.int32)
    neighbours = generator.integers(-1, ITEMS, (ITEMS, NEIGHBOURS)).astype(np.int32)
    weights = generator.random((ITEMS, NEIGHBOURS), np.float32)
    expected = np.zeros((len(history), ITEMS))
    for row, codes in zip(expected, history, strict=True):
        for code in codes[codes >= 0]:
            known = neighbours[code] >= 0
            np.add.at(row, neighbours[code][known], weights[code][known])
    graph = tf.function(
        lambda asked: neighbour_sum(asked, neighbours, weights, ITEMS),
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
    )
    np.testing.assert_allclose(graph(history), expected, rtol=1e-5)
