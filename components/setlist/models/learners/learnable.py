"""What simple learners learn from, and the models that they become."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from setlist.arrays import Float32s, Int32s
from setlist.data.features import Features
from setlist.models.histories import Histories
from setlist.models.inner_split import InnerSplit, inner_split
from setlist.models.learners.factors import ItemFactors
from setlist.models.recommender import DotProduct, Recommender, frozen
from setlist.models.scatter import neighbour_sum
from setlist.models.tf import tf

HISTORY_LENGTH = 200
"""How many of the latest plays are read, as by the two-tower."""
POPULARITY_WEIGHT = 1e-6
"""Of the share of listeners beside a score: enough to order items without one."""
FALLBACK = "a listener without plays is shown what most listeners played"


@dataclass(frozen=True)
class Learnable:
    """The features of a run, and what of them is held out while settings are chosen."""

    features: Features

    @cached_property
    def histories(self) -> Histories:
        """All plays of the training period."""
        return Histories.of(self.features)

    @cached_property
    def split(self) -> InnerSplit:
        """The inner split of them."""
        return inner_split(self.histories, self.items, np.inf, HISTORY_LENGTH)

    @property
    def split_in_time(self) -> InnerSplit:
        """The same for a rule that reads no history: where few listeners return, with newcomers."""
        if self.split.since is not None:
            return self.split
        return inner_split(self.histories, self.items, np.inf, HISTORY_LENGTH, newcomers=True)

    @property
    def items(self) -> int:
        """The size of the catalogue."""
        return len(self.features.items)

    @cached_property
    def listeners(self) -> Float32s:
        """float32[items]: how many listeners played each."""
        first = self.histories.items[self.histories.first]
        return np.bincount(first, minlength=self.items).astype(np.float32)

    @property
    def played(self) -> list[str]:
        """The ids of the items that somebody played, in tie order."""
        ids: list[str] = self.features.items["item_id"][self.listeners > 0].tolist()
        return ids

    @property
    def popularity(self) -> Float32s:
        """float32[played items]: listeners, as a share of the most played item's."""
        listeners = self.listeners[self.listeners > 0]
        return listeners / listeners.max(initial=1)


class Bag(DotProduct):
    """The score of item j is a sum over the plays of the history; see `ItemFactors`."""

    kind = "learner"
    fallback = FALLBACK

    def __init__(self, learnable: Learnable, factors: ItemFactors) -> None:
        """Freeze the factors of the items, of which only the played ones are recommended."""
        super().__init__(learnable.played, history_length=HISTORY_LENGTH)
        played = learnable.listeners > 0
        vectors = factors.vectors[played]
        self.vectors = frozen(np.column_stack([vectors, learnable.popularity]))
        # What a play adds is the item's vector by these two (`ItemFactors.into`).
        self._weights = frozen(factors.weights[played])
        self._scale = tf.constant(factors.scale)

    def embed(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:  # noqa: ARG002
        """The sum, and what popularity counts, which orders what the plays say nothing of."""
        played = tf.maximum(history, 0)
        weights = tf.where(history >= 0, tf.gather(self._weights.read_value(), played), 0.0)
        vectors = tf.gather(self.vectors.read_value(), played)[..., : self._scale.shape[0]]
        plays = tf.einsum("bl,bld->bd", weights, vectors) * self._scale
        return tf.concat([plays, tf.fill([tf.shape(plays)[0], 1], POPULARITY_WEIGHT)], axis=1)


class ItemItem(Recommender):
    """The score of item j is the sum of the weights w_ij over the plays i of the history."""

    kind = "learner"
    fallback = FALLBACK

    def __init__(self, learnable: Learnable, codes: Int32s, weights: Float32s) -> None:
        """Freeze the neighbours.

        Args:
            learnable: names the items, of which only the played ones are recommended.
            codes: int32[items, neighbours], in codes of the whole catalogue.
            weights: float32[items, neighbours].
        """
        super().__init__(learnable.played, history_length=HISTORY_LENGTH)
        played = learnable.listeners > 0
        place = np.cumsum(played, dtype=np.int32) - 1
        self._neighbours = frozen(np.where(played[codes], place[codes], -1)[played])
        self._weights = frozen(weights[played])
        self._popularity = frozen(POPULARITY_WEIGHT * learnable.popularity)

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:  # noqa: ARG002
        """The sums; popularity orders what has none."""
        sums = neighbour_sum(history, self._neighbours, self._weights, len(self.catalogue))
        return sums + self._popularity
