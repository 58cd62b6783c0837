"""A few listeners, and what every model would recommend to each of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from setlist.arrays import Int32s
from setlist.evaluation.audience import LISTENER_KINDS
from setlist.evaluation.ranking import FOREIGN

NOT_INPUTS = ("user_id", "relevant", "history", "listener")
VALUES, EACH = 4, 2
"""How many values of the first input, and how many listeners of each class and value."""
DEPTH = 10
PLAYED = 12
TITLE, VALUE, TAG, TAGS = 80, 40, 24, 4
"""The most characters shown of a title, a value and a tag, and the most tags: pages stay small."""


@dataclass(frozen=True)
class Entry:
    """One position of a list; `title` is "" where `missing` says why there is none."""

    title: str = ""
    tags: tuple[str, ...] = ()
    hit: bool = False
    new: bool = False
    missing: str = ""


@dataclass(frozen=True)
class Column:
    """One model's list for one listener."""

    label: str
    score: float
    """The primary metric of this listener."""
    entries: list[Entry]

    @property
    def hits(self) -> int:
        """How many of the entries the listener played."""
        return sum(entry.hit for entry in self.entries)


@dataclass(frozen=True)
class Listener:
    """One listener: who it is, what came true, and the lists side by side."""

    user_id: str
    kind: str
    facts: dict[str, str]
    history: int
    relevant: int
    played: list[str]
    """Titles of the first relevant items."""
    columns: list[Column]


def inputs_of(users: pd.DataFrame) -> list[str]:
    """The named input columns of `users.parquet`."""
    return [str(name) for name in users if name not in NOT_INPUTS]


def clip(text: str, length: int) -> str:
    """The text, cut to `length` characters, the last of them an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def choose(users: pd.DataFrame, each: int = EACH) -> list[list[int]]:
    """Row numbers of a few listeners of every class and of the first input's largest values.

    One list for each class and value. The same for the same table on every machine: within a
    segment by SHA-256 of the user id.

    Args:
        users: of the evaluation.
        each: how many of each class and value; more where there are fewer than `VALUES` values.
    """
    order = users["user_id"].map(lambda user: hashlib.sha256(user.encode()).digest())
    inputs = inputs_of(users)
    first = users[inputs[0]] if inputs else pd.Series("", index=users.index)
    counts = first.value_counts()
    values = sorted(counts.index, key=lambda value: (-counts[value], value))[:VALUES]
    each = each * VALUES // len(values)
    return [
        order[(users["listener"] == kind) & (first == value)].sort_values().index[:each].tolist()
        for kind in LISTENER_KINDS
        for value in values
    ]


def sample(
    folder: Path,
    users: pd.DataFrame,
    tops: Mapping[str, Int32s],
    scores: Mapping[str, pd.DataFrame],
    primary: str,
    each: int = EACH,
) -> list[Listener]:
    """Listeners of different segments with the top of every model's list.

    Args:
        folder: the evaluation folder.
        users: its `users.parquet`.
        tops: int32[listeners, depth], the top of each model's lists.
        scores: the per-user values of each model.
        primary: the metric that a list is labelled with.
        each: how many of each segment.
    """
    rows = [row for segment in choose(users, each) for row in segment]
    items = pd.read_parquet(folder / "items.parquet")
    truth = pd.read_parquet(folder / "truth.parquet")
    relevant = {row: set(truth.loc[truth["user"] == row, "item"].tolist()) for row in rows}

    def entry(code: int, row: int) -> Entry:
        if code < 0:
            return Entry(missing="not in the catalogue" if code == FOREIGN else "nothing listed")
        item = items.iloc[code]
        return Entry(
            title=clip(item["title"], TITLE),
            tags=tuple(clip(tag, TAG) for tag in list(item["tags"])[:TAGS]),
            hit=code in relevant[row],
            new=item["listeners"] == 0,
        )

    return [
        Listener(
            user_id=clip(users["user_id"].iloc[row], VALUE),
            kind=users["listener"].iloc[row],
            facts={name: clip(users[name].iloc[row], VALUE) for name in inputs_of(users)},
            history=int(users["history"].iloc[row]),
            relevant=len(relevant[row]),
            played=[
                clip(items["title"].iloc[code], TITLE) for code in sorted(relevant[row])[:PLAYED]
            ],
            columns=[
                Column(
                    label=label,
                    score=float(scores[label][primary].iloc[row]),
                    entries=[entry(code, row) for code in top[row].tolist()],
                )
                for label, top in tops.items()
            ],
        )
        for row in rows
    ]
