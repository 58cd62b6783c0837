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

    The operation `For` counts the blocks, and their number is fixed before the first: unlike
    `tf.while_loop`, whose condition may be anything, it ends by construction.

    Args:
        answer: of int32[rows], the numbers of some listeners, to tensors [rows, ...], of which all
            blocks have the same width; asked for one empty block where there is no listener.
        listeners: int32[], how many there are.
        height: int32[], of a block; at least 1.
        dtypes: of the tensors.
    """
    blocks = tf.maximum(-(-listeners // height), 1)

    def step(block: tf.Tensor, *parts: tf.Tensor) -> list[tf.Tensor]:
        rows = tf.range(block * height, tf.minimum((block + 1) * height, listeners))
        return [
            tf.raw_ops.TensorListSetItem(input_handle=part, index=block, item=tensor)
            for part, tensor in zip(parts, answer(rows), strict=True)
        ]

    parts = [
        tf.raw_ops.TensorListReserve(
            element_shape=[-1, -1], num_elements=blocks, element_dtype=dtype
        )
        for dtype in dtypes
    ]
    parts = _for(blocks, step, parts)
    return [
        tf.raw_ops.TensorListConcatV2(
            input_handle=part,
            element_dtype=dtype,
            element_shape=[-1, -1],
            leading_dims=tf.constant([], tf.int64),
        ).tensor
        for part, dtype in zip(parts, dtypes, strict=True)
    ]


def _for(
    times: tf.Tensor, step: Callable[..., list[tf.Tensor]], values: list[tf.Tensor]
) -> list[tf.Tensor]:
    """The values after so many steps. What `step` reads from outside it is carried along."""
    counter = tf.TensorSpec([], tf.int32)
    taken = tf.function(step).get_concrete_function(counter, *map(_spec, values))
    outside = taken.captured_inputs

    @tf.function
    def carrying(number: tf.Tensor, *carried: tf.Tensor) -> list[tf.Tensor]:
        types = [value.dtype for value in values]
        new = tf.raw_ops.StatefulPartitionedCall(args=[number, *carried], Tout=types, f=taken)
        return [*new, *carried[len(values) :]]

    carried = [*values, *outside]
    body = carrying.get_concrete_function(counter, *map(_spec, carried))
    return tf.raw_ops.For(start=0, limit=times, delta=1, input=carried, body=body)[: len(values)]


def _spec(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(tensor.shape, tensor.dtype)
