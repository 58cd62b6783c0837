"""What the two-tower learns from: a listener at some moment, what was played, and what came next.

An example cuts a listener's plays, in order of time, at a random place: the plays before it are the
history, the first plays of items after it are the targets. So training asks what serving asks, the
future from the past; hiding plays at random instead, wherever they lie, was worse on every data set
that has a future. A cut before the first play is a newcomer.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from setlist.arrays import Float32s, Int32s
from setlist.models.histories import Examples, Histories, examples
from setlist.models.tf import tf

# Chosen on MovieLens-1M and the bundled sample.
NEWCOMER_SHARE = 0.05
"""The share of examples that are cut before the first play, however long the history is."""
# Chosen on MovieLens-1M and the bundled sample.
FORGOTTEN_SHARE = 0.3
"""The share of the plays of a history that a listener's example in an epoch lacks."""


def epoch(
    histories: Histories, batch: int, length: int, generator: np.random.Generator
) -> Iterator[Examples]:
    """Every listener once, in random order and at a random cut, in batches.

    Some of the plays of each history are left out, so that no play is relied on alone.
    """
    last = histories.last_first()
    order = generator.permutation(np.flatnonzero(last >= 0))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        cuts = np.floor(generator.random(len(chosen)) * (last[chosen] + 1)).astype(np.int64)
        cuts[generator.random(len(chosen)) < NEWCOMER_SHARE] = 0
        moments = histories.ages[histories.offsets[chosen] + cuts]
        whole = examples(histories, histories, chosen, cuts, moments, length)
        kept = generator.random(len(whole.rows)) >= FORGOTTEN_SHARE
        history = {name: getattr(whole, name)[kept] for name in ("rows", "items", "ranks", "ages")}
        yield replace(whole, **history)


def tensors(examples: Examples, inputs: Int32s, known: Float32s) -> dict[str, tf.Tensor]:
    """What `TwoTower.compute_loss` takes.

    Args:
        examples: of some listeners.
        inputs: int32[all listeners, named inputs].
        known: float32[items], 0 for an item that is placed by its tags alone.
    """
    batch = dict(vars(examples))
    batch["inputs"] = inputs[batch.pop("listeners")]
    return {name: tf.constant(values) for name, values in (batch | {"known": known}).items()}


def specification(inputs: int, items: int) -> dict[str, tf.TensorSpec]:
    """The types of what `tensors` makes."""
    codes, floats = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
    kinds = dict.fromkeys(("rows", "items", "ranks", "target_rows", "targets"), codes)
    kinds |= {"ages": floats, "weights": floats, "known": tf.TensorSpec([items], tf.float32)}
    return kinds | {"inputs": tf.TensorSpec([None, inputs], tf.int32)}
