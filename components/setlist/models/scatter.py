"""Sums and maxima by item, inside the graph, for each listener of a batch."""

from collections.abc import Callable

from setlist.models.blocks import in_blocks
from setlist.models.tf import tf

PAIRS = 4_000_000
"""Plays times neighbours in a block of listeners: some 100 MB of codes and weights."""


def neighbour_sum(
    history: tf.Tensor, neighbours: tf.Tensor, weights: tf.Tensor, size: int
) -> tf.Tensor:
    """float32[batch, size]: for each item the sum of what the plays of the history give it.

    In blocks of listeners, so that at most PAIRS codes and weights are held at once.

    Args:
        history: int32[batch, length], codes; below 0 is no play.
        neighbours: int32[items, neighbours], the items to which a play gives something.
        weights: float32[items, neighbours], how much.
        size: of the catalogue.
    """
    neighbours, weights = tf.convert_to_tensor(neighbours), tf.convert_to_tensor(weights)
    batch, length = tf.shape(history)[0], tf.shape(history)[1]
    pairs = tf.maximum(length * neighbours.shape[1], 1)

    def block_sum(rows: tf.Tensor) -> list[tf.Tensor]:
        block = tf.gather(history, rows)
        known = tf.maximum(block, 0)
        given = tf.where(block[..., None] >= 0, tf.gather(weights, known), 0.0)
        shape = [tf.size(rows), length * neighbours.shape[1]]
        cells = tf.reshape(tf.gather(neighbours, known), shape)
        return [scatter_sum(cells, tf.reshape(given, shape), size)]

    return in_blocks(block_sum, batch, tf.maximum(PAIRS // pairs, 1), [tf.float32])[0]


def scatter_sum(codes: tf.Tensor, values: tf.Tensor, size: int) -> tf.Tensor:
    """float32[batch, size]: for each row the values summed by code; codes below 0 are left out."""
    return _scatter(tf.math.unsorted_segment_sum, codes, values, size)


def scatter_max(codes: tf.Tensor, values: tf.Tensor, size: int) -> tf.Tensor:
    """float32[batch, size]: for each row the largest value by code; codes below 0 are left out."""
    return _scatter(tf.math.unsorted_segment_max, codes, values, size)


def _scatter(
    reduce: Callable[..., tf.Tensor], codes: tf.Tensor, values: tf.Tensor, size: int
) -> tf.Tensor:
    batch = tf.shape(codes, tf.int64)[0]
    return tf.reshape(reduce(values, cells_of(codes, size), batch * size), [batch, size])


def cells_of(codes: tf.Tensor, size: int) -> tf.Tensor:
    """int64, shaped as `codes`: row * size + code; -1, which reductions drop, for codes below 0."""
    wide = tf.cast(codes, tf.int64)  # a large batch of a large catalogue has more than 2^31 cells
    rows = tf.range(tf.shape(codes, tf.int64)[0])[:, None] * size
    return tf.where(wide >= 0, wide + rows, -1)
