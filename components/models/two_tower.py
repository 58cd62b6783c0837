"""The two-tower model: a listener is what she played, an item is what it is.

    item tower   v_i = e_i + mean over the item's tags of t_tag            [dimension]
    user tower   u   = a * bag + W bag + sum over the named inputs of x    [dimension]
                 bag = sum_p w_p v_(h_p) / sum_p w_p, p the rank of a play from the latest back
    score        u . v_i + b_i + recency prior of i

There is no embedding of the listener's id, so that a listener who joined after training is served
from the first play, and an item without plays is placed by its tags.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs

from components.models.recommender import DotProduct, string_table

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]
UNPLAYED = 1e9
"""Takes an item out of the softmax; finite, because -inf times 0 is NaN in the gradient."""


class UserTower(tf.Module):
    """From a history and the named inputs to a vector; all that serving needs of the training."""

    def __init__(self, input_sizes: Sequence[int], history_length: int, dimension: int) -> None:
        """Build the variables.

        Args:
            input_sizes: for each named input the number of its values; one more row is for
                a value that is not known.
            history_length: how many of the latest plays have a weight of their own.
            dimension: of the vectors.
        """
        super().__init__()
        self.history_length = history_length
        self.position_weight = tf.Variable(tf.zeros([history_length]), name="position_weight")
        self.bag_scale = tf.Variable(1.0, name="bag_scale")
        self.bag_kernel = tf.Variable(tf.zeros([dimension, dimension]), name="bag_kernel")
        self.input_embeddings = [
            tf.Variable(tf.zeros([size + 1, dimension]), name=f"input_{position}")
            for position, size in enumerate(input_sizes)
        ]

    def __call__(
        self, vectors: tf.Tensor, history: tf.Tensor, inputs: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """float32[batch, dimension].

        Args:
            vectors: float32[items, dimension], of the catalogue.
            history: int32[batch, length], oldest first, -1 is padding.
            inputs: for each named input int32[batch], -1 is a value that is not known.
        """
        present = tf.cast(history >= 0, tf.float32)
        newer = tf.cumsum(present, axis=1, exclusive=True, reverse=True)
        rank = tf.minimum(tf.cast(newer, tf.int32), self.history_length - 1)
        weight = tf.exp(tf.gather(self.position_weight, rank)) * present
        bag = tf.einsum("bl,bld->bd", weight, tf.gather(vectors, tf.maximum(history, 0)))
        bag = bag / tf.maximum(tf.reduce_sum(weight, axis=1, keepdims=True), 1e-6)
        user = self.bag_scale * bag + bag @ self.bag_kernel
        for embedding, values in zip(self.input_embeddings, inputs, strict=True):
            row = tf.where(values >= 0, values, embedding.shape[0] - 1)
            user += tf.gather(embedding, row)
        return user


class TwoTower(tfrs.Model):
    """The towers and their loss, over integer codes; strings come in with `Servable`."""

    def __init__(
        self, user_tower: UserTower, *, tags: Floats, plays: Floats, full_softmax: bool
    ) -> None:
        """Build the variables of the item tower.

        Args:
            user_tower: the other one.
            tags: float32[items, tags], rows that sum to 1 (or to 0 for an item without tags).
            plays: float32[items], training plays. An item without any has no embedding or bias of
                its own, only its tags', and is no negative: nothing is known against it. The
                others' shares are how probable they are in a batch, for which the sampled loss
                corrects (Yi et al. 2019).
            full_softmax: whether the loss runs over the whole catalogue.
        """
        super().__init__()
        dimension = user_tower.bag_kernel.shape[0]
        start = tf.random_normal_initializer(stddev=dimension**-0.5)
        self.item_embedding = tf.Variable(start([len(plays), dimension]), name="item_embedding")
        self.tag_embedding = tf.Variable(start([tags.shape[1], dimension]), name="tag_embedding")
        self.item_bias = tf.Variable(tf.zeros([len(plays)]), name="item_bias")
        self.tag_bias = tf.Variable(tf.zeros([tags.shape[1]]), name="tag_bias")
        self.user_tower = user_tower
        self.tags = tf.constant(tags)
        self.played = tf.constant((plays > 0).astype(np.float32))
        self.sampling_probability = tf.constant(plays / plays.sum())
        self.full_softmax = full_softmax
        self.task = tfrs.tasks.Retrieval(
            remove_accidental_hits=True, batch_metrics=None, loss_metrics=None
        )

    def item_tower(self) -> tuple[tf.Tensor, tf.Tensor]:
        """float32[items, dimension] and float32[items]: the vectors and biases of the catalogue."""
        vectors = self.item_embedding * self.played[:, None] + self.tags @ self.tag_embedding
        bias = self.item_bias * self.played + tf.linalg.matvec(self.tags, self.tag_bias)
        return vectors, bias

    def compute_loss(
        self,
        inputs: Mapping[str, tf.Tensor],
        training: bool = False,  # noqa: ARG002
    ) -> tf.Tensor:
        """Mean over listeners of the mean softmax cross-entropy of their targets.

        Against the whole catalogue where that is affordable; beyond, against the other targets of
        the batch, corrected for how probable each is there.

        Args:
            inputs: `history` int32[batch, length], `targets` int32[batch, targets] (-1 is none)
                and `inputs` int32[batch, named inputs].
            training: not used; the same loss is validated.
        """
        vectors, bias = self.item_tower()
        named = tf.unstack(inputs["inputs"], num=len(self.user_tower.input_embeddings), axis=1)
        users = self.user_tower(vectors, inputs["history"], named)
        targets = inputs["targets"]
        share = tf.cast(targets >= 0, tf.float32)
        share /= tf.maximum(tf.reduce_sum(share, axis=1, keepdims=True), 1)
        if self.full_softmax:
            logits = tf.matmul(users, vectors, transpose_b=True) + bias
            logits += (self.played - 1) * UNPLAYED
            own = tf.gather(logits, tf.maximum(targets, 0), batch_dims=1)
            entropy = tf.reduce_logsumexp(logits, axis=1, keepdims=True) - own
            return tf.reduce_mean(tf.reduce_sum(entropy * share, axis=1))
        real = tf.where(targets >= 0)
        items = tf.gather_nd(targets, real)
        queries = tf.gather(users, real[:, 0])
        # The bias travels as one more dimension, so that TFRS's task needs no change.
        total = self.task(
            tf.concat([queries, tf.ones_like(queries[:, :1])], axis=1),
            tf.concat([tf.gather(vectors, items), tf.gather(bias, items)[:, None]], axis=1),
            sample_weight=tf.gather_nd(share, real),
            candidate_sampling_probability=tf.gather(self.sampling_probability, items),
            candidate_ids=items,
            compute_metrics=False,
        )
        return total / tf.cast(tf.shape(targets)[0], tf.float32)


class Servable(DotProduct):
    """A trained two-tower under the model contract."""

    kind = "two_tower"
    fallback = "items without plays are placed by their tags"

    def __init__(
        self,
        catalogue: Sequence[str],
        towers: TwoTower,
        vocabularies: Mapping[str, Sequence[str]],
        prior: Floats,
    ) -> None:
        """Freeze the towers.

        Args:
            catalogue: the ids, in the order of the codes.
            towers: trained.
            vocabularies: the values of each named input, in the order of the codes.
            prior: float32[items], added to every score.
        """
        super().__init__(
            catalogue, history_length=towers.user_tower.history_length, inputs=tuple(vocabularies)
        )
        vectors, bias = towers.item_tower()
        # Twice, because a slice would be copied for every request.
        self._vectors = tf.constant(vectors.numpy())
        self.vectors = tf.concat([vectors, (bias + prior)[:, None]], axis=1)
        self._user_tower = towers.user_tower
        self._values = [string_table(values) for values in vocabularies.values()]

    def embed(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """U and a 1, so that u . v + b + prior is one dot product."""
        named = [
            table.lookup(inputs[name])
            for name, table in zip(self.inputs, self._values, strict=True)
        ]
        users = self._user_tower(self._vectors, history, named)
        return tf.concat([users, tf.ones_like(users[:, :1])], axis=1)
