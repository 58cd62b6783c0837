"""Listeners in blocks, inside the graph, so that what is held does not grow with the batch."""

from collections.abc import Callable, Sequence

from setlist.models.tf import tf


def in_blocks(
    answer: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    listeners: tf.Tensor,
    height: tf.Tensor,
    dtypes: Sequence[tf.DType],
) -> list[tf.Tensor]:
    """What `answer` says of each block of listeners, one block after the other, put together.

    Args:
        answer: of int32[rows], the numbers of some listeners, to tensors [rows, ...], of which all
            blocks have the same width; asked for one empty block where there is no listener.
        listeners: int32[], how many there are.
        height: int32[], of a block; at least 1.
        dtypes: of the tensors.
    """
    blocks = tf.maximum(-(-listeners // height), 1)

    def step(block: tf.Tensor, *parts: tf.TensorArray) -> tuple[object, ...]:
        rows = tf.range(block * height, tf.minimum((block + 1) * height, listeners))
        said = zip(parts, answer(rows), strict=True)
        return block + 1, *(part.write(block, tensor) for part, tensor in said)

    parts = [
        tf.TensorArray(dtype, blocks, infer_shape=False, element_shape=[None, None])
        for dtype in dtypes
    ]
    _, *parts = tf.while_loop(
        lambda block, *_: block < blocks, step, (0, *parts), parallel_iterations=1
    )
    return [part.concat() for part in parts]
