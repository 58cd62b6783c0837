"""What a model recommends to a whole audience, in the codes of the run's catalogue."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.errors import SetlistError
from components.evaluation.audience import Audience
from components.evaluation.evaluation import Shelf
from components.evaluation.ranking import EMPTY, FOREIGN, Codes, Ragged
from components.models.contract import HISTORY_AGE
from components.models.saved_model import SavedModel

BATCH = 256


def batches(lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers in batches of similar length: padding in user order costs a factor of five."""
    order = np.argsort(lengths, kind="stable")
    yield from (order[start : start + BATCH] for start in range(0, len(order), BATCH))


def ask(
    model: SavedModel, people: Audience, item_ids: pd.Index, shelf: Shelf, k: int
) -> tuple[Codes, npt.NDArray[np.float32]]:
    """The model's lists for the whole audience.

    Returns:
        int32[listeners, k], codes of `item_ids` best first; EMPTY where the model listed nothing,
        FOREIGN where it listed an id outside the catalogue.
        float32[listeners, k], their scores, -inf where nothing is listed.

    Raises:
        SetlistError: when the model lists more than k.
    """
    top = np.full((len(people.users), k), EMPTY, np.int32)
    scored = np.full(top.shape, -np.inf, np.float32)
    names = item_ids.to_numpy(dtype=object)
    for rows in batches(people.plays.lengths):
        plays = [names[codes].tolist() for codes in _rows(people.plays, rows)]
        exclude = (
            [names[codes].tolist() for codes in _rows(people.history, rows)]
            if shelf == "discovery"
            else [[] for _ in rows]
        )
        inputs = {
            name: people.users[name].iloc[rows].tolist()
            for name in model.info.categorical_inputs
            if name in people.users
        }
        ages = (
            [people.ages[slice(*people.plays.offsets[[row, row + 1]])].tolist() for row in rows]
            if HISTORY_AGE in model.info.inputs
            else None
        )
        ids, scores = model.recommend(plays, exclude, k, inputs, ages)
        if ids.shape[1] > k:
            raise SetlistError(
                f"model {model.info.name} listed {ids.shape[1]} items where {k} were asked for; "
                "the contract clips k."
            )
        codes: Codes = np.reshape(item_ids.get_indexer(pd.Index(ids.ravel())), ids.shape)
        codes[(codes < 0) & (ids != "")] = FOREIGN
        top[rows, : ids.shape[1]] = codes
        scored[rows, : ids.shape[1]] = scores
    return top, scored


def without_repeats(codes: Codes) -> Codes:
    """The lists with every later mention of an item made FOREIGN: a second mention is no hit."""
    order = np.argsort(codes, axis=1, kind="stable")
    ranked = np.take_along_axis(codes, order, axis=1)
    again = np.zeros_like(ranked, dtype=np.bool_)
    again[:, 1:] = (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)
    repeats = np.zeros_like(again)
    np.put_along_axis(repeats, order, again, axis=1)
    return np.where(repeats, np.int32(FOREIGN), codes)


def _rows(table: Ragged, rows: npt.NDArray[np.int64]) -> Iterator[Codes]:
    return (table.codes[table.offsets[row] : table.offsets[row + 1]] for row in rows)


def listed(top: Codes, excluded: Ragged) -> int:
    """How many positions of the lists hold an item that the caller had excluded."""
    size = int(max(top.max(initial=0), excluded.codes.max(initial=0))) + 1
    taken = excluded.rows * size + excluded.codes
    shown = np.arange(len(top))[:, None] * size + top
    return int(np.isin(shown[top >= 0], taken).sum())
