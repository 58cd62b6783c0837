"""The profile of a dataset: what its weeks look like, for a comparison with those of another.

A profile is made of the training period and lies in the folder of each model that was trained on
it. The gate for data holds the newest week of the next run against it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from setlist.arrays import Int64s
from setlist.data.distributions import (
    MAX_VALUES,
    REST,
    Distribution,
    Kind,
    WeeklyCounts,
)
from setlist.data.schema import (
    DAY_MICROSECONDS,
    Window,
    column_microseconds,
    instant_microseconds,
)

WEEK_MICROSECONDS = 7 * DAY_MICROSECONDS
HOUR_MICROSECONDS = DAY_MICROSECONDS // 24
MAX_WEEKS = 260
"""Of a window that reaches further back, the newest five years are looked at."""
MISSING = "not known"
"""The value of a listener whose input is missing, and of an item without a title."""
TAG = "tag"
"""The name of the distribution of the tags of plays."""
SKETCH_SIZE = 500
"""Ids in a sketch: a share of them is exact to 0.045, two standard deviations."""
# The bins of the distributions of numbers.
HOURS = tuple(f"{hour:02}:00" for hour in range(24))
COUNTS = ("1", "2 to 3", "4 to 7", "8 to 15", "16 to 31", "32 to 63", "64 and more")
GAPS = ("under an hour", "under a day", "under a week", "older", "first play")
RANKS = ("1", "2 to 10", "11 to 100", "101 to 1,000", "1,001 to 10,000", "beyond")


class DataProfile(BaseModel):
    """What the weeks of a dataset look like.

    Attributes:
        end: the end of the period, ISO text.
        weeks: how many.
        distributions: by name, such as "country" or "plays of a listener in a week".
        listeners, items: sketches of the ids: the SKETCH_SIZE smallest sha256, 16 hex digits each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    end: str
    weeks: int = Field(ge=1)
    distributions: dict[str, Distribution] = Field(max_length=1_000)
    listeners: list[str] = Field(max_length=SKETCH_SIZE)
    items: list[str] = Field(max_length=SKETCH_SIZE)


@dataclass(frozen=True)
class Weeks:
    """A period of a dataset, in weeks counted back from its end.

    Attributes:
        end: of the period.
        played: user_id, item_id and timestamp of all events, in time order.
        events: those of whole weeks, with their week (0 is the oldest).
        number: of the whole weeks.
        items, users: the tables of the dataset.
    """

    end: pd.Timestamp
    played: pd.DataFrame
    events: pd.DataFrame
    number: int
    items: pd.DataFrame
    users: pd.DataFrame

    @classmethod
    def of(
        cls, events: pd.DataFrame, items: pd.DataFrame, users: pd.DataFrame, end: pd.Timestamp
    ) -> Self:
        """The weeks of some events; the one that the data begin in is counted if it is whole.

        Where the data are shorter than a week, they are one week.
        """
        end = min(end, events["timestamp"].max() + pd.Timedelta(1, "us"))
        micros = column_microseconds(events["timestamp"])
        end_micros = instant_microseconds(end)
        back = (end_micros - 1 - micros) // WEEK_MICROSECONDS
        whole = (end_micros - int(micros.min())) // WEEK_MICROSECONDS
        number = int(np.clip(whole, 1, MAX_WEEKS))
        weekly = events.assign(week=number - 1 - back)
        inside = (weekly["week"] >= 0) & (weekly["week"] < number)
        return cls(end, events, weekly[inside], number, items, users)

    def counts(self, inputs: Iterable[str]) -> dict[str, WeeklyCounts]:
        """What a recommender lives on, and each input, week by week.

        Args:
            inputs: columns of the users table.
        """
        week = self.events["week"].to_numpy()
        counted = {
            "hour of the day": self._table(
                "numbers", HOURS, week, self.events["timestamp"].dt.hour.to_numpy()
            ),
            "plays of a listener in a week": self._listener_plays(),
            "time since the play before": self._gaps(),
            "rank of the item in its week": self._ranks(),
        }
        listeners, active = self._per_week("user_id")
        users = self.users.set_index("user_id").reindex(listeners)
        for name in inputs:
            if name in users.columns:
                values = users[name].fillna("").replace("", MISSING).reset_index(drop=True)
                counted[name] = self._categories(active["week"], values[active["code"]])
        # Tags and titles of items a week, so that no play is given a copy of them.
        ids, plays = self._per_week("item_id")
        items = self.items.set_index("item_id").reindex(ids).reset_index()
        tags = items["tags"].explode().dropna()
        if len(tags):
            tagged = plays.merge(tags.rename("value"), left_on="code", right_index=True)
            counted[TAG] = self._categories(tagged["week"], tagged["value"], tagged["plays"])
        titled = pd.Series(np.where(items["title"] != items["item_id"], "given", MISSING))
        counted["title"] = self._categories(plays["week"], titled[plays["code"]], plays["plays"])
        return counted

    def profile(self, inputs: Iterable[str]) -> DataProfile:
        """The profile of all weeks."""
        return DataProfile(
            end=self.end.isoformat(),
            weeks=self.number,
            distributions={
                name: counts.distribution() for name, counts in self.counts(inputs).items()
            },
            listeners=sketch(self.events["user_id"].unique()),
            items=sketch(self.events["item_id"].unique()),
        )

    def _table(
        self,
        kind: Kind,
        names: tuple[str, ...],
        week: "pd.Series | Int64s",
        bins: Int64s,
        plays: "pd.Series | None" = None,
    ) -> WeeklyCounts:
        """Counts by week and bin; each row counts 1, or as many as its plays."""
        size = len(names)
        flat = np.bincount(np.asarray(week) * size + bins, plays, minlength=self.number * size)
        return WeeklyCounts(kind, names, flat.astype(np.int64).reshape(self.number, size))

    def _per_week(self, column: str) -> tuple[pd.Index, pd.DataFrame]:
        """The distinct ids of a column; and week, code of the id, plays, of each that has any."""
        codes, ids = pd.factorize(self.events[column])
        pairs, plays = np.unique(
            self.events["week"].to_numpy() * len(ids) + codes, return_counts=True
        )
        week, code = np.divmod(pairs, max(len(ids), 1))
        return pd.Index(ids, name=column), pd.DataFrame(
            {"week": week, "code": code, "plays": plays}
        )

    def _categories(
        self, week: pd.Series, values: pd.Series, plays: "pd.Series | None" = None
    ) -> WeeklyCounts:
        """Each value in each week; the most frequent values have bins of their own."""
        weights = np.ones(len(values)) if plays is None else plays.to_numpy()
        counts = pd.Series(weights, values.to_numpy(object)).groupby(level=0).sum()
        names = sorted(map(str, counts.index), key=lambda value: (-counts[value], value))
        kept = names[:MAX_VALUES]
        places = pd.Index(kept).get_indexer(pd.Index(values.astype(str)))
        places = np.where(places < 0, len(kept), places)
        return self._table("categories", (*kept, REST), week, places, plays)

    def _listener_plays(self) -> WeeklyCounts:
        _, plays = self._per_week("user_id")
        bins = np.minimum(np.log2(plays["plays"].to_numpy()).astype(int), len(COUNTS) - 1)
        return self._table("numbers", COUNTS, plays["week"], bins)

    def _gaps(self) -> WeeklyCounts:
        micros = pd.Series(column_microseconds(self.events["timestamp"]), self.events.index)
        gaps = micros.groupby(self.events["user_id"], sort=False).diff().to_numpy("float64")
        hours = gaps / HOUR_MICROSECONDS
        bins = np.where(np.isnan(hours), len(GAPS) - 1, np.digitize(hours, (1, 24, 168)))
        return self._table("numbers", GAPS, self.events["week"], bins)

    def _ranks(self) -> WeeklyCounts:
        _, plays = self._per_week("item_id")
        rank = plays.groupby("week")["plays"].rank(method="first", ascending=False).to_numpy()
        bins = np.digitize(rank, (2, 11, 101, 1_001, 10_001))
        return self._table("numbers", RANKS, plays["week"], bins, plays["plays"])


def read_weeks(dataset: Path, window: Window) -> Weeks:
    """The weeks of both periods of a dataset folder, as `curate` wrote it."""
    columns = ["user_id", "item_id", "timestamp"]
    events = pd.concat(
        [
            pd.read_parquet(dataset / f"{part}.parquet", columns=columns)
            for part in ("train", "test")
        ],
        ignore_index=True,
    )
    return Weeks.of(
        events,
        pd.read_parquet(dataset / "items.parquet", columns=["item_id", "title", "tags"]),
        pd.read_parquet(dataset / "users.parquet"),
        window.end,
    )


def sketch(ids: Iterable[str]) -> list[str]:
    """A sample of distinct ids that is the same for the same ids: those with the smallest sha256.

    Returns:
        At most SKETCH_SIZE texts of 16 hex digits, sorted.
    """
    hashes = (hashed(each) for each in set(ids))
    return sorted(hashes)[:SKETCH_SIZE]


def hashed(identifier: str) -> str:
    """The first 16 hex digits of the id's sha256."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:16]
