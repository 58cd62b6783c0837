"""A model folder, checked and loaded in this process: the only place where a SavedModel is run."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from setlist.arrays import Float32s, Int32s, Int64s, Ragged, Strings
from setlist.data.schema import HISTORY_AGE
from setlist.errors import ModelError
from setlist.models.asked_model import AskedModel
from setlist.models.batches import batches
from setlist.models.contract import (
    EMPTY,
    FOREIGN,
    ModelInfo,
    read_catalogue,
    read_info,
)
from setlist.models.graph_check import check_graph
from setlist.models.retrieval import top
from setlist.models.tf import tf

Array = npt.NDArray[Any]
BATCH = 256
"""Listeners of an audience who are asked for at a time."""
BATCH_SCORES = 2**26
"""Fewer where a graph that scores them all at once would hold more scores than these: 256 MiB."""


class SavedModel(AskedModel):
    """A model that is loaded here."""

    def __init__(self, folder: Path, allowed: Collection[str] = ()) -> None:
        """Check the graph, then load the folder; nothing of it runs before.

        Args:
            folder: a model folder.
            allowed: names of operations that may stand in it beside the usual ones; see
                `setlist.models.graph_check`.

        Raises:
            ModelError: when it is no model folder, its graph could do more than compute, or its
                SavedModel lacks `recommend`.
        """
        self.info: ModelInfo = read_info(folder)
        check_graph(folder, allowed)
        self._loaded = tf.saved_model.load(str(folder / "saved_model"))
        if "recommend" not in self._loaded.signatures:
            raise ModelError(
                f"{folder}: the SavedModel has no signature `recommend`, only "
                f"{', '.join(self._loaded.signatures) or 'none'}",
                "export it with the signature of the contract",
            )
        self._signatures = self._loaded.signatures
        self._folder = folder

    def signature(
        self,
        history: Sequence[Sequence[str]],
        exclude: Sequence[Sequence[str]],
        k: int,
        inputs: Mapping[str, Sequence[str]],
        history_age_days: Sequence[Sequence[float]] | None = None,
    ) -> tuple[Strings, Float32s]:
        """The signature `recommend`; ages that are left out are 0."""
        ages = history_age_days or [[0.0] * len(plays) for plays in history]
        return self._recommend(
            pad(history, ""),
            pad(exclude, ""),
            k,
            self._columns(inputs, len(history)),
            pad(ages, np.float32(0)),
        )

    def lists(
        self,
        item_ids: pd.Index,
        plays: Ragged,
        exclude: Ragged,
        k: int,
        inputs: Mapping[str, Sequence[str]] | None = None,
        ages: Float32s | None = None,
    ) -> tuple[Int32s, Float32s]:
        """The lists of an audience.

        A model that offers its vectors is asked for these, and the lists are retrieved exactly;
        any other is asked for its lists, batch by batch.
        """
        number = len(plays.offsets) - 1
        columns = self._columns(inputs or {}, number)
        aged = np.zeros(len(plays.codes), np.float32) if ages is None else ages
        if {"embed", "items"} <= set(self._signatures):
            return self._retrieved(item_ids, plays, exclude, k, columns, aged)
        codes = np.full((number, k), EMPTY, np.int32)
        scores = np.full((number, k), -np.inf, np.float32)
        names = np.append(item_ids.to_numpy(dtype=object), "")  # a code of -1 is padding
        affordable = max(BATCH_SCORES // max(self.info.catalogue_size, 1), 1)
        read = np.minimum(np.diff(plays.offsets), self.info.history_length)
        for rows in batches([read, np.diff(exclude.offsets)], min(BATCH, affordable)):
            position = latest(plays.offsets, rows, self.info.history_length)
            known = latest(exclude.offsets, rows)
            ids, values = self._recommend(
                names[at(plays.codes, position, -1)],
                names[at(exclude.codes, known, -1)],
                k,
                {name: column[rows] for name, column in columns.items()},
                at(aged, position, 0),
            )
            if ids.shape[1] > k:
                raise ModelError(
                    f"model {self.info.name} listed {ids.shape[1]} items where {k} were asked for",
                    "clip k to the size of the catalogue",
                )
            listed = np.reshape(item_ids.get_indexer(pd.Index(ids.ravel())), ids.shape)
            listed[(listed < 0) & (ids != "")] = FOREIGN
            codes[rows, : ids.shape[1]] = listed
            scores[rows, : ids.shape[1]] = values
        return codes, scores

    def _retrieved(
        self,
        item_ids: pd.Index,
        plays: Ragged,
        exclude: Ragged,
        k: int,
        columns: Mapping[str, Array],
        ages: Float32s,
    ) -> tuple[Int32s, Float32s]:
        """`lists` by the vectors of listeners and items."""
        known_ids = pd.Index(read_catalogue(self._folder), dtype=object)
        items = self._answer("items", {})["items"]
        if items.ndim != 2 or len(items) != len(known_ids) or not known_ids.is_unique:
            raise ModelError(
                f"model {self.info.name} answered {items.shape} item vectors",
                f"give one for each of the {len(known_ids)} lines of its catalogue.txt, each once",
            )
        code = known_ids.get_indexer(item_ids).astype(np.int32)
        users = np.empty((len(plays.offsets) - 1, items.shape[1]), np.float32)
        history = code[plays.codes]
        read = np.minimum(np.diff(plays.offsets), self.info.history_length)
        for rows in batches([read], BATCH):
            position = latest(plays.offsets, rows, self.info.history_length)
            arguments = {name: column[rows] for name, column in columns.items()}
            arguments["history"] = at(history, position, -1)
            if HISTORY_AGE in self.info.inputs:
                arguments[HISTORY_AGE] = at(ages, position, 0)
            vectors = self._answer("embed", arguments)["users"]
            if vectors.shape != (len(rows), items.shape[1]):
                raise ModelError(
                    f"model {self.info.name} answered {vectors.shape} vectors for {len(rows)} "
                    "listeners",
                    f"give them the {items.shape[1]} dimensions of its items",
                )
            users[rows] = vectors
        try:
            codes, scores = top(users, items, k, exclude.offsets, code[exclude.codes])
        except ValueError as fault:
            raise ModelError(f"model {self.info.name} is unusable: {fault}.") from fault
        callers_codes = item_ids.get_indexer(known_ids).astype(np.int32)
        callers_codes[callers_codes < 0] = FOREIGN
        return np.append(callers_codes, np.int32(EMPTY))[codes], scores

    def _columns(self, inputs: Mapping[str, Sequence[str]], number: int) -> dict[str, Array]:
        """The categorical inputs that the model requires: object[number], "" where not known."""
        return {
            name: np.array(inputs.get(name, [""] * number), dtype=object)
            for name in self.info.categorical_inputs
        }

    def _recommend(
        self, history: Array, exclude: Array, k: int, columns: Mapping[str, Array], ages: Array
    ) -> tuple[Strings, Float32s]:
        """The signature `recommend`, its answer checked."""
        arguments = {"history": history, "exclude": exclude, "k": np.array(k, np.int32), **columns}
        if HISTORY_AGE in self.info.inputs:
            arguments[HISTORY_AGE] = ages
        answer = self._answer("recommend", arguments)
        ids, scores = answer["item_ids"], answer["scores"]
        if np.isnan(scores).any():
            raise ModelError(f"model {self.info.name} answered with NaN scores", "train it again")
        if ids.dtype != object:
            raise ModelError(
                f"model {self.info.name} answered with ids of type {ids.dtype}",
                "answer with strings",
            )
        if ids.shape != scores.shape or ids.ndim != 2 or len(ids) != len(history):
            raise ModelError(
                f"model {self.info.name} answered {ids.shape} ids and {scores.shape} scores for "
                f"{len(history)} listeners",
                "answer with [batch, k] of both",
            )
        return decoded(ids), scores

    def _answer(self, signature: str, arguments: Mapping[str, Array]) -> dict[str, Array]:
        tensors = {
            name: tf.constant(array, tf.string if array.dtype == object else array.dtype)
            for name, array in arguments.items()
        }
        try:
            answer = self._signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as fault:
            nan = "its scores contain NaN" if "contain NaN" in fault.message else fault.message
            raise ModelError(f"model {self.info.name} failed: {nan}.") from fault
        return {name: tensor.numpy() for name, tensor in answer.items()}


def decoded(ids: Array) -> Strings:
    """The ids as strings, one by one: an array of fixed width would have that of the longest."""
    strings: Strings = np.array(_DECODE(ids), dtype=object, copy=None)
    return strings


_DECODE = np.frompyfunc(bytes.decode, 1, 1)


def latest(offsets: Int64s, rows: Int64s, keep: int | None = None) -> Int64s:
    """Positions of the last `keep` codes of each row: int64[rows, longest], -1 before them."""
    stop = offsets[rows + 1]
    length = stop - offsets[rows]
    if keep is not None:
        length = np.minimum(length, keep)
    width = int(length.max(initial=0))
    column = np.arange(width) - width
    return np.where(column >= -length[:, None], column + stop[:, None], -1)


def at(values: Array, position: Int64s, filler: float) -> Array:
    """The values at the positions, `filler` at those below 0; of the type of `values`."""
    return np.where(position < 0, values.dtype.type(filler), values[position])


def pad(
    rows: Sequence[Sequence[str]] | Sequence[Sequence[float]], filler: str | np.float32
) -> Array:
    """[rows, longest row], each row at the right end, `filler` before it."""
    width = max((len(row) for row in rows), default=0)
    dtype = object if isinstance(filler, str) else np.float32
    padded = np.full((len(rows), width), filler, dtype=dtype)
    for line, row in zip(padded, rows, strict=True):
        if len(row):
            line[width - len(row) :] = row
    return padded
