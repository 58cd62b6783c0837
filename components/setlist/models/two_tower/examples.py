"""What the two-tower learns from: a listener at some moment, what was played, and what came next.

An example cuts a listener's plays, in order of time, at a random place: the plays before it are the
history, the first plays of items after it are the targets. So training asks what serving asks, the
future from the past; hiding plays at random instead, wherever they lie, was worse on every data set
that has a future. A cut before the first play is a newcomer.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from setlist.arrays import Int32s
from setlist.models.histories import Examples, Histories, examples
from setlist.models.settings import ModelSettings
from setlist.models.tf import tf

# Chosen on MovieLens-1M and the bundled sample.
NEWCOMER_SHARE = 0.05
"""The share of examples that are cut before the first play, however long the history is."""
# Chosen on MovieLens-1M and the bundled sample.
FORGOTTEN_SHARE = 0.3
"""The share of the plays of a history that a listener's example in an epoch lacks."""


SHARE_WITH_VECTOR = 0.9
"""In each batch so many of the items have their own embedding; the others learn to be placed by
their tags, as an item without plays will be."""
TARGETS = 1_024
"""The most targets of a batch, drawn at random: each is a negative of all others, so the cost of a
step is the square of it."""

Batch = dict[str, npt.NDArray[Any]]
"""The fields of `Examples` but the listeners, where items and targets are places among

    candidates      int32[candidates], the items of the batch, each once
    own             float32[candidates], 0 for an item that is placed by its tags alone
    inputs          int32[batch, named inputs], -1 for a value that is not known
"""


def epoch(
    histories: Histories,
    batch: int,
    length: int,
    generator: np.random.Generator,
    most: int | None = None,
) -> Iterator[Examples]:
    """Listeners once each, in random order and at a random cut, in batches.

    Some of the plays of each history are left out, so that no play is relied on alone.

    Args:
        histories: the plays to learn from.
        batch: listeners in a batch.
        length: the longest suffix of a history that is read.
        generator: makes all choices.
        most: of the listeners, so many at random; None for all.
    """
    last = histories.last_first()
    order = generator.permutation(np.flatnonzero(last >= 0))[:most]
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        cuts = np.floor(generator.random(len(chosen)) * (last[chosen] + 1)).astype(np.int64)
        cuts[generator.random(len(chosen)) < NEWCOMER_SHARE] = 0
        moments = histories.ages[histories.offsets[chosen] + cuts]
        whole = examples(histories, histories, chosen, cuts, moments, length)
        kept = generator.random(len(whole.rows)) >= FORGOTTEN_SHARE
        history = {name: getattr(whole, name)[kept] for name in ("rows", "items", "ranks", "ages")}
        asked = np.sort(generator.permutation(len(whole.targets))[:TARGETS])
        future = {
            name: getattr(whole, name)[asked] for name in ("target_rows", "targets", "weights")
        }
        yield replace(whole, **history, **future)


def in_places(batch: Examples, inputs: Int32s, generator: np.random.Generator) -> Batch:
    """What `TwoTower.compute_loss` takes.

    Args:
        batch: of some listeners.
        inputs: int32[all listeners, named inputs].
        generator: chooses the items that are placed by their tags alone.
    """
    both = np.concatenate([batch.items, batch.targets])
    candidates, places = np.unique(both, return_inverse=True)
    own = generator.random(len(candidates)) < SHARE_WITH_VECTOR
    fields = dict(vars(batch))
    return fields | {
        "inputs": inputs[fields.pop("listeners")],
        "items": places[: len(batch.items)].astype(np.int32),
        "targets": places[len(batch.items) :].astype(np.int32),
        "candidates": candidates.astype(np.int32),
        "own": own.astype(np.float32),
    }


def dataset(
    histories: Histories, inputs: Int32s, batch: int, settings: ModelSettings, first: int
) -> tf.data.Dataset:
    """The batches of all epochs from the `first` one on, without an end.

    The batches of an epoch depend on its number and the seed only, so that a training that is taken
    up again sees what it would have seen.
    """

    def batches() -> Iterator[Batch]:
        length, most = settings.history_length, settings.epoch_listeners
        for number in count(first):
            generator = np.random.default_rng((settings.seed, number))
            for some in epoch(histories, batch, length, generator, most):
                yield in_places(some, inputs, generator)

    codes, floats = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
    kinds = dict.fromkeys(("rows", "items", "ranks", "target_rows", "targets", "candidates"), codes)
    kinds |= dict.fromkeys(("ages", "weights", "own"), floats)
    kinds["inputs"] = tf.TensorSpec([None, inputs.shape[1]], tf.int32)
    return tf.data.Dataset.from_generator(batches, output_signature=kinds).prefetch(2)
