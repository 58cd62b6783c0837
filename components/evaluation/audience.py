"""Who is evaluated: the listeners, what they will play, and what every model is told of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.data.features import Features
from components.errors import SetlistError
from components.evaluation.evaluation import EvaluationSettings
from components.evaluation.metrics import Ragged

NEWCOMER, LIGHT = 5, 50
"""The most plays before the cut of a newcomer and of a light listener."""


@dataclass(frozen=True)
class Audience:
    """The listeners who are evaluated, what they will play, and what every model is told."""

    users: pd.DataFrame
    truth: Ragged
    history: Ragged
    plays: Ragged
    ages: npt.NDArray[np.float32]
    """float32[plays]: of each code of `plays`, in days before the cut."""
    left_out: dict[str, int]


def audience(features: Features, test: pd.DataFrame, settings: EvaluationSettings) -> Audience:
    """Who is evaluated and what is relevant to them.

    Relevant are the items of the catalogue that the listener plays in the test period, each once;
    on the discovery shelf without what the listener knows already. Listeners without a relevant
    item take no part, and are counted.

    Raises:
        SetlistError: when nobody is left, or a listener is not in the features.
    """
    everyone = features.everyone
    user = pd.Index(everyone["user_id"]).get_indexer(test["user_id"])
    if (user < 0).any():
        stranger = test["user_id"].iloc[int(np.argmax(user < 0))]
        raise SetlistError(
            f"test.parquet: listener {stranger} is not in the features; transform this dataset "
            "again."
        )
    item = pd.Index(features.items["item_id"]).get_indexer(test["item_id"])
    offsets = features.offsets
    counts = np.diff(offsets)
    left_out = {"events on items that were not known at the cut": int((item < 0).sum())}
    eligible = np.unique(user)
    keep = item >= 0
    if not settings.newcomers:
        left_out["listeners without a history"] = int((counts[eligible] == 0).sum())
        eligible = eligible[counts[eligible] > 0]
        keep &= counts[user] > 0
    size = len(features.items)
    relevant = np.unique(user[keep].astype(np.int64) * size + item[keep])
    known = np.unique(features.plays["user"].to_numpy(np.int64) * size + features.plays["item"])
    if settings.shelf == "discovery":
        relevant = np.setdiff1d(relevant, known, assume_unique=True)
    rows, truth = np.divmod(relevant, size)
    chosen = np.unique(rows)
    left_out["listeners without a relevant item"] = len(eligible) - len(chosen)
    if len(chosen) == 0:
        raise SetlistError(
            f"evaluation: no listener plays anything relevant to the {settings.shelf} shelf in the "
            "test period; widen window.test_days, or choose the other shelf."
        )
    history = counts[chosen]
    users = everyone.iloc[chosen].reset_index(drop=True)
    users["relevant"] = np.bincount(np.searchsorted(chosen, rows), minlength=len(chosen))
    users["history"] = history
    users["listener"] = np.where(
        history <= NEWCOMER, "newcomer", np.where(history <= LIGHT, "light", "heavy")
    )
    known_rows, known_items = np.divmod(known, size)
    played = select(Ragged(offsets, np.arange(len(features.plays), dtype=np.int32)), chosen)
    return Audience(
        users=users,
        truth=ragged(np.searchsorted(chosen, rows), truth, len(chosen)),
        history=select(ragged(known_rows, known_items, len(counts)), chosen),
        plays=Ragged(played.offsets, features.plays["item"].to_numpy(np.int32)[played.codes]),
        ages=features.plays["age_days"].to_numpy(np.float32)[played.codes],
        left_out=left_out,
    )


def ragged(rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int64], length: int) -> Ragged:
    """`length` rows from pairs that are sorted by row."""
    return Ragged(np.searchsorted(rows, np.arange(length + 1)), codes.astype(np.int32))


def select(table: Ragged, rows: npt.NDArray[np.int64]) -> Ragged:
    """The given rows of the table, in that order."""
    lengths = table.lengths[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return Ragged(offsets, table.codes[np.repeat(table.offsets[rows], lengths) + within])
