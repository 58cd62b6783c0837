"""The two-tower model: a listener is what she played, an item is what it is.

    item tower   v_i = e_i + mean over the item's tags of t_tag + t_any            [dimension]
    user tower   u   = c (a * bag + W bag) + d sum over the named inputs of x      [dimension]
                 bag = sum_p w_p m_(h_p) v_(h_p) / sum_p w_p, w by the rank of a play from the
                 latest back and by its age, m of the item
    score        u . v_i + g b_i + prior of i; c, d and g by the length of the history

It starts where the best learner ends (`setlist.models.learners.factors`): with m, v and a from
there and W = 0. For a listener without plays g and d are 1, with the popularity for b and for x
what tells the plays of her value from all plays; for anybody else they are 0.

There is no embedding of the listener's id, so that a listener who joined after training is served
from the first play, and an item without plays is placed by its tags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from setlist.arrays import Bools, Float32s
from setlist.models.tf import require_keras_2, tf

require_keras_2()
import tensorflow_recommenders as tfrs  # noqa: E402  its errors with Keras 3 are unclear

# Nine octaves reach 511 plays, beyond the default `history_length`.
RANK_BINS = 9
"""Plays have one weight each for the ranks 0, 1-2, 3-6, 7-14, ... from the latest back."""
PLAY_AGE_BINS = 16
"""And one each for ages below 1 hour, 1-3, 3-7, 7-15 hours, ... up to 4 years."""
HOURS_PER_DAY = 24.0
# Chosen on MovieLens-1M and the bundled sample.
GAIN_LEARNING_FACTOR = 5.0
"""How much faster than everything else c, d and g are learnt."""


class Bag(NamedTuple):
    """The histories of a batch: float32[batch, dimension], and how many plays, float32[batch]."""

    mean: tf.Tensor
    counts: tf.Tensor


class UserTower(tf.Module):
    """From a history and the named inputs to a vector; all that serving needs of the training."""

    SHARED = (
        *("rank_weight", "age_weight", "length_weight", "input_weight"),
        *("bag_scale", "bag_kernel", "bias_weight"),
    )
    """The variables that are of no item, tag or value."""

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
        self._octave = tf.constant(np.minimum(octave, RANK_BINS - 1))
        self.rank_weight = tf.Variable(tf.zeros([RANK_BINS]), name="rank_weight")
        self.age_weight = tf.Variable(tf.zeros([PLAY_AGE_BINS]), name="age_weight")
        self.length_weight = tf.Variable(tf.zeros([RANK_BINS]), name="length_weight")
        # For a listener without plays popularity and inputs speak; for anybody else the plays.
        nobody = tf.one_hot(0, RANK_BINS) / GAIN_LEARNING_FACTOR
        self.input_weight = tf.Variable(nobody, bool(input_sizes), name="input_weight")
        self.bias_weight = tf.Variable(nobody, name="bias_weight")
        self.bag_scale = tf.Variable(tf.ones([dimension]), name="bag_scale")
        self.bag_kernel = tf.Variable(tf.zeros([dimension, dimension]), name="bag_kernel")
        self.input_embeddings = [
            tf.Variable(tf.zeros([size + 1, dimension]), name=f"input_{position}")
            for position, size in enumerate(input_sizes)
        ]

    def weights(self, ranks: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """float32, of the shape of `ranks` and `ages`: what a play counts in the bag."""
        octave = tf.math.log(1 + HOURS_PER_DAY * tf.maximum(ages, 0)) / np.log(2)
        by_age = tf.gather(
            self.age_weight, tf.cast(tf.minimum(octave, PLAY_AGE_BINS - 1), tf.int32)
        )
        return tf.exp(tf.gather(self.rank_weight, tf.gather(self._octave, ranks)) + by_age)

    def bag(self, plays: tf.Tensor, history: tf.Tensor, ages: tf.Tensor) -> Bag:
        """The weighted mean of the plays of each history; 0 for none.

        Args:
            plays: float32[batch, length, dimension], what each play adds; padding is not read.
            history: int32[batch, length], oldest first, -1 is padding.
            ages: float32[batch, length], in days.
        """
        present = tf.cast(history >= 0, tf.float32)
        newer = tf.cast(tf.cumsum(present, axis=1, exclusive=True, reverse=True), tf.int32)
        weight = self.weights(tf.minimum(newer, self.history_length - 1), ages) * present
        bag = tf.einsum("bl,bld->bd", weight, plays)
        bag /= tf.maximum(tf.reduce_sum(weight, axis=1, keepdims=True), 1e-6)
        return Bag(bag, tf.reduce_sum(present, axis=1))

    def bag_of_pairs(
        self, vectors: tf.Tensor, plays: Mapping[str, tf.Tensor], size: tf.Tensor
    ) -> Bag:
        """`bag` of histories that are given as pairs, which needs no padding.

        Args:
            vectors: float32[items, dimension].
            plays: `rows`, `items`, `ranks` and `ages` of `Examples`.
            size: int32[], of the batch.
        """
        weight = self.weights(plays["ranks"], plays["ages"])[:, None]
        each = tf.concat([tf.gather(vectors, plays["items"]) * weight, weight], axis=1)
        bag = tf.math.unsorted_segment_sum(each, plays["rows"], size)
        count = tf.math.unsorted_segment_sum(tf.ones_like(weight[:, 0]), plays["rows"], size)
        return Bag(bag[:, :-1] / tf.maximum(bag[:, -1:], 1e-6), count)

    def __call__(self, bag: Bag, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """float32[batch, dimension + 1]; the last number is what the items' biases count.

        Args:
            bag: of the histories.
            inputs: for each named input int32[batch], -1 is a value that is not known.
        """
        octave = tf.cast(tf.math.log(1 + bag.counts) / np.log(2), tf.int32)
        octave = tf.minimum(octave, RANK_BINS - 1)
        trust = tf.exp(GAIN_LEARNING_FACTOR * tf.gather(self.length_weight, octave))[:, None]
        weight, popularity = (
            GAIN_LEARNING_FACTOR * tf.gather(gate, octave)[:, None]
            for gate in (self.input_weight, self.bias_weight)
        )
        user = trust * (self.bag_scale * bag.mean + bag.mean @ self.bag_kernel)
        for embedding, values in zip(self.input_embeddings, inputs, strict=True):
            row = tf.where(values >= 0, values, embedding.shape[0] - 1)
            user += weight * tf.gather(embedding, row)
        return tf.concat([user, popularity], axis=1)


class TwoTower(tfrs.Model):
    """The towers and their loss, over integer codes; strings come in with `Servable`.

    A step reads and changes the vectors of the items in its batch, not the catalogue.
    """

    def __init__(
        self,
        user_tower: UserTower,
        start: "ItemStart",
        *,
        tags: sparse.csr_array,
        plays: Float32s,
    ) -> None:
        """Build the variables of the item tower.

        Args:
            user_tower: its `dimension` is that of the items.
            start: the values that the variables start with.
            tags: float32[items, tags], the tags of each item; the values do not matter.
            plays: float32[items], how often each was played in training.
        """
        super().__init__()
        self.item_embedding = tf.Variable(start.item_embedding, name="item_embedding")
        self.item_bias = tf.Variable(start.item_bias, name="item_bias")
        self.item_weight = tf.Variable(start.item_weight, name="item_weight")
        self.tag_embedding = tf.Variable(start.tag_embedding, name="tag_embedding")
        self.tag_bias = tf.Variable(start.tag_bias, name="tag_bias")
        self.user_tower = user_tower
        self.plays = plays
        self.tags = tf.RaggedTensor.from_row_splits(
            tags.indices.astype(np.int32), tags.indptr.astype(np.int32)
        )
        self.played = tf.constant((plays > 0).astype(np.float32))
        self.share_of_plays = tf.constant(plays / max(plays.sum(), 1))
        self.task = tfrs.tasks.Retrieval(
            remove_accidental_hits=True, batch_metrics=None, loss_metrics=None
        )
        self.mean_loss = tf.keras.metrics.Mean("mean_loss")

    def values(self) -> dict[str, Float32s]:
        """All that is learnt, by name."""
        return {_name(variable): variable.numpy() for variable in self.learnt}

    @property
    def learnt(self) -> list[tf.Variable]:
        """All variables of the towers."""
        items = self.item_embedding, self.item_bias, self.item_weight
        return [*items, self.tag_embedding, self.tag_bias, *self.user_tower.variables]

    def place(self, values: Mapping[str, Float32s]) -> None:
        """Give the towers these values."""
        for variable in self.learnt:
            variable.assign(values[_name(variable)])

    def item_vectors(self, items: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
        """float32[items, dimension + 1]: vectors and biases.

        Args:
            items: int32[items], codes.
            own: float32[items], 0 for an item that is placed by its tags alone.
        """
        tags = tf.gather(self.tags, items)
        table = tf.concat([self.tag_embedding, self.tag_bias[:, None]], axis=1)
        of_tags = tf.math.unsorted_segment_mean(
            tf.gather(table, tags.values), tags.value_rowids(), tf.shape(items)[0]
        )
        embedding = tf.gather(self.item_embedding, items)
        bias = tf.gather(self.item_bias, items)[:, None]
        return tf.concat([embedding, bias], axis=1) * own[:, None] + of_tags + table[-1]

    def item_tower(self, start: int = 0, stop: int | None = None) -> tf.Tensor:
        """float32[items, dimension + 1]: vectors and biases of the items from `start` to `stop`."""
        codes = tf.range(start, len(self.plays) if stop is None else stop)
        return self.item_vectors(codes, self.played[start:stop])

    def play_factors(self) -> tf.Tensor:
        """float32[all items]: by what a vector is multiplied where it is a play of the history."""
        return tf.exp(self.item_weight * self.played)

    def user_vectors(self, batch: Mapping[str, tf.Tensor], plays: tf.Tensor) -> tf.Tensor:
        """float32[batch, dimension + 1]: the listeners.

        Args:
            batch: as in `compute_loss`.
            plays: float32[items, dimension], what a play of each of them adds.
        """
        bag = self.user_tower.bag_of_pairs(plays, batch, tf.shape(batch["inputs"])[0])
        named = tf.unstack(batch["inputs"], num=len(self.user_tower.input_embeddings), axis=1)
        return self.user_tower(bag, named)

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:  # noqa: ARG002
        """Mean over examples of the mean softmax cross-entropy of their targets.

        Against the other targets of the batch, corrected for how probable each is there.

        Args:
            inputs: the fields of `Batch`, int32 and float32.
            training: not read; the loss is that of training.
        """
        items, own = inputs["candidates"], inputs["own"]
        vectors = self.item_vectors(items, own)
        plays = vectors[:, :-1] * tf.exp(tf.gather(self.item_weight, items) * own)[:, None]
        users = self.user_vectors(inputs, plays)
        targets = inputs["targets"]
        loss = self.task(
            tf.gather(users, inputs["target_rows"]),
            tf.gather(vectors, targets),
            sample_weight=inputs["weights"],
            candidate_sampling_probability=tf.gather(
                self.share_of_plays, tf.gather(items, targets)
            ),
            candidate_ids=targets,
            compute_metrics=False,
        )
        loss /= tf.reduce_sum(inputs["weights"])
        self.mean_loss.update_state(loss)
        return loss


def _name(variable: tf.Variable) -> str:
    name: str = variable.name
    return name.partition(":")[0]


@dataclass(frozen=True)
class ItemStart:
    """Values for the variables of the item tower; the last tag is the one that all items share."""

    item_embedding: Float32s
    item_bias: Float32s
    item_weight: Float32s
    tag_embedding: Float32s
    tag_bias: Float32s

    @classmethod
    def split(
        cls, vectors: Float32s, weights: Float32s, tags: sparse.csr_array, plays: Float32s
    ) -> "ItemStart":
        """What the tags say of vectors and popularity goes to the tags, the rest to the items.

        Args:
            vectors: float32[items, dimension].
            weights: float32[items], of a play of each item; above 0.
            tags: float32[items, tags], the weights of each item's tags; they add up to at most 1.
            plays: as in `TwoTower`.
        """
        tags = with_any(tags)
        popularity = np.log(plays + 1) - np.log(plays + 1).mean()
        values = np.column_stack([vectors, popularity])
        of_tags = _ridge(tags, values, plays > 0)
        rest = values - tags @ of_tags
        return cls(rest[:, :-1], rest[:, -1], np.log(weights), of_tags[:, :-1], of_tags[:, -1])


def with_any(tags: sparse.csr_array) -> sparse.csr_array:
    """float32[items, tags + 1]: with the tag that all items share."""
    any_tag = sparse.csr_array(np.ones((tags.shape[0], 1), np.float32))
    return sparse.hstack([tags, any_tag], format="csr")


def _ridge(tags: sparse.csr_array, values: Float32s, use: Bools) -> Float32s:
    """float32[tags, columns]: the values as a sum over tags, from the items in use."""
    design = tags[use].astype(np.float64)
    square = (design.T @ design).toarray() + 10 * np.eye(tags.shape[1])
    solution: Float32s = np.linalg.solve(square, design.T @ values[use]).astype(np.float32)
    return solution
