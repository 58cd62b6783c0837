"""The start of the towers finds the blocks that are there."""

import numpy as np
from scipy import sparse

from setlist.models.two_tower.initialization import VECTOR_SCALE, spectral


def blocks() -> sparse.csr_array:
    """Two groups of listeners, each with its own half of 20 items, and some noise."""
    generator = np.random.default_rng(1)
    listeners, items = np.arange(60)[:, None] % 2, np.arange(20) % 2
    own = generator.random((60, 20)) < np.where(listeners == items, 0.7, 0.05)
    return sparse.csr_array(own.astype(np.float32))


def test_items_of_a_block_are_alike():
    vectors = spectral(blocks(), 4, np.random.default_rng(2))
    assert vectors.shape == (20, 4)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = (vectors / lengths) @ (vectors / lengths).T
    same = np.arange(20)[:, None] % 2 == np.arange(20) % 2
    assert cosine[same & ~np.eye(20, dtype=bool)].mean() > cosine[~same].mean() + 0.3


def test_it_agrees_with_the_full_decomposition():
    plays = blocks()
    vectors = spectral(plays, 3, np.random.default_rng(2))
    table = plays.toarray()
    scaled = table / np.sqrt(table.sum(axis=1, keepdims=True)) / np.sqrt(table.sum(axis=0))
    _, _, exact = np.linalg.svd(scaled, full_matrices=False)
    expected = exact[:3].T * np.sqrt(20) * VECTOR_SCALE
    signs = np.sign((vectors * expected).sum(axis=0))
    np.testing.assert_allclose(vectors * signs, expected, atol=5e-3)


def test_directions_that_are_not_there_are_zero():
    few = sparse.csr_array(np.eye(3, 5, dtype=np.float32))
    vectors = spectral(few, 8, np.random.default_rng(0))
    assert vectors.shape == (5, 8)
    assert (vectors[:, 3:] == 0).all()
    assert np.isfinite(vectors).all()
