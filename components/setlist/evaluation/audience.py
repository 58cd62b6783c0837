"""The audience of an evaluation: its listeners, their truth, and the input of every model."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Float64s, Int64s, Ragged, Strings
from setlist.data.features import Features
from setlist.errors import DataError, SettingsError
from setlist.evaluation.results import LISTENER_SLICE, EvaluationSettings

NEWCOMER_MAX_PLAYS, LIGHT_MAX_PLAYS = 5, 50
"""The most plays before the cutoff of a newcomer and of a light listener."""
LISTENER_KINDS = ("newcomer", "light", "heavy")
"""The values of the slice `listener`, in the order in which people read them."""
MAX_LISTENERS = 200_000
"""The most listeners that are evaluated; of more listeners a fixed sample is taken."""

RESERVED_COLUMNS = {"user_id", "relevant", "history", LISTENER_SLICE, "item_part"}
"""Names that a slice cannot have: the evaluation and the policy use them for their own columns."""


@dataclass(frozen=True)
class Audience:
    """The listeners who are evaluated, their truth, and the input that every model gets.

    Attributes:
        users: one row a listener: the id, the inputs, the slices, the numbers of relevant items and
            of plays.
        truth: the relevant items of each listener, each once.
        history: the items that each listener played before the cutoff, each once.
        plays: every play of each listener before the cutoff, oldest first.
        left_out: test events and listeners that take no part, by reason.
        sampled_from: how many listeners there were before a sample was taken.
    """

    users: pd.DataFrame
    truth: Ragged
    gains: Float64s
    """float64[truth]: the largest weight of the listener's test events on the item."""
    history: Ragged
    plays: Ragged
    ages: Float32s
    """float32[plays]: of each code of `plays`, in days before the cutoff."""
    left_out: dict[str, int]
    sampled_from: int


def select_audience(
    features: Features, test: pd.DataFrame, users: pd.DataFrame, settings: EvaluationSettings
) -> Audience:
    """Choose the listeners, and the items that are relevant to each.

    Relevant to a listener are the items of the catalogue that the listener plays in the test
    period, each once. On the discovery shelf, items that the listener played before are left out.
    Listeners without a relevant item are left out, and counted.

    Args:
        features: what `transform` wrote.
        test: the events of the test period.
        users: the curated table of users, for the slices.
        settings: the shelf, the slices, whether newcomers take part.

    Raises:
        DataError: when no listener is left, or a listener is not in the features.
        SettingsError: when a slice is no column of the users table.
    """
    everyone = features.everyone
    user = pd.Index(everyone["user_id"]).get_indexer(test["user_id"])
    if (user < 0).any():
        stranger = test["user_id"].iloc[int(np.argmax(user < 0))]
        raise DataError(
            f"test.parquet: listener {stranger} is not in the features",
            "transform this dataset again",
        )
    item = pd.Index(features.items["item_id"]).get_indexer(test["item_id"])
    offsets = features.offsets
    counts = np.diff(offsets)
    left_out = {"events on items that were not known at the cutoff": int((item < 0).sum())}
    eligible = np.unique(user)
    keep = item >= 0
    if not settings.newcomers:
        left_out["listeners without a history"] = int((counts[eligible] == 0).sum())
        eligible = eligible[counts[eligible] > 0]
        keep &= counts[user] > 0
    size = len(features.items)
    # One whole number for each pair of listener and item: sets of pairs are sets of numbers.
    relevant, pair = np.unique(user[keep].astype(np.int64) * size + item[keep], return_inverse=True)
    gains = np.zeros(len(relevant))
    np.maximum.at(gains, pair, test["weight"].to_numpy(np.float64)[keep])
    known = np.unique(features.plays["user"].to_numpy(np.int64) * size + features.plays["item"])
    if settings.shelf == "discovery":
        new = ~np.isin(relevant, known, assume_unique=True)
        relevant, gains = relevant[new], gains[new]
    rows, truth = np.divmod(relevant, size)
    chosen = np.unique(rows)
    left_out["listeners without a relevant item"] = len(eligible) - len(chosen)
    if len(chosen) == 0:
        raise DataError(
            f"evaluation: no listener plays anything relevant to the {settings.shelf} shelf in the "
            "test period",
            "widen window.test_days, or choose the other shelf",
        )
    kind = np.array(LISTENER_KINDS, dtype=object)[
        (counts[chosen, None] > [NEWCOMER_MAX_PLAYS, LIGHT_MAX_PLAYS]).sum(axis=1)
    ]
    present = len(chosen)
    kept = _sample(everyone["user_id"].iloc[chosen], kind)
    chosen, kind = chosen[kept], kind[kept]
    of_chosen = np.isin(rows, chosen)
    rows, truth, gains = rows[of_chosen], truth[of_chosen], gains[of_chosen]
    people = everyone.iloc[chosen].reset_index(drop=True)
    for name in settings.slices:
        if name in RESERVED_COLUMNS or name not in people:
            people[name] = _column(users, name, people["user_id"])
    people["relevant"] = np.bincount(np.searchsorted(chosen, rows), minlength=len(chosen))
    people["history"] = counts[chosen]
    people[LISTENER_SLICE] = kind
    known_rows, known_items = np.divmod(known, size)
    played = Ragged(offsets, np.arange(len(features.plays), dtype=np.int32)).take(chosen)
    return Audience(
        users=people,
        truth=Ragged.from_pairs(np.searchsorted(chosen, rows), truth, len(chosen)),
        gains=gains,
        history=Ragged.from_pairs(known_rows, known_items, len(counts)).take(chosen),
        plays=Ragged(played.offsets, features.plays["item"].to_numpy(np.int32)[played.codes]),
        ages=features.plays["age_days"].to_numpy(np.float32)[played.codes],
        left_out=left_out,
        sampled_from=present,
    )


def _sample(user_ids: pd.Series, kind: Strings) -> Int64s:
    """Row numbers of at most `MAX_LISTENERS` listeners, the same share of every kind.

    Those with the smallest hash of their id: the same listeners on every machine and in every run.
    """
    if len(kind) <= MAX_LISTENERS:
        return np.arange(len(kind))
    order = pd.util.hash_array(user_ids.to_numpy(dtype=object), categorize=False)
    share = MAX_LISTENERS / len(kind)
    place = pd.Series(order).groupby(kind).rank(method="first").to_numpy()
    size = pd.Series(kind).groupby(kind).transform("size").to_numpy()
    return np.flatnonzero(place <= np.floor(size * share))


def _column(users: pd.DataFrame, name: str, ids: pd.Series) -> pd.Series:
    if name not in users or name in RESERVED_COLUMNS:
        present = (
            ", ".join(column for column in users.columns if column not in RESERVED_COLUMNS)
            or "none"
        )
        raise SettingsError(
            f"evaluation.slices: {name!r} is no column of the users table by which to slice "
            f"(those are: {present})",
            "correct the name, or take it out",
        )
    return (
        users.set_index("user_id")[name].reindex(ids).fillna("").astype(str).reset_index(drop=True)
    )
