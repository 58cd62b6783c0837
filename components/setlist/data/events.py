"""The raw events as arrays, and which of them no rule has removed yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic

from setlist.arrays import Bools, Float64s, Int64s
from setlist.data.conversion import numbers
from setlist.data.keys import key_text
from setlist.data.source import Part, TableSource, read_parts

Fate = Literal["excluded", "rejected", "outside", "not trained on"]


class RuleCount(pydantic.BaseModel, extra="forbid", frozen=True):
    """The rows that are left after a rule, and the rows that the rule removed.

    Attributes:
        rule: its name.
        rows, users, items: how many are left.
        removed: the rows that the rule removed.
        fate: why these are not trained on; None where a count removes nothing.
    """

    rule: str
    rows: int
    users: int
    items: int
    removed: int = 0
    fate: Fate | None = None


@dataclass(frozen=True)
class RawEvents:
    """The events of a source, each file's columns converted from their own types.

    Attributes:
        user, item: large_string[rows], null where there is no id.
        time: int64[rows], microseconds since 1970 in UTC.
        dated: bool[rows], whether the timestamp can be read.
        weight: float64[rows], NaN where it cannot be read.
        parts: the rows as the files hold them.
    """

    user: pa.ChunkedArray
    item: pa.ChunkedArray
    time: Int64s
    dated: Bools
    weight: Float64s
    parts: Sequence[Part]

    @classmethod
    def read(cls, source: TableSource) -> Self:
        """Read the events table.

        Raises:
            DataError: when a file cannot be read, or an id is not what was meant.
        """
        users, items, times, dated, weights, parts = [], [], [], [], [], []
        required = ("user_id", "item_id", "timestamp")
        with read_parts(source, required=required, optional=("weight",)) as read:
            for part in read:
                users += key_text(part["user_id"]).chunks
                items += key_text(part["item_id"]).chunks
                time, known = source.instants(part["timestamp"])
                times.append(time)
                dated.append(known)
                weights.append(
                    numbers(part["weight"], source.decimal)
                    if "weight" in part
                    else np.ones(len(part.rows))
                )
                parts.append(part)
        return cls(
            pa.chunked_array(users, pa.large_string()),
            pa.chunked_array(items, pa.large_string()),
            np.concatenate(times),
            np.concatenate(dated),
            np.concatenate(weights),
            parts,
        )

    def __len__(self) -> int:
        return len(self.time)

    def text(self, rows: Int64s) -> pd.DataFrame:
        """Some rows as the files hold them: row (from 1, through all files) and text, "" missing.

        Args:
            rows: sorted places in the arrays of this class.
        """
        tables = []
        start = 0
        for part in self.parts:
            places = rows[(rows >= start) & (rows < start + len(part.rows))] - start
            start += len(part.rows)
            columns: dict[str, object] = {"row": part.start + part.rows[places] + 1}
            for name in ("user_id", "item_id", "timestamp", "weight"):
                if name in part:
                    chosen = part[name].to(part[name].values.take(places))
                    columns[name] = _shown(chosen.values)
                else:
                    columns[name] = np.full(len(places), "", dtype=object)
            tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)


def _shown(values: pa.ChunkedArray) -> pd.Series:
    def text(value: object) -> str:
        if value is None:
            return ""
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    return pd.Series([text(value) for value in values.to_pylist()], dtype="str")


class Events:
    """The raw events as codes, and a mask of those that no rule has removed yet.

    Attributes:
        raw: the events as they were read.
        user, item: int64[rows], place of the id in `users`, `items`; -1 where it is missing.
        users, items: the distinct ids.
        dated, time, weight: of `raw`.
        keep: bool[rows], false once a rule has removed the event.
        counts: the count of the rows read, then one for each rule applied so far.
    """

    def __init__(self, raw: RawEvents) -> None:
        self.raw = raw
        self.user, self.users = _codes(raw.user)
        self.item, self.items = _codes(raw.item)
        self.dated, self.time, self.weight = raw.dated, raw.time, raw.weight
        self.keep: Bools = np.ones(len(raw), dtype=bool)
        self.counts = [self.count("read", self.keep)]
        # For each row the place in `counts` of the rule that removed it; 0 where no rule did.
        self._rule = np.zeros(len(raw), dtype=np.int8)

    def count(
        self, rule: str, rows: Bools, removed: int = 0, fate: Fate | None = None
    ) -> RuleCount:
        """How many rows, users and items the mask selects."""
        users, items = (
            int(np.count_nonzero(np.bincount(code[rows & (code >= 0)])))
            for code in (self.user, self.item)
        )
        return RuleCount(
            rule=rule, rows=int(rows.sum()), users=users, items=items, removed=removed, fate=fate
        )

    def remove(self, rule: str, bad: Bools, fate: Fate) -> None:
        """Remove the rows of the mask `bad` that are still kept, and count them."""
        bad = bad & self.keep
        self.keep &= ~bad
        self._rule[bad] = len(self.counts)
        self.counts.append(self.count(rule, self.keep, int(bad.sum()), fate))

    def removed(self, fate: Fate) -> dict[str, int]:
        """The number of removed rows of each rule with that fate."""
        return {count.rule: count.removed for count in self.counts if count.fate == fate}

    def example(self, rule: str) -> dict[str, str]:
        """The first row that a rule removed, as the file holds it."""
        row = self.raw.text(np.flatnonzero(self.removed_by(rule))[:1]).iloc[0]
        return {str(name): str(value) for name, value in row.items()}

    def removed_by(self, rule: str) -> Bools:
        """bool[rows]: which rows a rule removed."""
        place = next(n for n, count in enumerate(self.counts) if count.rule == rule)
        return self._rule == place

    def span(self) -> str:
        """The first and the last instant of the kept rows, as text for a message."""
        first, last = (
            pd.Timestamp(int(instant), unit="us", tz="UTC").isoformat()
            for instant in (self.time[self.keep].min(), self.time[self.keep].max())
        )
        return f"{first} to {last}"

    def table(self, rows: Bools) -> pd.DataFrame:
        """The rows of a mask as EVENT_COLUMNS, by timestamp, then user_id and item_id."""
        selected = np.flatnonzero(rows)
        # Ranks of the distinct ids: far fewer strings to compare than rows.
        ranks = (
            np.argsort(np.argsort(ids.to_numpy(object)))[code[selected]]
            for ids, code in ((self.items, self.item), (self.users, self.user))
        )
        selected = selected[np.lexsort((*ranks, self.time[selected]))]
        return pd.DataFrame(
            {
                "user_id": self.users[self.user[selected]],
                "item_id": self.items[self.item[selected]],
                "timestamp": pd.to_datetime(self.time[selected].view("M8[us]"), utc=True),
                "weight": self.weight[selected],
            }
        )

    def rejected(self) -> pd.DataFrame:
        """The rejected rows: row (from 1), the raw values as text ("" is missing), reason."""
        reasons = np.array([c.rule if c.fate == "rejected" else "" for c in self.counts], object)
        rows = np.flatnonzero(reasons[self._rule] != "")
        return self.raw.text(rows).assign(reason=reasons[self._rule[rows]])


def _codes(ids: pa.ChunkedArray) -> tuple[Int64s, pd.Index]:
    """int64[rows], the place of each id in the index of ids, -1 if missing; and the index."""
    encoded = ids.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return codes, pd.Index(encoded.dictionary.to_pandas(), dtype="str")
