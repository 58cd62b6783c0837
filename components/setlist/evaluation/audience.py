"""The audience of an evaluation: its listeners, their truth, and the input of every model."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from setlist.arrays import Float32s, Float64s, Int64s, Ragged
from setlist.data.features import Features
from setlist.errors import DataError, SettingsError
from setlist.evaluation.results import LISTENER_SLICE, EvaluationSettings
from setlist.evaluation.statistics import MIN_LISTENERS

NEWCOMER_MAX_PLAYS, LIGHT_MAX_PLAYS = 5, 50
"""The most plays before the cutoff of a newcomer and of a light listener."""
LISTENER_KINDS = ("newcomer", "light", "heavy")
"""The values of the slice `listener`, in the order in which people read them."""
MAX_LISTENERS = 200_000
"""The most listeners that are evaluated; of more listeners a fixed sample is taken."""
SAMPLE_SALT = "setlist/evaluated-listeners/"
"""Put before an id that is hashed for the sample, so that it is no sample for anything else."""

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
        lost_groups: the groups that the sample made too small to be judged, with their numbers.
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
    lost_groups: tuple[str, ...] = ()


def slice_columns(features: Features, settings: EvaluationSettings) -> tuple[str, ...]:
    """The columns by which listeners are grouped: those that a policy can guard."""
    return tuple(dict.fromkeys((LISTENER_SLICE, *features.inputs, *settings.slices)))


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
    people = everyone.iloc[chosen].reset_index(drop=True)
    for name in settings.slices:
        if name in RESERVED_COLUMNS or name not in people:
            people[name] = _column(users, name, people["user_id"])
    present = len(chosen)
    lost_groups: tuple[str, ...] = ()
    if present > MAX_LISTENERS:
        columns = slice_columns(features, settings)
        groups = people.assign(**{LISTENER_SLICE: kind})[list(columns)].astype(str)
        kept = sample_rows(people["user_id"], groups, MAX_LISTENERS)
        lost_groups = _lost_groups(groups, kept)
        chosen, kind, people = chosen[kept], kind[kept], people.iloc[kept].reset_index(drop=True)
        of_chosen = np.isin(rows, chosen)
        rows, truth, gains = rows[of_chosen], truth[of_chosen], gains[of_chosen]
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
        lost_groups=lost_groups,
    )


def sample_rows(user_ids: Iterable[str], groups: pd.DataFrame, size: int) -> Int64s:
    """Row numbers of a sample that holds the same share of every stratum.

    A stratum is a combination of the values of all slices. Of each, the listeners are taken whose
    salted SHA-256 is the lowest, so every machine, engine and version of a library takes the same.
    The share of a stratum is rounded to whole listeners such that the strata before it, in the
    order of their values, have their share to within one listener, too; so many small strata
    neither vanish nor add up to a group that is too large.

    No small group gets more than its share. Else every mean, interval and test of the gate, the
    report and the explorer would need weights, and coverage and Gini, which are of all lists
    together, have no weighted form: with equal shares all of them are unbiased as they are. The
    price is that a group may become too small for its rule; such groups are named in
    `Audience.lost_groups`, and in the verdict among those that are too few to say.

    Args:
        user_ids: of the listeners, distinct.
        groups: one row a listener, one column of text a slice.
        size: of the sample, at most the number of listeners.

    Returns:
        int64[size], ascending. 5 million listeners take 10 s of CPU, half of them for the hashes.
    """
    stratum = groups.groupby(list(groups), sort=True).ngroup().to_numpy()
    ends = np.bincount(stratum).cumsum()
    starts = np.concatenate(([0], ends[:-1]))
    shares = np.diff(ends * size // len(stratum), prepend=0)
    order = np.lexsort((_leading_digits(user_ids), stratum))
    place = np.arange(len(order)) - starts[stratum[order]]
    return np.sort(order[place < shares[stratum[order]]])


def _leading_digits(user_ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """uint64[ids]: the first 16 hex digits of the salted SHA-256 of each id."""
    digests = (hashlib.sha256((SAMPLE_SALT + user_id).encode()).digest() for user_id in user_ids)
    return np.frombuffer(b"".join(digest[:8] for digest in digests), ">u8").astype(np.uint64)


def _lost_groups(groups: pd.DataFrame, kept: Int64s) -> tuple[str, ...]:
    """The groups that could be judged, and of which the sample holds too few."""
    lost = []
    for name in groups:
        sizes = groups[name].value_counts().sort_index()
        sampled = groups[name].iloc[kept].value_counts().reindex(sizes.index, fill_value=0)
        lost += [
            f"{name} {value or 'not known'} ({sampled[value]} of {sizes[value]:,})"
            for value in sizes.index[(sizes >= MIN_LISTENERS) & (sampled < MIN_LISTENERS)]
        ]
    return tuple(lost)


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
