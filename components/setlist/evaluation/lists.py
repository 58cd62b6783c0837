"""The lists that a model recommends to an audience, as codes of the run's catalogue."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Int32s, Ragged
from setlist.evaluation.audience import Audience
from setlist.evaluation.ranking import FOREIGN, Catalogue, Ranking
from setlist.evaluation.results import Shelf
from setlist.models.saved_model import SavedModel


def top_lists(
    model: SavedModel,
    people: Audience,
    inputs: Sequence[str],
    item_ids: pd.Index,
    shelf: Shelf,
    k: int,
) -> tuple[Int32s, Float32s]:
    """The model's lists for the whole audience.

    Args:
        model: the model.
        people: the audience.
        inputs: the named inputs of the run; a model that requires another input gets "" for it,
            as it will when it serves.
        item_ids: of the eligible catalogue, in the order of the codes.
        shelf: on discovery, what a listener played is excluded.
        k: the depth of the lists.

    Returns:
        int32[listeners, k], codes of `item_ids` best first; EMPTY where the model listed nothing,
        FOREIGN where it listed an id outside the catalogue.
        float32[listeners, k], their scores, -inf where nothing is listed.

    Raises:
        ModelError: when the model answers outside the contract.
    """
    nothing = Ragged(np.zeros(len(people.users) + 1, np.int64), np.zeros(0, np.int32))
    return model.lists(
        item_ids,
        people.plays,
        people.history if shelf == "discovery" else nothing,
        k,
        {name: people.users[name].tolist() for name in inputs},
        people.ages,
    )


def without_repeats(codes: Int32s) -> Int32s:
    """The lists with every later mention of an item made FOREIGN: a second mention is no hit."""
    # Stable, so that of equal codes the first mention stays first.
    order = np.argsort(codes, axis=1, kind="stable")
    ranked = np.take_along_axis(codes, order, axis=1)
    again = np.zeros_like(ranked, dtype=np.bool_)
    again[:, 1:] = (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)
    repeats = np.zeros_like(again)
    np.put_along_axis(repeats, order, again, axis=1)
    return np.where(repeats, np.int32(FOREIGN), codes)


def count_listed(top: Int32s, excluded: Ragged, catalogue: Catalogue) -> int:
    """How many positions of the lists hold an item that the caller had excluded."""
    return len(Ranking(top, excluded, excluded, catalogue).hits.rows)
