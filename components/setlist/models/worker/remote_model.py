"""A model in a worker; it is asked as `setlist.models.saved_model.SavedModel` is."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Int32s, Ragged, Strings
from setlist.errors import ModelError
from setlist.models.asked_model import AskedModel
from setlist.models.batches import batches
from setlist.models.contract import FOREIGN
from setlist.models.worker.frames import Array, Message
from setlist.models.worker.model_worker import ModelWorker

CALL_SECONDS = 300.0
"""The most that one call of these may take: many listeners are asked for at once."""
LISTENERS = 1 << 15
"""Listeners of an audience who are asked for in one call."""
CODES = 1 << 24
"""Fewer where they have more plays and exclusions than these: 0.1 GB with their ages."""
SCORES = 1 << 31
"""Fewer where there would be more scores than these: of a million items they take some 60 s of
processor time."""


@dataclass(frozen=True)
class Timing:
    """How long one request took, in milliseconds.

    Attributes:
        milliseconds: from its start to its answer.
        processor_ms: of all threads of the worker meanwhile.
        reference_ms: of a computation that is always the same, right after it.
    """

    milliseconds: float
    processor_ms: float
    reference_ms: float


class RemoteModel(AskedModel):
    """A model that a worker has loaded; it may be asked until the worker drops it."""

    def __init__(self, worker: ModelWorker, folder: Path, allowed: Collection[str] = ()) -> None:
        """Load the folder in the worker.

        Raises:
            ModelError: see `ModelWorker.load`.
        """
        self._worker, self._folder = worker, folder
        self.info = worker.load(folder, allowed)

    def drop(self) -> None:
        """Let the worker forget it.

        Raises:
            ModelUnansweredError: the worker does not answer any more.
        """
        self._worker.drop(self._folder, CALL_SECONDS)

    def _ask(
        self,
        call: str,
        head: Mapping[str, object] | None = None,
        arrays: Mapping[str, Array] | None = None,
        *,
        asked: str,
        seconds: float = CALL_SECONDS,
    ) -> Message:
        return self._worker.ask(call, self._folder, head, arrays, asked=asked, seconds=seconds)

    def signature(
        self,
        history: Sequence[Sequence[str]],
        exclude: Sequence[Sequence[str]],
        k: int,
        inputs: Mapping[str, Sequence[str]],
        history_age_days: Sequence[Sequence[float]] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> tuple[Strings, Float32s]:
        """The signature `recommend`, within so many seconds.

        It is called once unless the listeners are more than a batch; see `setlist.models.batches`.
        """
        until = time.monotonic() + seconds
        lengths = [np.array([*map(len, table)], np.int64) for table in (history, exclude)]
        parts = [*batches(lengths, len(history))]
        if len(parts) <= 1:
            return self._signature(history, exclude, k, inputs, history_age_days, seconds)
        answers = [
            self._signature(
                [history[row] for row in rows],
                [exclude[row] for row in rows],
                k,
                {name: [values[row] for row in rows] for name, values in inputs.items()},
                None if history_age_days is None else [history_age_days[row] for row in rows],
                max(until - time.monotonic(), 0.001),
            )
            for rows in parts
        ]
        if len({scores.shape[1] for _, scores in answers}) > 1:
            raise self._misshaped()
        ids, scores = (np.concatenate(each) for each in zip(*answers, strict=True))
        back = np.argsort(np.concatenate(parts))
        return ids[back], scores[back]

    def _signature(
        self,
        history: Sequence[Sequence[str]],
        exclude: Sequence[Sequence[str]],
        k: int,
        inputs: Mapping[str, Sequence[str]],
        history_age_days: Sequence[Sequence[float]] | None,
        seconds: float,
    ) -> tuple[Strings, Float32s]:
        """`signature` of a batch."""
        arguments = _arguments(history, exclude, k, inputs, history_age_days)
        asked = _in_words(map(len, history), map(len, exclude))
        answer = self._ask("signature", {"arguments": arguments}, asked=asked, seconds=seconds)
        scores = answer.arrays["scores"]
        ids = np.array(answer.head["ids"], dtype=object)
        if scores.ndim != 2 or len(scores) != len(history) or ids.size != scores.size:
            raise self._misshaped()
        return ids.reshape(scores.shape), scores

    def _misshaped(self) -> ModelError:
        return ModelError(f"model {self.info.name} answered lists of another shape")

    def timed(
        self,
        history: Sequence[Sequence[str]],
        exclude: Sequence[Sequence[str]],
        k: int,
        inputs: Mapping[str, Sequence[str]],
        history_age_days: Sequence[Sequence[float]],
        seconds: float = CALL_SECONDS,
    ) -> Timing:
        """How long `recommend` takes in the worker, without the way there and back.

        Raises:
            ModelError: as `recommend`.
        """
        arguments = _arguments(history, exclude, k, inputs, history_age_days)
        asked = _in_words(map(len, history), map(len, exclude))
        answer = self._ask("timed", {"arguments": arguments}, asked=asked, seconds=seconds)
        return Timing(**answer.head)

    def lists(
        self,
        item_ids: pd.Index,
        plays: Ragged,
        exclude: Ragged,
        k: int,
        inputs: Mapping[str, Sequence[str]] | None = None,
        ages: Float32s | None = None,
    ) -> tuple[Int32s, Float32s]:
        """The lists of an audience, some thousand listeners a call."""
        number = len(plays.offsets) - 1
        codes = np.empty((number, k), np.int32)
        scores = np.empty((number, k), np.float32)
        step = max(min(LISTENERS, SCORES // max(self.info.catalogue_size, 1)), 1)
        ends = plays.offsets + exclude.offsets
        start = 0
        while start < number:
            bounded = int(np.searchsorted(ends, ends[start] + CODES, "right")) - 1
            rows = slice(start, min(max(bounded, start + 1), start + step, number))
            arrays: dict[str, Array] = {}
            for name, table in (("play", plays), ("exclude", exclude)):
                offsets = table.offsets[start : rows.stop + 1]
                arrays[f"{name}_offsets"] = offsets - offsets[0]
                arrays[name] = table.codes[offsets[0] : offsets[-1]]
            if ages is not None:
                arrays["ages"] = ages[plays.offsets[start] : plays.offsets[rows.stop]]
            head = {
                "item_ids": item_ids.tolist(),
                "k": k,
                "inputs": {name: list(values[rows]) for name, values in (inputs or {}).items()},
            }
            asked = _in_words(*(np.diff(arrays[f"{name}_offsets"]) for name in ("play", "exclude")))
            answer = self._ask("lists", head, arrays, asked=asked)
            part = answer.arrays["codes"], answer.arrays["scores"]
            if (
                any(array.shape != (rows.stop - start, k) for array in part)
                or not ((part[0] >= FOREIGN) & (part[0] < len(item_ids))).all()
            ):
                raise ModelError(f"model {self.info.name} answered with no lists of this catalogue")
            codes[rows], scores[rows] = part
            start = rows.stop
        return codes, scores


def _in_words(plays: Iterable[int], exclusions: Iterable[int]) -> str:
    """How much is asked, to end a sentence; `plays` and `exclusions` are those of each listener."""
    numbers = [*plays]
    return (
        f"asked about {len(numbers):,} listener{'' if len(numbers) == 1 else 's'} (longest history "
        f"{max(numbers, default=0):,}, most exclusions {max(exclusions, default=0):,})"
    )


def _arguments(
    history: Sequence[Sequence[str]],
    exclude: Sequence[Sequence[str]],
    k: int,
    inputs: Mapping[str, Sequence[str]],
    history_age_days: Sequence[Sequence[float]] | None,
) -> dict[str, object]:
    """The arguments of a request, as JSON holds them."""
    return {
        "history": _plain(history),
        "exclude": _plain(exclude),
        "k": k,
        "inputs": {name: list(values) for name, values in inputs.items()},
        "history_age_days": None if history_age_days is None else _plain(history_age_days),
    }


def _plain(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """Rows as JSON holds them; arrays and their numbers become lists."""
    return [row.tolist() if isinstance(row, np.ndarray) else list(row) for row in rows]
