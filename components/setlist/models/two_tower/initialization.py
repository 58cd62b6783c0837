"""Where the towers begin: at the best learner, or at the live model.

A warm start takes the vectors of the live model, matched by the names of items, tags and input
values.
"""

from pathlib import Path

import numpy as np
from scipy import sparse

from setlist.arrays import Float32s, Int32s
from setlist.errors import SetlistError
from setlist.models.settings import ModelSettings
from setlist.models.two_tower.network import ItemStart, UserTower, with_any
from setlist.models.two_tower.saved_towers import SavedTowers

RIDGE = 1e-3
"""Of the covariance, as a share of its mean diagonal: it may have directions without any."""


def read_former(live: Path, settings: ModelSettings) -> SavedTowers | None:
    """The towers of the live model, or None where this training cannot start from them.

    Prints why not, so that nobody takes a cold start for a warm one.
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
    return former


def item_start(
    former: SavedTowers,
    catalogue: list[str],
    tags: list[str],
    weights: sparse.csr_array,
    plays: Float32s,
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
        item_weight=matched(former.catalogue, former.weights["item_weight"], catalogue),
        tag_embedding=tag_embedding,
        tag_bias=tag_bias,
    )


def input_start(vectors: Float32s, plays: sparse.csr_array, codes: Int32s, values: int) -> Float32s:
    """float32[values + 1, dimension]: for each value what tells its plays from all plays.

    The direction of linear discriminants (Fisher 1936): the mean vector of the plays of the value's
    listeners minus that of all plays, times the inverse of the vectors' covariance. A mean of n
    plays in d dimensions is n / (n + d) of what it seems. The last row, for a value that is not
    known, is 0.

    Args:
        vectors: float32[items, dimension].
        plays: float32[listeners, items].
        codes: int32[listeners], -1 for a value that is not known.
        values: how many there are.
    """
    dimension = vectors.shape[1]
    known = np.flatnonzero(codes >= 0)
    chosen = sparse.csr_array(
        (np.ones(len(known), np.float32), (codes[known], known)), shape=(values + 1, len(codes))
    )
    counts = chosen @ plays.sum(axis=1)
    listeners = plays.sum(axis=0)
    share = listeners / np.maximum(listeners.sum(), 1)
    mean = share @ vectors
    means = (chosen @ (plays @ vectors)) / np.maximum(counts, 1)[:, None]
    centred = vectors - mean
    covariance = (centred * share[:, None]).T @ centred
    ridge = RIDGE * np.trace(covariance) / dimension * np.eye(dimension)
    shrunk = np.where(counts > 0, counts / (counts + dimension), 0)[:, None] * (means - mean)
    # Directions that no item has are left out, not divided by 0.
    return (shrunk @ np.linalg.pinv(covariance + ridge, hermitian=True)).astype(np.float32)


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
