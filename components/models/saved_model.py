"""A model folder, loaded: the one place where a SavedModel is asked.

Evaluation, server and dashboard see models through this class only, so that a heuristic, the new
model, the live model and a stranger's stand on the same footing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.errors import SetlistError
from components.models.contract import HISTORY_AGE, ModelInfo, read_info

Strings = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float32]


class SavedModel:
    """A model of the contract, ready to recommend."""

    def __init__(self, folder: Path) -> None:
        """Load the folder.

        Raises:
            SetlistError: when it is no model folder, or its SavedModel lacks `recommend`.
        """
        self.info: ModelInfo = read_info(folder)
        self._loaded = tf.saved_model.load(str(folder / "saved_model"))
        if "recommend" not in self._loaded.signatures:
            raise SetlistError(
                f"{folder}: the SavedModel has no signature `recommend`; "
                f"it has {', '.join(self._loaded.signatures) or 'none'}."
            )
        self._recommend = self._loaded.signatures["recommend"]

    def recommend(
        self,
        history: Sequence[Sequence[str]],
        exclude: Sequence[Sequence[str]],
        k: int,
        inputs: Mapping[str, Sequence[str]] | None = None,
        history_age_days: Sequence[Sequence[float]] | None = None,
    ) -> tuple[Strings, Floats]:
        """The best k items for each listener of a batch.

        Args:
            history: the plays of each listener, oldest first, any length; only the suffix that the
                model reads is sent.
            exclude: the ids that must not be listed for each listener.
            k: the length of the lists.
            inputs: categorical inputs, one string a listener; the ones that the model requires are
                taken from it, "" where there is none.
            history_age_days: the age of each play, of the same shape as `history`; needed by the
                models that name it as an input.

        Returns:
            item_ids: object[batch, min(k, catalogue)], "" where a position could not be filled.
            scores: float32 of the same shape, -inf there.

        Raises:
            SetlistError: when the model answers with NaN or with a wrong shape.
        """
        keep = self.info.history_length
        ages = history_age_days or [[0.0] * len(plays) for plays in history]
        return self.signature(
            [plays[-keep:] for plays in history],
            exclude,
            k,
            inputs or {},
            [age[-keep:] for age in ages],
        )

    def signature(
        self,
        history: Sequence[Sequence[str]],
        exclude: Sequence[Sequence[str]],
        k: int,
        inputs: Mapping[str, Sequence[str]],
        history_age_days: Sequence[Sequence[float]] = (),
    ) -> tuple[Strings, Floats]:
        """`recommend` with the whole history sent, as a caller does who did not cut it."""
        arguments = {
            "history": tf.constant(pad(history, ""), tf.string),
            "exclude": tf.constant(pad(exclude, ""), tf.string),
            "k": tf.constant(k, tf.int32),
        }
        for name in self.info.categorical_inputs:
            arguments[name] = tf.constant(list(inputs.get(name, [""] * len(history))), tf.string)
        if HISTORY_AGE in self.info.inputs:
            arguments[HISTORY_AGE] = tf.constant(pad(history_age_days, np.float32(0)))
        try:
            answer = self._recommend(**arguments)
        except tf.errors.InvalidArgumentError as fault:
            nan = "its scores contain NaN" if "contain NaN" in fault.message else fault.message
            raise SetlistError(f"model {self.info.name} failed: {nan}.") from fault
        ids, scores = answer["item_ids"].numpy(), answer["scores"].numpy()
        if np.isnan(scores).any():
            raise SetlistError(f"model {self.info.name} answered with NaN scores; it is unusable.")
        if ids.shape != scores.shape or ids.ndim != 2 or len(ids) != len(history):
            raise SetlistError(
                f"model {self.info.name} answered {ids.shape} ids and {scores.shape} scores for "
                f"{len(history)} listeners; the contract asks for [batch, k] of both."
            )
        return np.char.decode(ids.astype(np.bytes_), "utf-8").astype(object), scores


def pad(
    rows: Sequence[Sequence[str]] | Sequence[Sequence[float]], filler: str | np.float32
) -> npt.NDArray[np.generic]:
    """[rows, longest row], each row at the right end, `filler` before it."""
    width = max((len(row) for row in rows), default=0)
    dtype = object if isinstance(filler, str) else np.float32
    padded = np.full((len(rows), width), filler, dtype=dtype)
    for line, row in zip(padded, rows, strict=True):
        if len(row):
            line[width - len(row) :] = row
    return padded
