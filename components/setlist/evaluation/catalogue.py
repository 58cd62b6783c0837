"""The catalogue of an evaluation, and its parts: head, torso, tail and new items."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from setlist.arrays import Bools
from setlist.data.features import Features
from setlist.evaluation.ranking import Catalogue

HEAD_SHARE, TAIL_SHARE = 0.2, 0.8
"""Shares of the (listener, item) pairs of the training period, most played items first: the items
of the first fifth of pairs are the head, those of the last fifth are the tail (Abdollahpouri et al.
2019)."""


def catalogue_of(features: Features) -> Catalogue:
    """The catalogue for the metrics, with the tags in alphabetical order."""
    tags = [set(row) for row in features.items["tags"]]
    names = sorted(set().union(*tags))
    code = {tag: position for position, tag in enumerate(names)}
    indices = [column for row in tags for column in sorted(code[tag] for tag in row)]
    ends = np.cumsum([0, *map(len, tags)])
    trues = np.ones(len(indices), np.bool_)
    table = sparse.csr_array(
        (trues, np.array(indices, np.int32), ends), shape=(len(tags), len(names))
    )
    return Catalogue(
        listeners=features.items["listeners"].to_numpy(np.int64),
        tags=table,
        training_listeners=features.plays["user"].nunique(),
    )


def parts_of(catalogue: Catalogue, live: Bools | None) -> Mapping[str, Bools]:
    """The parts of the catalogue on which accuracy is also computed.

    Args:
        catalogue: with the training listeners of each item.
        live: bool[items], which items the live model can recommend; None where nothing is live.

    Returns:
        bool[items] by name. Each item is in head, torso or tail. It is in `new` too if the live
        model does not know it or, where nothing is live, if no listener had played it.
    """
    order = np.argsort(-catalogue.listeners, kind="stable")
    sorted_counts = catalogue.listeners[order]
    # The share of pairs on items that are more popular than this one.
    before = np.empty(catalogue.size)
    before[order] = (np.cumsum(sorted_counts) - sorted_counts) / max(sorted_counts.sum(), 1)
    # Without this, items without a play would be in the head where no item has any.
    unplayed = catalogue.listeners == 0
    head = (before < HEAD_SHARE) & ~unplayed
    tail = (before >= TAIL_SHARE) | unplayed
    return {
        "head": head,
        "torso": ~head & ~tail,
        "tail": tail,
        "new": unplayed if live is None else ~live,
    }
