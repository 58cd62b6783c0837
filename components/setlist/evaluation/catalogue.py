"""The item side of an evaluation: what metrics know of the catalogue, and its parts."""

from collections.abc import Mapping

import numpy as np

from setlist.arrays import Bools
from setlist.data.features import Features
from setlist.evaluation.ranking import Catalogue

HEAD, TAIL = 0.2, 0.8
"""Shares of the (listener, item) pairs of the training period: the most played items that make the
first fifth are the head, those that make the last fifth the tail (Abdollahpouri et al. 2019)."""


def catalogue_of(features: Features) -> Catalogue:
    """The item side of the metrics."""
    tags = features.items["tags"].map(list)
    names = sorted({tag for row in tags for tag in row})
    code = {tag: position for position, tag in enumerate(names)}
    table = np.zeros((len(tags), len(names)), np.bool_)
    for row, own in enumerate(tags):
        table[row, [code[tag] for tag in own]] = True
    return Catalogue(
        listeners=features.items["listeners"].to_numpy(np.int64),
        tags=table,
        training_listeners=features.plays["user"].nunique(),
    )


def parts_of(catalogue: Catalogue, live: Bools | None) -> Mapping[str, Bools]:
    """The parts of the catalogue by which accuracy is given a second time.

    Args:
        catalogue: with the training listeners of each item.
        live: bool[items], what the live model can recommend; None where nothing is live.

    Returns:
        bool[items] for head, torso and tail, which share out the catalogue, and for `new`: items
        that the live model does not know or, where nothing is live, that nobody had played.
    """
    order = np.argsort(-catalogue.listeners, kind="stable")
    sorted_counts = catalogue.listeners[order]
    before = np.empty(catalogue.size)
    before[order] = (np.cumsum(sorted_counts) - sorted_counts) / max(sorted_counts.sum(), 1)
    unplayed = catalogue.listeners == 0
    head = (before < HEAD) & ~unplayed
    tail = (before >= TAIL) | unplayed
    return {
        "head": head,
        "torso": ~head & ~tail,
        "tail": tail,
        "new": unplayed if live is None else ~live,
    }
