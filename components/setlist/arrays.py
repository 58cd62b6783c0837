"""The types of numpy arrays, by what they hold; shapes stand in docstrings as float32[rows, d]."""

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Strings = npt.NDArray[np.object_]
"""Python strings as objects."""
