"""The profile of a dataset: what its weeks look like, for a comparison with those of another.

A profile is made of the training period and lies in the folder of each model that was trained on
it. The gate for data holds the newest week of the next run against it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

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
from setlist.data.engine import Engine, EngineSettings
from setlist.data.engines import open_engine
from setlist.data.plays import code_plays, read_dataset
from setlist.data.schema import DAY_MICROSECONDS, Window, instant, instant_microseconds

IdColumn = Literal["user_id", "item_id"]
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
GAP_BOUNDS = (HOUR_MICROSECONDS, DAY_MICROSECONDS, WEEK_MICROSECONDS)
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


class Weeks:
    """A period of a dataset, in weeks counted back from its end; the tables stay on the engine.

    Attributes:
        end: of the period.
        first: the instant of the first event.
        number: of the whole weeks; week 0 is the oldest. Where the events span less than a week,
            they are one week.
    """

    def __init__(self, sql: Engine, end: pd.Timestamp) -> None:
        """Count the weeks; the engine has `item_table`, `user_table` and the tables of `plays`."""
        self._sql = sql
        ((first, last),) = sql.rows("select min(time), max(time) from coded")
        self.first = instant(first)
        self.end = min(end, instant(last + 1))
        end_micros = instant_microseconds(self.end)
        whole = (end_micros - first) // WEEK_MICROSECONDS
        self.number = int(np.clip(whole, 1, MAX_WEEKS))
        back = sql.dialect.div(f"{end_micros - 1} - time", WEEK_MICROSECONDS)
        sql.view(
            "weekly",
            f"""
            select {self.number} - 1 - {back} as week, u, i, time from coded
            where time < {end_micros}
              and time >= {max(end_micros - self.number * WEEK_MICROSECONDS, first)}
            """,
        )
        sql.table(
            "listener_weeks", "select week, u, count(*) as plays from weekly group by week, u"
        )
        sql.table("item_weeks", "select week, i, count(*) as plays from weekly group by week, i")

    def sizes(self) -> Int64s:
        """int64[weeks]: the events of each week."""
        return self._table("numbers", ("",), "select week, 0, plays from item_weeks").counts[:, 0]

    def listeners(self) -> pd.Series:
        """The ids of all listeners, sorted."""
        ids = self._sql.arrow("select user_id from listeners order by code")
        return pd.Series(ids["user_id"].to_pandas(), dtype="str")

    def new_share(self, column: IdColumn, week: int) -> float:
        """The share of a week that was never before: of its events for items, else of listeners."""
        code = "u" if column == "user_id" else "i"
        table, weight = ("listener_weeks", "1") if code == "u" else ("item_weeks", "plays")
        ((all_of_week, new),) = self._sql.rows(
            f"""
            select sum({weight}), sum(case when f.first >= b.begin then {weight} else 0 end)
            from {table} w
            join (select {code}, min(time) as first from coded group by {code}) f
              on w.{code} = f.{code}
            cross join (select min(time) as begin from weekly where week = {week}) b
            where w.week = {week}
            """
        )
        return float(new) / float(all_of_week) if all_of_week else 0.0

    def counts(self, inputs: Iterable[str]) -> dict[str, WeeklyCounts]:
        """What a recommender lives on, and each input, week by week.

        Args:
            inputs: columns of the users table.
        """
        dialect = self._sql.dialect
        hour = dialect.div(f"time % {DAY_MICROSECONDS}", HOUR_MICROSECONDS)
        counted = {
            "hour of the day": self._table(
                "numbers", HOURS, f"select week, {hour}, count(*) from weekly group by week, {hour}"
            ),
            "plays of a listener in a week": self._table(
                "numbers",
                COUNTS,
                f"select week, {_bin('plays', (2, 4, 8, 16, 32, 64))}, 1 from listener_weeks",
            ),
            "time since the play before": self._table(
                "numbers",
                GAPS,
                f"""
                select week,
                       case when gap is null then {len(GAPS) - 1}
                            else {_bin("gap", GAP_BOUNDS)} end,
                       1
                from (select week, time - lag(time) over (partition by u order by time, i) as gap
                      from weekly) g
                """,
            ),
            "rank of the item in its week": self._table(
                "numbers",
                RANKS,
                f"""
                select week, {_bin("place", (2, 11, 101, 1_001, 10_001))}, plays
                from (select week, plays,
                             row_number() over (partition by week order by plays desc, i) as place
                      from item_weeks) r
                """,
            ),
        }
        known = {name.lower(): name for name in self._user_columns()}
        for name in inputs:
            if name.lower() in known:
                value = f"nullif(t.{dialect.name(name)}, '')"
                counted[name] = self._categories(
                    f"""
                    select w.week, coalesce({value}, '{MISSING}') as value, 1 as plays
                    from listener_weeks w join listeners l on w.u = l.code
                    left join user_table t on l.user_id = t.user_id
                    """
                )
        tags = self._categories(
            f"""
            select w.week, t.tag as value, w.plays
            from item_weeks w join played_items p on w.i = p.code
            join (select item_id, {dialect.each("tags")} as tag from item_table) t
              on p.item_id = t.item_id
            where t.tag is not null
            """
        )
        if tags.counts.any():
            counted[TAG] = tags
        counted["title"] = self._categories(
            f"""
            select w.week, case when t.title = t.item_id then '{MISSING}' else 'given' end as value,
                   w.plays
            from item_weeks w join played_items p on w.i = p.code
            join item_table t on p.item_id = t.item_id
            """
        )
        return counted

    def profile(self, inputs: Iterable[str]) -> DataProfile:
        """The profile of all weeks."""
        return DataProfile(
            end=self.end.isoformat(),
            weeks=self.number,
            distributions={
                name: counts.distribution() for name, counts in self.counts(inputs).items()
            },
            listeners=self._sketch("listener_weeks", "u", "listeners", "user_id"),
            items=self._sketch("item_weeks", "i", "played_items", "item_id"),
        )

    def sketched(self, column: IdColumn, sketch: list[str]) -> int:
        """How many ids of a sketch are in the tables."""
        tables = ("listeners", "user_table") if column == "user_id" else ("item_table",)
        everyone = " union ".join(f"select {column} from {table}" for table in tables)
        wanted = ", ".join(map(self._sql.dialect.text, sketch))
        hashed = f"substr({self._sql.dialect.sha256(column)}, 1, 16)"
        query = f"select count(distinct {hashed}) from ({everyone}) e where {hashed} in ({wanted})"
        return int(self._sql.rows(query)[0][0])

    def _user_columns(self) -> list[str]:
        return self._sql.arrow("select * from user_table limit 0").column_names

    def _sketch(self, weeks: str, code: str, ids: str, column: str) -> list[str]:
        """A sample of the ids that is the same for the same ids: those with the smallest sha256."""
        hashed = f"substr({self._sql.dialect.sha256(f'd.{column}')}, 1, 16)"
        rows = self._sql.rows(
            f"""
            select {hashed} as digest
            from {ids} d join (select distinct {code} as code from {weeks}) w on d.code = w.code
            order by digest limit {SKETCH_SIZE}
            """
        )
        return [digest for (digest,) in rows]

    def _table(self, kind: Kind, names: tuple[str, ...], query: str) -> WeeklyCounts:
        """Counts by week and bin, from a query of weeks, bins and how much each row counts."""
        counts = np.zeros((self.number, len(names)), np.int64)
        summed = (
            f"select week, bin, sum(plays) from ({query}) q (week, bin, plays) group by week, bin"
        )
        for week, place, plays in self._sql.rows(summed):
            counts[int(week), int(place)] = int(plays)
        return WeeklyCounts(kind, names, counts)

    def _categories(self, query: str) -> WeeklyCounts:
        """Each value in each week; the most frequent values have bins of their own."""
        kept = f"""
            select value, row_number() over (order by plays desc, value) - 1 as bin
            from (select value, sum(plays) as plays from ({query}) q group by value) v
        """
        top = self._sql.rows(f"select value from ({kept}) k where bin < {MAX_VALUES} order by bin")
        names = (*(str(value) for (value,) in top), REST)
        binned = f"""
            select q.week,
                   case when k.bin < {MAX_VALUES} then k.bin else {len(names) - 1} end, q.plays
            from ({query}) q join ({kept}) k on q.value = k.value
        """
        return self._table("categories", names, binned)


def _bin(value: str, bounds: tuple[int, ...]) -> str:
    """The number of bounds that a value reaches, as an expression."""
    cases = " ".join(f"when {value} < {bound} then {place}" for place, bound in enumerate(bounds))
    return f"case {cases} else {len(bounds)} end"


@contextmanager
def read_weeks(dataset: Path, window: Window, engine: EngineSettings) -> Iterator[Weeks]:
    """The weeks of both periods of a dataset folder, as `curate` wrote it."""
    with open_engine(engine) as sql:
        read_dataset(sql, dataset)
        code_plays(sql, "select * from train union all select * from test")
        yield Weeks(sql, window.end)
