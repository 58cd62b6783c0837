"""A batch of examples as TensorFlow takes it."""

from setlist.arrays import Float32s, Int32s
from setlist.models.tf import tf
from setlist.models.two_tower.examples import Examples


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
