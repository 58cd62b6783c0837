"""Types of numpy arrays by what they hold, and lists of item codes as two arrays.

Shapes stand in docstrings, such as float32[rows, d].
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Strings = npt.NDArray[np.object_]
"""Python strings as objects."""


@dataclass(frozen=True)
class Ragged:
    """A list of item codes for each listener: row u is codes[offsets[u]:offsets[u + 1]].

    Attributes:
        offsets: int64[listeners + 1], from 0 up to the number of codes.
        codes: int32[offsets[-1]].
    """

    offsets: Int64s
    codes: Int32s

    @classmethod
    def from_pairs(cls, rows: Int64s, codes: Int64s, length: int) -> Self:
        """`length` lists from pairs of row and code.

        Args:
            rows: int64[pairs], ascending.
            codes: int64[pairs].
            length: the number of lists; those without a pair are empty.
        """
        return cls(np.searchsorted(rows, np.arange(length + 1)), codes.astype(np.int32))

    def take(self, rows: Int64s) -> "Ragged":
        """The lists of these rows, in this order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Ragged(offsets, self.codes[np.repeat(self.offsets[rows], lengths) + within])

    @property
    def lengths(self) -> Int64s:
        """int64[listeners]: the length of each list."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> Int64s:
        """int64[codes]: the row of each code."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)
