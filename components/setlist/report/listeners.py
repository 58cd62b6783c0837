"""A few listeners of different segments, and every model's list for each of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from setlist.arrays import Int32s
from setlist.evaluation.audience import LISTENER_KINDS
from setlist.evaluation.ranking import FOREIGN
from setlist.report.untrusted_text import (
    TAG_LENGTH,
    TAGS_PER_ITEM,
    TITLE_LENGTH,
    VALUE_LENGTH,
    clip,
)

COLUMNS_WITHOUT_INPUTS = ("user_id", "relevant", "history", "listener")
"""Columns of `users.parquet` that are no named inputs."""
SEGMENT_VALUES = 4
"""How many values of the first named input are combined with the classes to segments."""
LISTENERS_PER_SEGMENT = 2
DEPTH = 10
PLAYED_TITLES = 12
"""How many titles of what a listener played in the test period are named."""


@dataclass(frozen=True)
class ListEntry:
    """One position of a list; where `missing` says why no item stands there, `title` is ""."""

    title: str = ""
    tags: tuple[str, ...] = ()
    hit: bool = False
    new: bool = False
    missing: str = ""


@dataclass(frozen=True)
class ModelList:
    """One model's list for one listener; `score` is the listener's value of the primary metric."""

    label: str
    score: float
    entries: list[ListEntry]

    @property
    def hits(self) -> int:
        """How many items of the list the listener played in the test period."""
        return sum(entry.hit for entry in self.entries)


@dataclass(frozen=True)
class ListenerCard:
    """One listener with the lists of all models side by side.

    Attributes:
        activity: the class by number of plays: newcomer, light or heavy.
        inputs: the named inputs and their values; "" where a value is not known.
        history: the number of plays before the cutoff.
        relevant: the number of items that count as relevant in the test period.
        played: titles of the first relevant items.
    """

    user_id: str
    activity: str
    inputs: dict[str, str]
    history: int
    relevant: int
    played: list[str]
    lists: list[ModelList]


def inputs_of(users: pd.DataFrame) -> list[str]:
    """The named input columns of `users.parquet`."""
    return [str(name) for name in users if name not in COLUMNS_WITHOUT_INPUTS]


def pick_listeners(
    users: pd.DataFrame, per_segment: int = LISTENERS_PER_SEGMENT
) -> list[list[int]]:
    """Pick row numbers of a few listeners from every segment.

    A segment is a class of listeners combined with one of the most frequent values of the first
    named input.

    Args:
        users: of the evaluation.
        per_segment: how many listeners; more where the input has fewer than `SEGMENT_VALUES`
            values.

    Returns:
        One list for each segment. The same listeners are picked on every machine and from the rows
        in any order, because a segment is ordered by the SHA-256 of the user ids.
    """
    order = users["user_id"].map(lambda user: hashlib.sha256(user.encode()).digest())
    inputs = inputs_of(users)
    first = users[inputs[0]] if inputs else pd.Series("", index=users.index)
    counts = first.value_counts()
    values = sorted(counts.index, key=lambda value: (-counts[value], value))[:SEGMENT_VALUES]
    size = per_segment * SEGMENT_VALUES // len(values)
    return [
        order[(users["listener"] == activity) & (first == value)]
        .sort_values()
        .index[:size]
        .tolist()
        for activity in LISTENER_KINDS
        for value in values
    ]


def listener_cards(
    folder: Path,
    users: pd.DataFrame,
    tops: Mapping[str, Int32s],
    scores: Mapping[str, pd.DataFrame],
    primary: str,
    per_segment: int = LISTENERS_PER_SEGMENT,
) -> list[ListenerCard]:
    """Collect listeners of different segments with the top of every model's list.

    Args:
        folder: the evaluation folder.
        users: its `users.parquet`.
        tops: int32[listeners, depth], the top of each model's lists.
        scores: the per-user values of each model.
        primary: the metric that is shown beside each list.
        per_segment: how many listeners of each segment.
    """
    rows = [row for segment in pick_listeners(users, per_segment) for row in segment]
    items = pd.read_parquet(folder / "items.parquet")
    truth = pd.read_parquet(folder / "truth.parquet")
    history = bool(items["listeners"].any())  # without any plays before, all items would be new
    relevant = {row: set(truth.loc[truth["user"] == row, "item"].tolist()) for row in rows}

    def list_entry(code: int, row: int) -> ListEntry:
        if code < 0:
            missing = "not in the catalogue" if code == FOREIGN else "nothing listed"
            return ListEntry(missing=missing)
        item = items.iloc[code]
        return ListEntry(
            title=clip(item["title"], TITLE_LENGTH),
            tags=tuple(clip(tag, TAG_LENGTH) for tag in list(item["tags"])[:TAGS_PER_ITEM]),
            hit=code in relevant[row],
            new=history and item["listeners"] == 0,
        )

    return [
        ListenerCard(
            user_id=clip(users["user_id"].iloc[row], VALUE_LENGTH),
            activity=users["listener"].iloc[row],
            inputs={name: clip(users[name].iloc[row], VALUE_LENGTH) for name in inputs_of(users)},
            history=int(users["history"].iloc[row]),
            relevant=len(relevant[row]),
            played=[
                clip(items["title"].iloc[code], TITLE_LENGTH)
                for code in sorted(relevant[row])[:PLAYED_TITLES]
            ],
            lists=[
                ModelList(
                    label=label,
                    score=float(scores[label][primary].iloc[row]),
                    entries=[list_entry(code, row) for code in top[row].tolist()],
                )
                for label, top in tops.items()
            ],
        )
        for row in rows
    ]
