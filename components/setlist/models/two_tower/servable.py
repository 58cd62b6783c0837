"""A trained two-tower as it is asked: strings in, lists out, under the model contract."""

from collections.abc import Mapping, Sequence

from setlist.arrays import Float32s
from setlist.data.schema import HISTORY_AGE
from setlist.models.blocks import in_blocks
from setlist.models.inverted_file import InvertedFile
from setlist.models.recommender import DotProduct, Recommender, frozen, string_table
from setlist.models.scatter import neighbour_sum
from setlist.models.tf import tf
from setlist.models.two_tower.neighbourhood import Neighbourhood
from setlist.models.two_tower.network import TwoTower

ROWS = 100_000
"""Items whose vectors are made at once, so that exporting holds them once."""


class Servable(DotProduct):
    """A trained two-tower under the model contract.

    Attributes:
        share: of the score of a listener with plays that others have.
        dimension: of the towers; a bias and two priors follow in each vector.
        inverted_file: by which lists are retrieved approximately, where they are.
    """

    share = 0.0
    inverted_file: InvertedFile | None = None

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
        items, dimension = len(catalogue), towers.user_tower.dimension
        self.vectors = frozen(tf.zeros([items, dimension + 1 + prior.shape[1]]))
        for start in range(0, items, ROWS):
            stop = min(start + ROWS, items)
            rows = tf.concat([towers.item_tower(start, stop), prior[start:stop]], axis=1)
            self.vectors[start:stop].assign(rows)
        self._factors = frozen(towers.play_factors())
        self._user_tower = towers.user_tower
        self.dimension = dimension
        self._values = [string_table(values) for values in vocabularies.values()]

    def embed(self, history: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """U, g and which prior it is, so that u . v + g b + prior is one dot product."""
        named = [
            table.lookup(inputs[name])
            for name, table in zip(self.inputs[:-1], self._values, strict=True)
        ]
        codes = tf.maximum(history, 0)
        vectors = tf.gather(self.vectors.read_value(), codes)[..., : self.dimension]
        plays = vectors * tf.gather(self._factors.read_value(), codes)[..., None]
        bag = self._user_tower.bag(plays, history, inputs[HISTORY_AGE])
        users = self._user_tower(bag, named)
        known = tf.cast(bag.counts > 0, tf.int32)
        users *= 1 - self.share * tf.cast(known, tf.float32)[:, None]
        return tf.concat([users, tf.one_hot(known, 2)], axis=1)

    def best(
        self, history: tf.Tensor, exclude: tf.Tensor, k: tf.Tensor, inputs: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Of some clusters, where there are plays and these fill the list; else of all items."""
        if self.inverted_file is None:
            return super().best(history, exclude, k, inputs)
        inverted, exact = self.inverted_file, super().best
        users, vectors = self.embed(history, inputs), self.vectors.read_value()

        # Listener by listener: what a list holds must not depend on who else is asked for.
        def answer(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            user = tf.reduce_sum(tf.gather(users, rows), axis=0)
            out = tf.reduce_sum(tf.gather(exclude, rows), axis=0)
            codes, scores, filled = inverted.best(user, vectors, out, k)

            def of_all_items() -> tuple[tf.Tensor, tf.Tensor]:
                named = {name: tf.gather(values, rows) for name, values in inputs.items()}
                return exact(tf.gather(history, rows), tf.gather(exclude, rows), k, named)

            asked = tf.shape(rows)[0]  # a listener, or nobody
            filled &= tf.reduce_any(tf.gather(history, rows) >= 0)
            return tf.cond(
                filled, lambda: (codes[None][:asked], scores[None][:asked]), of_all_items
            )

        places, scores = in_blocks(answer, tf.shape(history)[0], 1, (tf.int32, tf.float32))
        return places, scores

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Where it is approximate, without `embed` and `items`: what is evaluated is served."""
        if self.inverted_file is None:
            return super().signatures()
        return Recommender.signatures(self)


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
