"""Adam by hand: the first step, the decay, the average."""

import numpy as np
import pytest

from setlist.models.tf import tf
from setlist.models.two_tower.optimizer import AveragedAdam


def test_a_step_by_hand():
    """The first step of Adam is the rate in the direction of the gradient's sign."""
    one, other = tf.Variable([4.0, -2.0], name="one"), tf.Variable([3.0], name="other")
    adam = AveragedAdam([one, other], 0.1, {"one": np.array([0.5, 2.0], np.float32)})
    adam.apply([tf.constant([3.0, -7.0]), None])
    np.testing.assert_allclose(one, [4 - 0.1 - 0.1 * 0.5 * 4, -2 + 0.1 + 0.1 * 2 * 2], rtol=1e-5)
    assert other.numpy().tolist() == [3.0], "without a gradient a variable stays"
    kept = 2 / 11  # (1 + step) / (10 + step)
    first = kept * 4.0 + (1 - kept) * one.numpy()[0]
    assert adam.averages[0].numpy()[0] == pytest.approx(first)


def test_it_finds_a_minimum():
    one = tf.Variable([5.0])
    adam = AveragedAdam([one], 0.1, {})
    for _ in range(300):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((one - 2) ** 2)
        adam.apply(tape.gradient(loss, [one]))
    assert adam.averages[0].numpy()[0] == pytest.approx(2, abs=0.01)
