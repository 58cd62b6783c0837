"""The part of the score that two towers cannot express: what a play of one item says of another.

The vectors of towers have some hundred dimensions. Where tastes are finer than that, as in large
sparse tables, the weights of an item-item learner know more. They may have a share of the score,
for listeners with plays:

    (1 - share) * towers + share * scale * sum of the weights of the plays

The scale makes both deviate alike. The share is chosen on the held-out plays, and is 0 unless
another one is better beyond an interval.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy import sparse

from setlist.arrays import Float32s, Float64s, Int32s
from setlist.models.histories import Examples
from setlist.models.learners.factors import bag
from setlist.models.learners.item_item import ItemItemSettings, neighbours

SHARES = (0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Neighbourhood:
    """The weights of an item-item learner, and their share of the score.

    Attributes:
        codes: int32[items, neighbours].
        weights: float32[items, neighbours], of what a play of the row's item says of them.
        share: of the score, from 0 to 1.
        scale: on the weights.
    """

    codes: Int32s
    weights: Float32s
    share: float = 0.0
    scale: float = 1.0

    @property
    def added(self) -> Float32s:
        """float32[items, neighbours]: what a play adds to the score."""
        return self.weights * np.float32(self.share * self.scale)

    def refitted(self, plays: sparse.csr_array, settings: ItemItemSettings) -> Self:
        """The same share of the weights that these plays give, float32[listeners, items]."""
        codes, weights = neighbours(plays, settings)
        return replace(self, codes=codes, weights=weights)

    def sums(self, batch: Examples) -> Float32s:
        """float32[batch, items]: what the histories add to the scores."""
        items, width = self.codes.shape
        offsets = np.arange(0, items * width + 1, width)
        table = sparse.csr_array(
            (self.added.ravel(), self.codes.ravel(), offsets), shape=(items, items)
        )
        sums: Float32s = (bag(batch, items) @ table).toarray()
        return sums

    def scaled_to(self, example: tuple[Examples, Float64s]) -> Self:
        """With the scale by which the sums deviate as much as the scores.

        Args:
            example: a batch with the scores of towers, float64[batch, items]; -inf is left out.
        """
        batch, scores = example
        use = np.isfinite(scores)
        use[np.bincount(batch.rows, minlength=len(scores)) == 0] = False
        sums = replace(self, share=1.0, scale=1.0).sums(batch)[use]
        deviation = float(sums.std()) if len(sums) else 0.0
        return replace(self, scale=float(scores[use].std()) / deviation) if deviation else self

    def placed(self, known: list[str], catalogue: list[str]) -> Self:
        """Of another catalogue; an item that was not known has no neighbours and is nobody's."""
        code = {item: place for place, item in enumerate(catalogue)}
        place = np.array([code.get(item, -1) for item in known], np.int32)
        codes = np.full((len(catalogue), self.codes.shape[1]), -1, np.int32)
        weights = np.zeros(codes.shape, np.float32)
        kept = np.flatnonzero(place >= 0)
        codes[place[kept]] = place[self.codes[kept]]
        weights[place[kept]] = self.weights[kept]
        return replace(self, codes=codes, weights=weights)
