"""What the heuristics count of the plays of a features folder, as SQL on an engine.

The plays stay on the engine. What comes back is by item, by segment and item, or by listener.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.arrays import Float32s, Float64s, Int32s, Int64s
from setlist.data.engine import Engine, EngineSettings
from setlist.data.engines import open_engine

MAX_PAIRED_ITEMS = 2_000
"""Of one listener, whose items make pairs with each other; 10,000 would make a hundred million."""
PAIRS_A_PASS = 10_000_000
"""Of items of a listener, that are counted at once: some 300 MB where few of them are equal. Five
times as many took longer on every table that was measured."""
NEIGHBOURS_A_PASS = 200_000
"""That are found at once: DuckDB holds the best of each item in memory, and never on the disk."""


@dataclass(frozen=True)
class HistoryLengths:
    """How much the training listeners played.

    Attributes:
        lengths: int64[listeners], the number of plays.
        latest: float64[listeners with plays], the age of the latest in days.
    """

    lengths: Int64s
    latest: Float64s


@dataclass(frozen=True)
class Neighbours:
    """The items that share most listeners with an item, by falling similarity.

    Attributes:
        codes: int32[items, neighbours], 0 where there are no more.
        similarity: float32[items, neighbours], the cosine, 0 where there are no more.
    """

    codes: Int32s
    similarity: Float32s


class Counts:
    """The plays of a features folder on an engine.

    Attributes:
        folder: the features folder.
    """

    def __init__(self, sql: Engine, folder: Path) -> None:
        """Read the plays once, and keep a row for each listener and item that they played."""
        self.folder = folder
        self._sql = sql
        for table in ("plays", "users"):
            sql.read(table, folder / f"{table}.parquet")
        sql.table(
            "played",
            f"""
            select {sql.dialect.name("user")} as u, item as i, count(*) as plays,
                   min(age_days) as age
            from plays group by {sql.dialect.name("user")}, item
            """,
        )

    def histories(self, listeners: int) -> HistoryLengths:
        """How much each listener played."""
        table = self._sql.arrow(
            """
            select u, cast(sum(plays) as bigint) as plays, min(age) as age
            from played group by u order by u
            """
        )
        lengths = np.zeros(listeners, np.int64)
        lengths[table["u"].to_numpy()] = table["plays"].to_numpy()
        return HistoryLengths(lengths, table["age"].to_numpy().astype(np.float64))

    def listeners_per_item(self, items: int, newest_days: float = math.inf) -> Float32s:
        """float32[items]: how many listeners played the item in the last `newest_days` days."""
        table = self._sql.arrow(
            f"""
            select i, count(*) as listeners from played
            where age <= {self._sql.dialect.real(newest_days)} group by i
            """
        )
        counts = np.zeros(items, np.float32)
        counts[table["i"].to_numpy()] = table["listeners"].to_numpy()
        return counts

    def listeners_per_segment(self, segment: str) -> pd.DataFrame:
        """How many listeners of a value of an input played an item: value, item, listeners.

        Only pairs with a listener have a row. An empty value is no segment.
        """
        column = self._sql.dialect.name(segment)
        return self._sql.arrow(
            f"""
            select s.value, p.i as item, count(*) as listeners
            from played p
            join (select row_number() over (order by user_id) - 1 as u, {column} as value
                  from users) s on p.u = s.u
            where s.value <> '' group by s.value, p.i order by s.value, p.i
            """
        ).to_pandas()

    def neighbours(self, items: int, number: int) -> Neighbours:
        """The nearest items of each item by the cosine of their listeners.

        The cosine of items i and j is n_ij / sqrt(n_i * n_j), of the numbers of listeners who
        played both and each. Equal cosines are in the order of the codes. A listener with more
        than MAX_PAIRED_ITEMS items counts with the newest of them.

        The time grows with the pairs of items that listeners have in common. They are counted in
        passes over ranges of items, so that a pass needs little memory.
        """
        keep = min(number, items)
        found = Neighbours(np.zeros((items, keep), np.int32), np.zeros((items, keep), np.float32))
        self._pair()
        for first, last in self._passes(keep):
            table = self._sql.arrow(_nearest(self._sql, first, last, keep))
            item, place = table["i"].to_numpy(), table["place"].to_numpy() - 1
            found.codes[item, place] = table["j"].to_numpy()
            found.similarity[item, place] = table["cosine"].to_numpy()
        return found

    def _pair(self) -> None:
        """Keep which items of which listeners make pairs: `paired`, `lists`, `paired_items`."""
        sql = self._sql
        # In the order of the items: then the pairs of one item are counted one after another,
        # which takes DuckDB half the time.
        sql.table(
            "paired",
            f"""
            select u, i
            from (select u, i, row_number() over (partition by u order by age, i) as place
                  from played) n
            where place <= {MAX_PAIRED_ITEMS} order by i, u
            """,
        )
        sql.table(
            "lists",
            f"select u, {sql.dialect.gathered('i')} as items, count(*) as n from paired group by u",
        )
        sql.table(
            "paired_items",
            """
            select p.i, count(*) as listeners, cast(sum(l.n) as bigint) as pairs
            from paired p join lists l on p.u = l.u group by p.i
            """,
        )

    def _passes(self, keep: int) -> Iterator[tuple[int, int]]:
        """Ranges of items, from the first to before the last, of each of which `keep` are found."""
        most = max(1, NEIGHBOURS_A_PASS // keep)
        table = self._sql.arrow("select i, pairs from paired_items order by i")
        items, pairs = table["i"].to_numpy(), np.cumsum(table["pairs"].to_numpy())
        start = 0
        while start < len(items):
            before = pairs[start - 1] if start else 0
            end = int(np.searchsorted(pairs, before + PAIRS_A_PASS, "right"))
            end = min(max(start + 1, end), start + most)
            yield int(items[start]), int(items[end - 1]) + 1
            start = end


def _nearest(sql: Engine, first: int, last: int, keep: int) -> str:
    """The query of the neighbours of the items from `first` to before `last`."""
    together = f"""
        select i, j, count(*) as n
        from (select p.i, {sql.dialect.each("l.items")} as j
              from paired p join lists l on p.u = l.u
              where p.i >= {first} and p.i < {last}) e
        where i <> j group by i, j
    """
    cosines = f"""
        select t.i, t.j,
               cast(t.n / sqrt(cast(a.listeners * b.listeners as double)) as float) as cosine
        from ({together}) t
        join paired_items a on t.i = a.i join paired_items b on t.j = b.i
    """
    # By one key: DuckDB then keeps the best of each item, where it would sort all for two.
    return f"""
        select i, j, cosine, place
        from (select i, j, cosine,
                     row_number() over (partition by i
                                        order by {sql.dialect.pair("cosine", "-j")} desc) as place
              from ({cosines}) c) r
        where place <= {keep}
    """


@contextmanager
def read_counts(folder: Path, engine: EngineSettings) -> Iterator[Counts]:
    """The plays of a features folder on an engine, which is closed at the end."""
    with open_engine(engine) as sql:
        yield Counts(sql, folder)
