"""The rules that decide which events stay, each with its account.

Nothing at or after the cut decides what is trained: a rule looks at one row, at rows of one
instant, or at rows of one side of the cut.
"""

from typing import Literal

import numpy as np
import pandas as pd
import pydantic

from setlist.arrays import Bools
from setlist.data.conversion import TimestampUnit, codes, instants, numbers
from setlist.data.schema import UNBOUNDED_END, Window
from setlist.errors import SetlistError

# Older timestamps are defaults and typing errors: nobody logged plays on a home page then.
EARLIEST_EVENT = pd.Timestamp("1990-01-01", tz="UTC").as_unit("us")

Fate = Literal["rejected", "outside", "not trained on"]

_DAY = 86_400_000_000  # microseconds


def _micro(instant: pd.Timestamp) -> int:
    return int(instant.asm8.astype("datetime64[us]").astype("int64"))


class RuleCount(pydantic.BaseModel, extra="forbid", frozen=True):
    """What is left after a rule, how many rows the rule took, and what became of those."""

    rule: str
    rows: int
    users: int
    items: int
    removed: int = 0
    fate: Fate | None = None


class Events:
    """The raw events, read once, and which of them are still in.

    Attributes:
        user, item: [rows] number of the id in `users`, `items`; -1 where there is none.
        time: [rows] microseconds since 1970, meaningless where `dated` is false.
        keep: [rows] the events still in.
        counts: one entry a rule applied so far.
    """

    def __init__(self, raw: pd.DataFrame, unit: TimestampUnit) -> None:
        self.raw = raw
        self.user, self.users = codes(raw["user_id"])
        self.item, self.items = codes(raw["item_id"])
        timestamp = instants(raw["timestamp"], unit)
        self.dated = timestamp.notna().to_numpy()
        self.time = timestamp.dt.tz_localize(None).to_numpy("datetime64[us]").view("int64")
        self.weight = numbers(raw["weight"]) if "weight" in raw else np.ones(len(raw))
        self.keep: Bools = np.ones(len(raw), dtype=bool)
        self.counts = [self.count("read", self.keep)]
        self._rule = np.zeros(len(raw), dtype=np.int8)  # number of the rule that took the row

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
        """Take out the rows of `bad` that are still in."""
        bad = bad & self.keep
        self.keep &= ~bad
        self._rule[bad] = len(self.counts)
        self.counts.append(self.count(rule, self.keep, int(bad.sum()), fate))

    def removed(self, fate: Fate) -> dict[str, int]:
        """Rows by rule, of the rules of that fate."""
        return {count.rule: count.removed for count in self.counts if count.fate == fate}

    def span(self) -> str:
        """The first and the last instant of the rows still in."""
        first, last = (
            pd.Timestamp(int(instant), unit="us", tz="UTC").isoformat()
            for instant in (self.time[self.keep].min(), self.time[self.keep].max())
        )
        return f"{first} to {last}"

    def table(self, rows: Bools) -> pd.DataFrame:
        """The rows as EVENT_COLUMNS, by timestamp, then user_id and item_id."""
        chosen = np.flatnonzero(rows)
        ranks = (
            np.argsort(np.argsort(ids.to_numpy(object)))[code[chosen]]
            for ids, code in ((self.items, self.item), (self.users, self.user))
        )
        chosen = chosen[np.lexsort((*ranks, self.time[chosen]))]
        return pd.DataFrame(
            {
                "user_id": self.users[self.user[chosen]],
                "item_id": self.items[self.item[chosen]],
                "timestamp": pd.to_datetime(self.time[chosen].view("M8[us]"), utc=True),
                "weight": self.weight[chosen],
            }
        )

    def rejected(self) -> pd.DataFrame:
        """The rejected rows: row (from 1), the raw values as text ("" is missing), reason."""
        reasons = np.array([c.rule if c.fate == "rejected" else "" for c in self.counts], object)
        rows = reasons[self._rule] != ""
        table = self.raw[rows].astype("str").fillna("")
        if "weight" not in table:
            table["weight"] = ""
        table.insert(0, "row", self.raw.index[rows] + 1)
        table["reason"] = reasons[self._rule[rows]]
        return table


def clean(
    events: Events, known_items: pd.Series | None, cut: pd.Timestamp, max_events_per_day: int
) -> None:
    """Reject what is broken, foreign, repeated or mechanical.

    Raises:
        SetlistError: when nothing is left.
    """
    time = events.time
    in_range = events.dated & (time >= _micro(EARLIEST_EVENT)) & (time < _micro(UNBOUNDED_END))
    events.remove("missing id", (events.user < 0) | (events.item < 0), "rejected")
    events.remove("bad timestamp", ~in_range, "rejected")
    bad_weight = ~(np.isfinite(events.weight) & (events.weight > 0))
    events.remove("bad weight", bad_weight, "rejected")
    if known_items is not None:
        known = np.append(events.items.isin(known_items), False)  # -1, missing, is the last
        events.remove("unknown item", ~known[events.item], "rejected")

    kept = np.flatnonzero(events.keep)
    same = pd.DataFrame({"u": events.user[kept], "i": events.item[kept], "t": time[kept]})
    repeated = np.zeros(len(time), dtype=bool)
    repeated[kept] = same.duplicated()
    events.remove("exact duplicate", repeated, "rejected")

    kept = np.flatnonzero(events.keep)
    # The day of the cut counts as two, or plays of the test period could reject training events.
    half_days = 2 * (time[kept] // _DAY) + (time[kept] >= _micro(cut))
    groups, _ = pd.factorize(events.user[kept] * 200_000 + half_days)
    mechanical = np.zeros(len(time), dtype=bool)
    if len(kept):
        mechanical[kept] = np.bincount(groups)[groups] > max_events_per_day
    events.remove(f"bot (more than {max_events_per_day} a day)", mechanical, "rejected")

    if not events.keep.any():
        reasons = events.removed("rejected")
        worst = max(reasons, key=lambda reason: reasons[reason])
        raise SetlistError(
            f"events: all {len(time):,} rows are rejected, most often for {worst!r} "
            f"({reasons[worst]:,} rows); check the column names and settings of the source."
        )


def split(
    events: Events, window: Window, min_item_events: int, min_user_events: int
) -> tuple[Bools, Bools]:
    """Keep the window, and what has enough support in training; the masks of the two periods.

    Raises:
        SetlistError: when the window or one of its sides is empty.
    """
    span = events.span()
    inside = (events.time >= _micro(window.start)) & (events.time < _micro(window.end))
    events.remove("outside the window", ~inside, "outside")
    before = events.time < _micro(window.cutoff)
    for name, side, start, end in (
        ("window", events.keep, window.start, window.end),
        ("training period", events.keep & before, window.start, window.cutoff),
        ("test period", events.keep & ~before, window.cutoff, window.end),
    ):
        if not side.any():
            raise SetlistError(
                f"window: no event lies in the {name}, {start.isoformat()} to {end.isoformat()}, "
                f"and the data has {span}; set as_of, split_at, train_days or test_days to fit."
            )
    for rule, code, least in (
        (f"items with fewer than {min_item_events} in training", events.item, min_item_events),
        (f"users with fewer than {min_user_events} in training", events.user, min_user_events),
    ):
        training = events.keep & before
        support = np.bincount(code[training], minlength=int(code.max()) + 1)
        # A missing id, -1, takes the last count: such rows left long ago.
        events.remove(rule, training & (support[code] < least), "not trained on")
    if not (events.keep & before).any():
        raise SetlistError(
            "curation: min_item_events and min_user_events leave no training event; lower them."
        )
    return events.keep & before, events.keep & ~before
