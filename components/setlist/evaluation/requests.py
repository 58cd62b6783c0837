"""The complete requests and answers of a few listeners.

A fresh process sends the requests again and must get the same answers; see
`setlist.evaluation.inspection`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Int32s, Int64s, Ragged
from setlist.evaluation.audience import Audience
from setlist.evaluation.ranking import EMPTY
from setlist.evaluation.results import Shelf

KEPT_REQUESTS = 256
SAMPLE_SEED = 20_210_131
REQUEST_COLUMNS = ("history", "exclude", "history_age_days")
"""Columns of requests.parquet; the others are named inputs."""


def sample_requests(listeners: int) -> Int64s:
    """Row numbers of the listeners whose requests are kept, the same for the same audience."""
    order = np.random.default_rng(SAMPLE_SEED).permutation(listeners)
    return np.sort(order[:KEPT_REQUESTS])


def write_requests(
    folder: Path,
    people: Audience,
    inputs: Sequence[str],
    rows: Int64s,
    item_ids: pd.Index,
    shelf: Shelf,
) -> None:
    """Write requests.parquet: one row a listener, lists of ids, ages in days, named inputs."""
    table = people.users[list(inputs)].iloc[rows].reset_index(drop=True)
    table["history"] = _ids(people.plays, rows, item_ids)
    table["exclude"] = (
        _ids(people.history, rows, item_ids) if shelf == "discovery" else [[] for _ in rows]
    )
    offsets = people.plays.offsets
    table["history_age_days"] = [
        people.ages[offsets[row] : offsets[row + 1]].tolist() for row in rows
    ]
    table.to_parquet(folder / "requests.parquet", index=False)


def write_answers(folder: Path, top: Int32s, scores: Float32s, item_ids: pd.Index) -> None:
    """Write a model's answers.parquet: item_ids (None for a foreign one) and scores, best first."""
    names = item_ids.to_numpy(dtype=object)
    ids = names[np.maximum(top, 0)]
    # EMPTY is below 0 too, so it is set after the foreign positions.
    ids[top < 0] = None
    ids[top == EMPTY] = ""
    pd.DataFrame({"item_ids": list(ids), "scores": list(scores)}).to_parquet(
        folder / "answers.parquet", index=False
    )


def _ids(table: Ragged, rows: Int64s, item_ids: pd.Index) -> list[list[str]]:
    names = item_ids.to_numpy(dtype=object)
    return [
        names[table.codes[table.offsets[row] : table.offsets[row + 1]]].tolist() for row in rows
    ]
