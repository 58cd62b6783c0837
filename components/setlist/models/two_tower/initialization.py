"""Where the towers begin: at the directions in which listeners differ, or at the live model.

`spectral` is the start without a live model. A warm start takes the vectors of the live model,
matched by the names of items, tags and input values.
"""

from pathlib import Path

import numpy as np
from scipy import sparse

from setlist.arrays import Float32s
from setlist.errors import SetlistError
from setlist.models.settings import ModelSettings
from setlist.models.two_tower.network import ItemStart, UserTower, with_any
from setlist.models.two_tower.saved_towers import SavedTowers

SUBSPACE_ROUNDS, SPARE_DIRECTIONS = 4, 10
"""Rounds of the subspace iteration, and how many directions it carries beyond those asked for."""
# Chosen on MovieLens-1M and the bundled sample.
VECTOR_SCALE = 0.1
"""Root mean square of the coordinates that the vectors start with."""


def read_former(live: Path, settings: ModelSettings) -> SavedTowers | None:
    """The towers of the live model, or None where this training cannot start from them.

    Says which, so that nobody takes a cold start for a warm one.
    """
    try:
        former = SavedTowers.read(live)
    except SetlistError as fault:
        print(f"cold start: {fault}", flush=True)
        return None
    if settings.dimension not in (None, former.dimension):
        print(
            f"cold start: the live model has {former.dimension} dimensions, model.dimension is "
            f"{settings.dimension}",
            flush=True,
        )
        return None
    print(f"warm start from the model of {former.window.cutoff:%Y-%m-%d}", flush=True)
    return former


def item_start(
    former: SavedTowers, catalogue: list[str], tags: list[str], weights: Float32s, plays: Float32s
) -> ItemStart:
    """The items and tags that the former model knows, as it knew them.

    An item that it does not know starts where its tags place it, with the popularity it has now; a
    tag that it does not know starts at 0.

    Args:
        former: the trained model.
        catalogue: the ids.
        tags: the names of the tags.
        weights: float32[items, tags], of each item's tags.
        plays: float32[items].
    """
    known_tags = [*former.tags, ""]  # the last one is the tag that all items share
    tag_embedding = matched(known_tags, former.weights["tag_embedding"], [*tags, ""])
    tag_bias = matched(known_tags, former.weights["tag_bias"], [*tags, ""])
    popularity = np.log(plays + 1) - np.log(plays + 1).mean()
    bias = (popularity - with_any(weights) @ tag_bias) * (plays > 0)
    old = np.isin(catalogue, former.catalogue)
    item_bias = matched(former.catalogue, former.weights["item_bias"], catalogue)
    return ItemStart(
        item_embedding=matched(former.catalogue, former.weights["item_embedding"], catalogue),
        item_bias=np.where(old, item_bias, bias).astype(np.float32),
        tag_embedding=tag_embedding,
        tag_bias=tag_bias,
    )


def start_user_tower(
    tower: UserTower, former: SavedTowers, vocabularies: dict[str, list[str]]
) -> None:
    """Give a user tower the former one's weights; a value that it does not know starts at 0."""
    for name in UserTower.SHARED:
        getattr(tower, name).assign(former.weights[name])
    names = list(former.vocabularies)
    for variable, (name, values) in zip(tower.input_embeddings, vocabularies.items(), strict=True):
        if name in former.vocabularies:
            table = former.weights[f"input_{names.index(name)}"]
            # The last row is for a value that is not known, which is the name "" here.
            known = [*former.vocabularies[name], ""]
            variable.assign(matched(known, table, [*values, ""]))


def matched(known: list[str], values: Float32s, names: list[str]) -> Float32s:
    """The rows of `values` for the names, 0 for a name that is not among the known."""
    code = {name: place for place, name in enumerate(known)}
    rows = np.zeros((len(names), *values.shape[1:]), np.float32)
    for place, name in enumerate(names):
        if name in code:
            rows[place] = values[code[name]]
    return rows


def spectral(plays: sparse.csr_array, dimension: int, generator: np.random.Generator) -> Float32s:
    """A start that costs no training: float32[items, dimension], a vector for each item.

    The truncated singular value decomposition of the matrix of plays, each entry divided by the
    square roots of the sums of its row and its column, by subspace iteration (Halko, Martinsson and
    Tropp 2011). From this start a few epochs are enough; from random numbers it takes several times
    as many.

    Args:
        plays: float32[listeners, items], 1 where the listener played the item.
        dimension: of the vectors; directions that the plays do not have are 0.
        generator: of the first subspace.
    """
    size = plays.shape[1]
    rows, columns = (np.maximum(plays.sum(axis=axis), 1) ** -0.5 for axis in (1, 0))
    scaled = sparse.csr_array(plays.multiply(rows[:, None]).multiply(columns))
    rank = min(dimension + SPARE_DIRECTIONS, *plays.shape)
    basis = generator.normal(size=(size, rank)).astype(np.float32)
    for _ in range(SUBSPACE_ROUNDS):
        basis, _ = np.linalg.qr(scaled.T @ (scaled @ basis))
    _, _, turned = np.linalg.svd(scaled @ basis, full_matrices=False)
    vectors = (basis @ turned.T)[:, :dimension] * np.sqrt(size) * VECTOR_SCALE
    return np.pad(vectors, [(0, 0), (0, dimension - vectors.shape[1])]).astype(np.float32)
