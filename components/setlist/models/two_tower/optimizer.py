"""Adam (Kingma and Ba 2015) with decoupled decay (Loshchilov and Hutter 2019) and averaged weights.

What is validated and shipped is the running average of the weights (Polyak and Juditsky 1992): at a
constant learning rate it is as good as the weights after a decay of the rate, and needs to know no
number of epochs beforehand.
"""

from collections.abc import Mapping, Sequence

from setlist.models.tf import tf

# The first two and the last are the usual values of Adam; the average of the weights was chosen on
# MovieLens-1M and the bundled sample.
FIRST_MOMENT, SECOND_MOMENT, AVERAGED_WEIGHTS, EPSILON = 0.9, 0.999, 0.9, 1e-7


class AveragedAdam(tf.Module):
    """The state of an optimisation."""

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        decay: Mapping[str, tf.Tensor],
    ) -> None:
        """Begin.

        Args:
            variables: what is trained.
            decay: by the name of a variable, how much of its way from the start it loses in a step
                of rate 1; of its shape, or spreads over it.
        """
        super().__init__()
        self.decay = [decay.get(variable.name.partition(":")[0], 0.0) for variable in variables]
        self.variables_ = list(variables)
        self.step = tf.Variable(0.0)
        self.moments = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
        self.squares = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
        self.averages = [tf.Variable(variable) for variable in variables]
        self.starts = [tf.constant(variable.numpy()) for variable in variables]

    def restart(self) -> None:
        """Begin anew at the values that the variables have now; decay still leads to the start."""
        self.step.assign(0.0)
        for variable, moment, square, average in zip(
            self.variables_, self.moments, self.squares, self.averages, strict=True
        ):
            moment.assign(tf.zeros_like(moment))
            square.assign(tf.zeros_like(square))
            average.assign(variable)

    def apply(
        self, gradients: Sequence[tf.Tensor | tf.IndexedSlices | None], learning_rate: tf.Tensor
    ) -> None:
        """One step, in the graph; a variable without a gradient stays."""
        self.step.assign_add(1.0)
        first, second = 1 - FIRST_MOMENT**self.step, 1 - SECOND_MOMENT**self.step
        kept = tf.minimum(AVERAGED_WEIGHTS, (1 + self.step) / (10 + self.step))
        for variable, sparse, decay, moment, square, average, start in zip(
            self.variables_,
            gradients,
            self.decay,
            self.moments,
            self.squares,
            self.averages,
            self.starts,
            strict=True,
        ):
            if sparse is None:
                continue
            gradient = tf.convert_to_tensor(sparse)
            moment.assign(FIRST_MOMENT * moment + (1 - FIRST_MOMENT) * gradient)
            square.assign(SECOND_MOMENT * square + (1 - SECOND_MOMENT) * gradient**2)
            rate = learning_rate / first
            pull = learning_rate * decay * (variable - start)
            variable.assign_sub(rate * moment / (tf.sqrt(square / second) + EPSILON) + pull)
            average.assign(kept * average + (1 - kept) * variable)
