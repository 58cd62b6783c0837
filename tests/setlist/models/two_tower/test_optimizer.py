"""Adam by hand: the first step, the decay, the average."""

import numpy as np
import pytest

from setlist.models.tf import tf
from setlist.models.two_tower.optimizer import AveragedAdam


def test_a_step_by_hand():
    """The first step of Adam is the rate in the direction of the gradient's sign."""
    one, other = tf.Variable([4.0, -2.0], name="one"), tf.Variable([3.0], name="other")
    adam = AveragedAdam([one, other], {"one": np.array([0.5, 2.0], np.float32)})
    one.assign_add([1.0, 1.0])
    adam.apply([tf.constant([3.0, -7.0]), None], tf.constant(0.1))
    # Decay leads back to the start: by a part of the 1 that was added.
    np.testing.assert_allclose(one, [5 - 0.1 - 0.1 * 0.5, -1 + 0.1 - 0.1 * 2], rtol=1e-5)
    assert other.numpy().tolist() == [3.0], "without a gradient a variable stays"
    kept = 2 / 11  # (1 + step) / (10 + step)
    first = kept * 4.0 + (1 - kept) * one.numpy()[0]
    assert adam.averages[0].numpy()[0] == pytest.approx(first)


def test_it_finds_a_minimum():
    one = tf.Variable([5.0])
    adam = AveragedAdam([one], {})
    for _ in range(300):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((one - 2) ** 2)
        adam.apply(tape.gradient(loss, [one]), tf.constant(0.1))
    assert adam.averages[0].numpy()[0] == pytest.approx(2, abs=0.01)


def test_a_restart_forgets_the_steps_but_not_the_start():
    one = tf.Variable([5.0], name="one")
    adam = AveragedAdam([one], {"one": 0.5})
    adam.apply([tf.constant([1.0])], tf.constant(0.1))
    one.assign([7.0])
    adam.restart()
    assert adam.averages[0].numpy() == [7.0]
    adam.apply([tf.constant([1.0])], tf.constant(0.1))
    np.testing.assert_allclose(one, [7 - 0.1 - 0.1 * 0.5 * 2], rtol=1e-5)
