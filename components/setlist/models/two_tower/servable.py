"""A trained two-tower as it is asked: strings in, lists out, under the model contract."""

from collections.abc import Mapping, Sequence

from setlist.arrays import Float32s
from setlist.data.schema import HISTORY_AGE
from setlist.models.recommender import DotProduct, Recommender, frozen, string_table
from setlist.models.scatter import neighbour_sum
from setlist.models.tf import tf
from setlist.models.two_tower.neighbourhood import Neighbourhood
from setlist.models.two_tower.network import TwoTower


class PlayVectors(tf.Module):
    """What a play of each item adds to a listener, float32[items, dimension], made when it is read.

    It is the item's vector by a factor, as in `TwoTower.play_vectors`: a second copy of the vectors
    would double the model.
    """

    def __init__(self, vectors: tf.Variable, factor: tf.Variable, dimension: int) -> None:
        """`vectors`: float32[items, dimension or more]; `factor`: float32[items]."""
        super().__init__()
        self.vectors = vectors
        self.factor = factor
        self.dimension = dimension

    def sparse_read(self, codes: tf.Tensor, name: str | None = None) -> tf.Tensor:
        """float32[..., dimension]: those of the codes; `tf.gather` asks this, as of a variable."""
        vectors = tf.gather(self.vectors.read_value(), codes, name=name)[..., : self.dimension]
        return vectors * tf.gather(self.factor.read_value(), codes)[..., None]


class Servable(DotProduct):
    """A trained two-tower under the model contract.

    Attributes:
        share: of the score of a listener with plays that others have.
    """

    share = 0.0

    kind = "two_tower"
    fallback = "items without plays are placed by their tags"

    def __init__(
        self,
        catalogue: Sequence[str],
        towers: TwoTower,
        vocabularies: Mapping[str, Sequence[str]],
        prior: Float32s,
    ) -> None:
        """Freeze the towers.

        Args:
            catalogue: the ids, in the order of the codes.
            towers: trained.
            vocabularies: the values of each named input, in the order of the codes.
            prior: float32[items, 2], added to the scores of newcomers, and to those of others.
        """
        super().__init__(
            catalogue,
            history_length=towers.user_tower.history_length,
            inputs=(*vocabularies, HISTORY_AGE),
        )
        # In a graph TensorFlow adds in place; one by one each sum would be another copy.
        rows = tf.function(lambda: tf.concat([towers.item_tower(), prior], axis=1))
        self.vectors = frozen(rows())
        factor = frozen(tf.exp(towers.item_weight * towers.played))
        self._plays = PlayVectors(self.vectors, factor, towers.user_tower.dimension)
        self._user_tower = towers.user_tower
        self._values = [string_table(values) for values in vocabularies.values()]

    def embed(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """U, g and which prior it is, so that u . v + g b + prior is one dot product."""
        named = [
            table.lookup(inputs[name])
            for name, table in zip(self.inputs[:-1], self._values, strict=True)
        ]
        bag = self._user_tower.bag(self._plays, history, inputs[HISTORY_AGE])
        users = self._user_tower(bag, named)
        known = tf.cast(bag.counts > 0, tf.int32)
        users *= 1 - self.share * tf.cast(known, tf.float32)[:, None]
        return tf.concat([users, tf.one_hot(known, 2)], axis=1)


class ServableWithNeighbours(Servable):
    """The same, with what plays say of their neighbours; no dot product any more."""

    def __init__(
        self,
        catalogue: Sequence[str],
        towers: TwoTower,
        vocabularies: Mapping[str, Sequence[str]],
        prior: Float32s,
        neighbourhood: Neighbourhood,
    ) -> None:
        """Freeze the towers and the neighbours; the arguments are as there."""
        super().__init__(catalogue, towers, vocabularies, prior)
        self.share = neighbourhood.share
        self._neighbours = frozen(neighbourhood.codes)
        self._added = frozen(neighbourhood.added)

    def score(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The dot product, and the sums of the neighbours."""
        sums = neighbour_sum(history, self._neighbours, self._added, len(self.catalogue))
        return super().score(history, inputs) + sums

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Without `embed` and `items`, by which others would retrieve."""
        return Recommender.signatures(self)
