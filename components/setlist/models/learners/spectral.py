"""The spectral learner: the directions in which listeners differ, from the matrix of plays.

The matrix of plays (1 where a listener played an item) is scaled by powers of the number of plays
of its rows and columns, and cut to its strongest singular vectors V with singular values s. The
score of item j for a history H is

    sum over i in H of  V_i . f V_j / (1 - q_j),    f = s^2 / (s^2 + strength)

With all exponents 0, no strength and q = 0 it is PureSVD (Cremonesi et al. 2010); with a row
exponent of 1/2, a normalised SVD, the low-pass filter of a graph; with a strength and q_j = V_j . f
V_j, the part of an item's score that is its own, EASE (Steck 2019) within these directions. No
setting of them serves all tables, so each is chosen on the plays that the inner split holds out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import numpy as np
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from setlist.arrays import Float32s
from setlist.models.inner_split import InnerSplit
from setlist.models.learners.factors import (
    COARSE_LISTENERS,
    ItemFactors,
    play_matrix,
    scaled,
    search_matrix,
)
from setlist.models.learners.learnable import Bag, Learnable
from setlist.models.learners.trials import Trials
from setlist.models.recommender import Recommender

ROW_EXPONENTS, COLUMN_EXPONENTS = (0.0, 0.5), (0.0, 0.25, 0.5)
DIMENSIONS = (8, 16, 32, 64, 128)
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Of the filter, in units of the median of s^2 over the directions in use."""
LARGEST_OWN_SHARE = 0.999
"""Of q, which is 1 for an item with a direction of its own."""
FINALISTS = 2
"""Settings of each pair of exponents that are tried on all held-out listeners."""
ROUNDING = 1e-5
"""Singular values below this share of the largest are 0 but for the rounding of float32."""
SUBSPACE_ROUNDS, SPARE_DIRECTIONS = 4, 10
"""Rounds of the subspace iteration, and how many directions it carries beyond those asked for."""


@dataclass(frozen=True)
class SpectralSettings:
    """What is chosen on held-out plays; see the formula above."""

    row_exponent: float
    column_exponent: float
    dimension: int
    strength: float
    own_share: bool
    """Whether a score is divided by 1 - q."""

    def __str__(self) -> str:
        """A phrase for people."""
        return (
            f"the spectral model with {self.dimension} dimensions (exponents "
            f"{self.row_exponent:g} and {self.column_exponent:g}, strength {self.strength:g}"
            f"{', divided by 1 - q' if self.own_share else ''})"
        )


@dataclass(frozen=True)
class Spectrum:
    """The singular vectors of the items, float32[items, rank], and their values, float32[rank]."""

    vectors: Float32s
    values: Float32s

    @classmethod
    def of(
        cls, plays: sparse.csr_array, row_exponent: float, column_exponent: float, rank: int
    ) -> "Spectrum":
        """By subspace iteration (Halko, Martinsson and Tropp 2011), from fixed random directions.

        Args:
            plays: float32[listeners, items], 1 where the listener played the item.
            row_exponent: rows are divided by the number of their plays to this power.
            column_exponent: so are columns.
            rank: how many; directions that the plays do not have get the value 0.
        """
        matrix = scaled(plays, row_exponent, column_exponent)
        turned = sparse.csr_array(matrix.T)
        carried = min(rank + SPARE_DIRECTIONS, *plays.shape)
        basis = np.random.default_rng(0).normal(size=(plays.shape[1], carried)).astype(np.float32)
        for _ in range(SUBSPACE_ROUNDS):
            # Several times as fast as numpy's.
            basis, _ = linalg.qr(turned @ (matrix @ basis), mode="economic", overwrite_a=True)
        (triangle,) = linalg.qr(matrix @ basis, mode="r", overwrite_a=True)
        _, values, right = np.linalg.svd(triangle[:carried])
        vectors, values = (basis @ right.T)[:, :rank], values[:rank]
        values = np.where(values > ROUNDING * values[0], values, 0)
        lacking = rank - len(values)
        return cls(
            np.pad(vectors, [(0, 0), (0, lacking)]).astype(np.float32),
            np.pad(values, (0, lacking)).astype(np.float32),
        )

    def factors(self, settings: SpectralSettings) -> ItemFactors:
        """The score under some settings; directions beyond their dimension have the scale 0."""
        power = self.values**2
        power[settings.dimension :] = 0
        share = settings.strength * np.median(power[power > 0]) if power.any() else 0.0
        scale = np.divide(power, power + share, where=power > 0, out=np.zeros_like(power))
        own = np.zeros(len(self.vectors), np.float32)
        if settings.own_share:
            own = np.minimum(self.vectors**2 @ scale, np.float32(LARGEST_OWN_SHARE))
        return ItemFactors(self.vectors / (1 - own)[:, None], 1 - own, scale)


# Threads of the BLAS wait for each other more than they work: on MovieLens-1M the search takes a
# half of the CPU with one, and a tenth where other work is on the machine.
@threadpool_limits.wrap(limits=1, user_api="blas")
def choose_spectral(
    split: InnerSplit, items: int, most: int | None = None, trials: Trials | None = None
) -> tuple[SpectralSettings, float | None]:
    """Try the exponents, dimensions and filters on the held-out plays.

    For each pair of exponents the dimension first, then the filters at that dimension, on the
    first COARSE_LISTENERS; the best of them on all.

    Args:
        split: of the training period.
        items: of the catalogue.
        most: the largest dimension to try.
        trials: where what was measured is kept.

    Returns:
        The settings, and the mean NDCG@100 of the held-out plays; None where nobody is held out.
    """
    dimensions = sorted({min(dimension, most or dimension) for dimension in DIMENSIONS})
    default = SpectralSettings(0.5, 0.25, dimensions[len(dimensions) // 2], 0.0, own_share=False)
    if not split.check:
        return default, None
    trials = trials or Trials()
    plays = search_matrix(split, items)
    coarse = split.some(COARSE_LISTENERS)
    values: dict[SpectralSettings, float] = {}
    for exponents in product(ROW_EXPONENTS, COLUMN_EXPONENTS):
        # Not at once: a search that was taken up again may need it no more.
        spectrum = cache(partial(Spectrum.of, plays, *exponents, max(dimensions)))
        for settings in _finalists(exponents, dimensions, spectrum, coarse, trials):
            worth = partial(_worth, spectrum, settings, split)
            values[settings] = trials.worth(settings, worth)
        best = max(values, key=values.__getitem__)
        print(
            f"spectral: {len(values)} settings tried, held-out NDCG@100 {values[best]:.4f}",
            flush=True,
        )
    return best, values[best]


def _finalists(
    exponents: tuple[float, float],
    dimensions: Sequence[int],
    spectrum: Callable[[], Spectrum],
    coarse: InnerSplit,
    trials: Trials,
) -> list[SpectralSettings]:
    """The best settings of a pair of exponents: the dimension first, then the filter."""

    def look(settings: SpectralSettings) -> float:
        return trials.first_look(settings, partial(_worth, spectrum, settings, coarse))

    tried = [
        SpectralSettings(*exponents, dimension, strength, own_share=False)
        for dimension in dimensions
        for strength in (0.0, 1.0)
    ]
    dimension = max(tried, key=look).dimension
    filters = (
        SpectralSettings(*exponents, dimension, strength, own_share)
        for strength in STRENGTHS
        for own_share in (False, True)
    )
    tried += [settings for settings in filters if settings not in tried]
    return sorted(tried, key=look)[-FINALISTS:]


def _worth(
    spectrum: Callable[[], Spectrum], settings: SpectralSettings, split: InnerSplit
) -> float:
    """Mean NDCG@100; 0 where all directions of the plays weigh alike.

    Then the score of an item says whether it was played, and nothing of any other.
    """
    directions = np.count_nonzero(spectrum().values)
    if not settings.strength and directions <= min(settings.dimension, len(spectrum().values) - 1):
        return 0.0
    return spectrum().factors(settings).worth(split)


@threadpool_limits.wrap(limits=1, user_api="blas")
def spectral(plays: sparse.csr_array, settings: SpectralSettings) -> ItemFactors:
    """The directions of these plays, float32[items, settings.dimension], under the settings."""
    exponents = settings.row_exponent, settings.column_exponent
    return Spectrum.of(plays, *exponents, settings.dimension).factors(settings)


def fit_spectral(learnable: Learnable) -> Recommender:
    """Choose the settings on the held-out plays, and fit them to all."""
    settings, _ = choose_spectral(learnable.split, learnable.items)
    plays = play_matrix(learnable.histories, learnable.items)
    return Bag(learnable, spectral(plays, settings))
