"""The lists that a model recommends to an audience, as codes of the run's catalogue."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Int32s, Ragged
from setlist.evaluation.audience import Audience
from setlist.evaluation.ranking import FOREIGN, Catalogue, Ranking
from setlist.evaluation.results import Shelf
from setlist.models.worker.remote_model import RemoteModel


def top_lists(
    model: RemoteModel,
    audience: Audience,
    inputs: Sequence[str],
    item_ids: pd.Index,
    shelf: Shelf,
    k: int,
) -> tuple[Int32s, Float32s]:
    """The model's lists for the whole audience.

    Args:
        model: the model.
        audience: whose plays and named inputs the model gets.
        inputs: the named inputs of the run; a model that requires another input gets "" for it,
            as it will when it serves.
        item_ids: of the run's catalogue, in the order of the codes.
        shelf: on discovery, what a listener played is excluded.
        k: the length of the lists.

    Returns:
        int32[listeners, k], codes of `item_ids` best first; EMPTY where the model listed nothing,
        FOREIGN where it listed an id outside the catalogue.
        float32[listeners, k], their scores, -inf where nothing is listed.

    Raises:
        ModelError: when the model answers outside the contract.
    """
    no_exclusions = Ragged(np.zeros(len(audience.users) + 1, np.int64), np.zeros(0, np.int32))
    return model.lists(
        item_ids,
        audience.plays,
        audience.history if shelf == "discovery" else no_exclusions,
        k,
        {name: audience.users[name].tolist() for name in inputs},
        audience.ages,
    )


def without_repeats(codes: Int32s) -> Int32s:
    """The lists with every later mention of an item made FOREIGN: a second mention is no hit.

    Args:
        codes: int32[listeners, k].

    Returns:
        The same shape.
    """
    # Stable, so that of equal codes the first mention stays first.
    order = np.argsort(codes, axis=1, kind="stable")
    sorted_codes = np.take_along_axis(codes, order, axis=1)
    is_repeat = np.zeros_like(sorted_codes, dtype=np.bool_)
    is_repeat[:, 1:] = (sorted_codes[:, 1:] == sorted_codes[:, :-1]) & (sorted_codes[:, 1:] >= 0)
    repeats = np.zeros_like(is_repeat)
    np.put_along_axis(repeats, order, is_repeat, axis=1)
    return np.where(repeats, np.int32(FOREIGN), codes)


def count_excluded(top: Int32s, excluded: Ragged, catalogue: Catalogue) -> int:
    """How many positions of the lists hold an item that the caller had excluded.

    Args:
        top: int32[listeners, k].
        excluded: the excluded items of each listener, each once.
        catalogue: the items that the codes mean.
    """
    # With the excluded items as truth, every hit is an excluded item.
    return len(Ranking(top, excluded, excluded, catalogue).hits.rows)
