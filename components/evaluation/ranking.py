"""What metrics see: lists, truth, history and catalogue as tables of integer codes.

Notation of all metrics: R_u are the relevant items of listener u, L_u is u's top-k list, phi(i)
the share of training listeners who played item i. Truth sets the denominator: a listener for whom
a model returned nothing scores 0, and a short list is not forgiven.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

EMPTY, FOREIGN = -1, -2
"""Codes of a position that was not filled, and of an id outside the catalogue (a miss)."""


@dataclass(frozen=True)
class Catalogue:
    """What metrics know of the items, in the order of the codes.

    Attributes:
        listeners: int64[items], training listeners of each item.
        tags: bool[items, tags].
        training_listeners: how many listeners the training period has.
    """

    listeners: npt.NDArray[np.int64]
    tags: Bools
    training_listeners: int

    @property
    def size(self) -> int:
        """The number of items that can be recommended."""
        return len(self.listeners)

    @cached_property
    def phi(self) -> Floats:
        """float64[items]: the share of training listeners who played the item."""
        return self.listeners / max(self.training_listeners, 1)


@dataclass(frozen=True)
class Ragged:
    """A list of item codes for each listener: row u is codes[offsets[u]:offsets[u + 1]]."""

    offsets: npt.NDArray[np.int64]
    codes: Codes

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64[listeners]."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """int64[codes]: the listener of each code."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)


@dataclass(frozen=True)
class Ranking:
    """One model's lists beside the truth.

    Attributes:
        top: int32[listeners, K], codes best first; EMPTY and FOREIGN are below 0. No code stands
            twice in a row.
        truth: the relevant items of each listener, each once, at least one.
        history: the items that each listener played in training.
    """

    top: Codes
    truth: Ragged
    history: Ragged
    catalogue: Catalogue

    @cached_property
    def hits(self) -> Bools:
        """bool[listeners, K]: the position holds a relevant item."""
        size = self.catalogue.size
        relevant = np.sort(self.truth.rows * size + self.truth.codes)
        asked = np.arange(len(self.top))[:, None] * size + self.top
        place = np.minimum(np.searchsorted(relevant, asked), max(len(relevant) - 1, 0))
        return (self.top >= 0) & (relevant[place] == asked)

    @cached_property
    def relevant(self) -> npt.NDArray[np.int64]:
        """int64[listeners]: |R_u|."""
        return self.truth.lengths

    def shown(self, k: int) -> npt.NDArray[np.int64]:
        """int64[items]: in how many top-k lists each item of the catalogue stands."""
        codes = self.top[:, :k]
        return np.bincount(codes[codes >= 0], minlength=self.catalogue.size)

    def mean_over_list(self, values: npt.NDArray[np.generic], k: int) -> Floats:
        """float64[listeners]: mean over the filled positions of L_u of `values[item]`; 0 for none.

        Args:
            values: numbers or booleans [items].
            k: the cut-off.
        """
        codes = self.top[:, :k]
        filled = codes >= 0
        sums = np.where(filled, values[np.maximum(codes, 0)], 0).sum(axis=1)
        return np.asarray(sums / np.maximum(filled.sum(axis=1), 1), dtype=np.float64)
