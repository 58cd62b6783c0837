"""The two-tower model: a listener is what she played, an item is what it is.

    item tower   v_i = e_i + mean over the item's tags of t_tag + t_any            [dimension]
    user tower   u   = a * bag + W bag + sum over the named inputs of x            [dimension]
                 bag = sum_p w_p v_(h_p) / sum_p w_p, w by the rank of a play from the latest back
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
RANKS = 9
"""Plays have one weight each for the ranks 0, 1-2, 3-6, 7-14, ... from the latest back."""


class UserTower(tf.Module):
    """From a history and the named inputs to a vector; all that serving needs of the training."""

    def __init__(self, input_sizes: Sequence[int], history_length: int, dimension: int) -> None:
        """Build the variables.

        Args:
            input_sizes: for each named input the number of its values; one more row is for
                a value that is not known.
            history_length: how many of the latest plays are read.
            dimension: of the vectors.
        """
        super().__init__()
        self.history_length = history_length
        self.dimension = dimension
        octave = np.floor(np.log2(np.arange(1, history_length + 1))).astype(np.int32)
        self._octave = tf.constant(np.minimum(octave, RANKS - 1))
        self.rank_weight = tf.Variable(tf.zeros([RANKS]), name="rank_weight")
        self.bag_scale = tf.Variable(tf.ones([dimension]), name="bag_scale")
        self.bag_kernel = tf.Variable(tf.zeros([dimension, dimension]), name="bag_kernel")
        self.input_embeddings = [
            tf.Variable(tf.zeros([size + 1, dimension]), name=f"input_{position}")
            for position, size in enumerate(input_sizes)
        ]

    def weights(self, ranks: tf.Tensor) -> tf.Tensor:
        """float32, of the shape of `ranks`: what a play counts in the bag."""
        return tf.exp(tf.gather(self.rank_weight, tf.gather(self._octave, ranks)))

    def bag(self, vectors: tf.Tensor, history: tf.Tensor) -> tf.Tensor:
        """float32[batch, dimension]: the weighted mean of the vectors of a history; 0 for none.

        Args:
            vectors: float32[items, dimension], of the catalogue.
            history: int32[batch, length], oldest first, -1 is padding.
        """
        present = tf.cast(history >= 0, tf.float32)
        newer = tf.cast(tf.cumsum(present, axis=1, exclusive=True, reverse=True), tf.int32)
        weight = self.weights(tf.minimum(newer, self.history_length - 1)) * present
        bag = tf.einsum("bl,bld->bd", weight, tf.gather(vectors, tf.maximum(history, 0)))
        return bag / tf.maximum(tf.reduce_sum(weight, axis=1, keepdims=True), 1e-6)

    def bag_of_pairs(
        self,
        vectors: tf.Tensor,
        rows: tf.Tensor,
        items: tf.Tensor,
        ranks: tf.Tensor,
        size: tf.Tensor,
    ) -> tf.Tensor:
        """`bag` of histories that are given as pairs, which needs no padding.

        Args:
            vectors: float32[items, dimension].
            rows: int32[plays], whose play.
            items: int32[plays], of what.
            ranks: int32[plays], how many plays of the history are newer.
            size: int32[], of the batch.
        """
        weight = self.weights(ranks)
        cells = tf.cast(tf.stack([rows, items], axis=1), tf.int64)
        shape = tf.cast(tf.stack([size, tf.shape(vectors)[0]]), tf.int64)
        bag = tf.sparse.sparse_dense_matmul(tf.SparseTensor(cells, weight, shape), vectors)
        total = tf.math.unsorted_segment_sum(weight, rows, size)
        return bag / tf.maximum(total[:, None], 1e-6)

    def __call__(self, bag: tf.Tensor, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """float32[batch, dimension].

        Args:
            bag: float32[batch, dimension].
            inputs: for each named input int32[batch], -1 is a value that is not known.
        """
        user = self.bag_scale * bag + bag @ self.bag_kernel
        for embedding, values in zip(self.input_embeddings, inputs, strict=True):
            row = tf.where(values >= 0, values, embedding.shape[0] - 1)
            user += tf.gather(embedding, row)
        return user


class TwoTower(tfrs.Model):
    """The towers and their loss, over integer codes; strings come in with `Servable`."""

    def __init__(
        self,
        user_tower: UserTower,
        *,
        tags: Floats,
        plays: Floats,
        start: Floats,
        full_softmax: bool,
    ) -> None:
        """Build the variables of the item tower.

        Args:
            user_tower: its `dimension` is that of the items.
            tags: float32[items, tags], the weights of each item's tags; they add up to at most 1.
            plays: float32[items], how often each was played in training.
            start: float32[items, dimension], where the vectors start. What the tags say of them
                (ridge regression) starts in the tags, the rest in the items.
            full_softmax: whether the loss runs over the whole catalogue.
        """
        super().__init__()
        tags = np.column_stack([tags, np.ones(len(tags), np.float32)])
        popularity = np.log(plays + 1) - np.log(plays + 1).mean()
        of_tags = _ridge(tags, np.column_stack([start, popularity]), plays > 0)
        rest = np.column_stack([start, popularity]) - tags @ of_tags
        self.item_embedding = tf.Variable(rest[:, :-1].astype(np.float32), name="item_embedding")
        self.item_bias = tf.Variable(rest[:, -1].astype(np.float32), name="item_bias")
        self.tag_embedding = tf.Variable(of_tags[:, :-1].astype(np.float32), name="tag_embedding")
        self.tag_bias = tf.Variable(of_tags[:, -1].astype(np.float32), name="tag_bias")
        self.user_tower = user_tower
        self.tags = tf.constant(tags)
        self.played = tf.constant((plays > 0).astype(np.float32))
        self.sampling_probability = tf.constant(plays / max(plays.sum(), 1))
        self.full_softmax = full_softmax
        self.task = tfrs.tasks.Retrieval(
            remove_accidental_hits=True, batch_metrics=None, loss_metrics=None
        )

    def item_tower(self, known: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """float32[items, dimension] and float32[items]: the vectors and biases of the catalogue.

        Args:
            known: float32[items], 0 for an item that is placed by its tags alone; None for all
                that have been played.
        """
        own = self.played if known is None else self.played * known
        vectors = self.item_embedding * own[:, None] + self.tags @ self.tag_embedding
        bias = self.item_bias * own + tf.linalg.matvec(self.tags, self.tag_bias)
        return vectors, bias

    def compute_loss(
        self,
        inputs: Mapping[str, tf.Tensor],
        training: bool = False,  # noqa: ARG002
    ) -> tf.Tensor:
        """Mean over examples of the mean softmax cross-entropy of their targets.

        Against the whole catalogue where that is affordable; beyond, against the other targets of
        the batch, corrected for how probable each is there.

        Args:
            inputs: the fields of `Examples`, int32 and float32, with `inputs` int32[batch, named
                inputs] in place of the listeners, and `known` float32[items].
            training: not used; the same loss is validated.
        """
        vectors, bias = self.item_tower(inputs["known"])
        size = tf.shape(inputs["inputs"])[0]
        bag = self.user_tower.bag_of_pairs(
            vectors, inputs["rows"], inputs["items"], inputs["ranks"], size
        )
        named = tf.unstack(inputs["inputs"], num=len(self.user_tower.input_embeddings), axis=1)
        users = self.user_tower(bag, named)
        rows, targets, weights = (inputs["target_rows"], inputs["targets"], inputs["weights"])
        # Items that were never played are neither targets nor negatives.
        weights *= tf.gather(self.played, targets)
        if self.full_softmax:
            logits = tf.matmul(users, vectors, transpose_b=True) + bias
            logits += (self.played - 1) * UNPLAYED
            own = tf.gather_nd(logits, tf.stack([rows, targets], axis=1))
            entropy = tf.gather(tf.reduce_logsumexp(logits, axis=1), rows) - own
            total = tf.reduce_sum(entropy * weights)
        else:
            queries = tf.gather(users, rows)
            # The bias travels as one more dimension, so that TFRS's task needs no change.
            total = self.task(
                tf.concat([queries, tf.ones_like(queries[:, :1])], axis=1),
                tf.concat([tf.gather(vectors, targets), tf.gather(bias, targets)[:, None]], axis=1),
                sample_weight=weights,
                candidate_sampling_probability=tf.gather(self.sampling_probability, targets),
                candidate_ids=targets,
                compute_metrics=False,
            )
        return total / tf.cast(size, tf.float32)


def _ridge(tags: Floats, values: npt.NDArray[np.float64], use: npt.NDArray[np.bool_]) -> Floats:
    """float64[tags, columns]: the values as a sum over tags, from the items in use."""
    design = tags[use].astype(np.float64)
    square = design.T @ design + 10 * np.eye(tags.shape[1])
    found: Floats = np.linalg.solve(square, design.T @ values[use])
    return found


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
        users = self._user_tower(self._user_tower.bag(self._vectors, history), named)
        return tf.concat([users, tf.ones_like(users[:, :1])], axis=1)
