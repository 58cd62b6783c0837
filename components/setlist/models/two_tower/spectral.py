"""A start for the towers that costs no training: the directions in which listeners differ.

The truncated singular value decomposition of the matrix of plays, each entry divided by the square
roots of its row's and its column's sum, by subspace iteration (Halko, Martinsson and Tropp 2011).
From there a few epochs are enough; from random numbers it takes several times as many.
"""

import numpy as np
from scipy import sparse

from setlist.arrays import Float32s

ROUNDS, SPARE = 4, 10
SCALE = 0.1
"""Root mean square of the coordinates that the vectors start with."""


def spectral(plays: sparse.csr_array, dimension: int, generator: np.random.Generator) -> Float32s:
    """float32[items, dimension]: a vector for each item.

    Args:
        plays: float32[listeners, items], 1 where the listener played the item.
        dimension: of the vectors; directions that the plays do not have are 0.
        generator: of the first subspace.
    """
    size = plays.shape[1]
    rows, columns = (np.maximum(plays.sum(axis=axis), 1) ** -0.5 for axis in (1, 0))
    scaled = sparse.csr_array(plays.multiply(rows[:, None]).multiply(columns))
    rank = min(dimension + SPARE, *plays.shape)
    basis = generator.normal(size=(size, rank)).astype(np.float32)
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(scaled.T @ (scaled @ basis))
    _, _, turned = np.linalg.svd(scaled @ basis, full_matrices=False)
    found = (basis @ turned.T)[:, :dimension] * np.sqrt(size) * SCALE
    return np.pad(found, [(0, 0), (0, dimension - found.shape[1])]).astype(np.float32)
