"""The rules that decide which events are kept, each with a count of the rows that it removed.

Nothing at or after the cutoff decides which events are trained on: a rule looks at a single row, at
rows of the same instant, or at rows on one side of the cutoff.
"""

from typing import Literal

import numpy as np
import pandas as pd
import pydantic

from setlist.arrays import Bools
from setlist.data.conversion import TimestampUnit, codes, instants, numbers
from setlist.data.schema import UNBOUNDED_END, Window
from setlist.errors import DataError

# Older timestamps are defaults and typing errors: nobody logged plays on a home page then.
EARLIEST_EVENT = pd.Timestamp("1990-01-01", tz="UTC").as_unit("us")

Fate = Literal["rejected", "outside", "not trained on"]

_DAY_MICROSECONDS = 86_400_000_000


def _microseconds(instant: pd.Timestamp) -> int:
    return int(instant.asm8.astype("datetime64[us]").astype("int64"))


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


class Events:
    """The raw events as arrays, and a mask of those that no rule has removed yet.

    Attributes:
        raw: [rows] the values as the files hold them.
        user, item: int64[rows], place of the id in `users`, `items`; -1 where it is missing.
        users, items: the distinct ids.
        dated: bool[rows], whether the timestamp can be read.
        time: int64[rows], microseconds since 1970; meaningless where `dated` is false.
        weight: float64[rows], NaN where it cannot be read.
        keep: bool[rows], false once a rule has removed the event.
        counts: the count of the rows read, then one for each rule applied so far.
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
        rows = reasons[self._rule] != ""
        table = self.raw[rows].astype("str").fillna("")
        if "weight" not in table:
            table["weight"] = ""
        table.insert(0, "row", self.raw.index[rows] + 1)
        table["reason"] = reasons[self._rule[rows]]
        return table


def clean(
    events: Events, known_items: pd.Series | None, cutoff: pd.Timestamp, max_events_per_day: int
) -> None:
    """Reject events with broken values, of unknown items, exact duplicates, and those of bots.

    Args:
        events: the raw events; the rejected ones are marked in place.
        known_items: the ids of the items table; None where there is no such table.
        cutoff: the instant between training and test period.
        max_events_per_day: a user with more events on one UTC day is a bot.

    Raises:
        DataError: when no event is left.
    """
    time = events.time
    in_range = (
        events.dated
        & (time >= _microseconds(EARLIEST_EVENT))
        & (time < _microseconds(UNBOUNDED_END))
    )
    events.remove("missing id", (events.user < 0) | (events.item < 0), "rejected")
    events.remove("bad timestamp", ~in_range, "rejected")
    bad_weight = ~(np.isfinite(events.weight) & (events.weight > 0))
    events.remove("bad weight", bad_weight, "rejected")
    if known_items is not None:
        # A missing id has the code -1, which reads the last entry.
        known = np.append(events.items.isin(known_items), False)
        events.remove("unknown item", ~known[events.item], "rejected")

    kept = np.flatnonzero(events.keep)
    same = pd.DataFrame({"u": events.user[kept], "i": events.item[kept], "t": time[kept]})
    repeated = np.zeros(len(time), dtype=bool)
    repeated[kept] = same.duplicated()
    events.remove("exact duplicate", repeated, "rejected")

    kept = np.flatnonzero(events.keep)
    # The day of the cutoff counts as two, or plays of the test period could reject training events.
    half_days = 2 * (time[kept] // _DAY_MICROSECONDS) + (time[kept] >= _microseconds(cutoff))
    # One integer for each user and half day: 2100-01-01 is half day 95,000, less than 200,000.
    groups, _ = pd.factorize(events.user[kept] * 200_000 + half_days)
    mechanical = np.zeros(len(time), dtype=bool)
    if len(kept):
        mechanical[kept] = np.bincount(groups)[groups] > max_events_per_day
    events.remove(f"bot (more than {max_events_per_day} a day)", mechanical, "rejected")

    if not events.keep.any():
        reasons = events.removed("rejected")
        worst = max(reasons, key=lambda reason: reasons[reason])
        raise DataError(
            f"events: all {len(time):,} rows are rejected, most often for {worst!r} "
            f"({reasons[worst]:,} rows)",
            "check the column names and settings of the source",
        )


def split(
    events: Events, window: Window, min_item_events: int, min_user_events: int
) -> tuple[Bools, Bools]:
    """Remove events outside the window and training events of rare items and users.

    Args:
        events: the cleaned events; the removed ones are marked in place.
        window: the period of the run.
        min_item_events: a training event stays if its item has at least as many; applied first.
        min_user_events: a training event stays if its user then has at least as many.

    Returns:
        bool[rows] and bool[rows], the masks of the training and of the test period.

    Raises:
        DataError: when the window or one of its two periods has no event.
    """
    span = events.span()
    inside = (events.time >= _microseconds(window.start)) & (
        events.time < _microseconds(window.end)
    )
    events.remove("outside the window", ~inside, "outside")
    before = events.time < _microseconds(window.cutoff)
    for name, side, start, end in (
        ("window", events.keep, window.start, window.end),
        ("training period", events.keep & before, window.start, window.cutoff),
        ("test period", events.keep & ~before, window.cutoff, window.end),
    ):
        if not side.any():
            raise DataError(
                f"window: no event lies in the {name}, {start.isoformat()} to {end.isoformat()}, "
                f"and the data has {span}",
                "set as_of, split_at, train_days or test_days to fit",
            )
    for rule, code, least in (
        (f"items with fewer than {min_item_events} in training", events.item, min_item_events),
        (f"users with fewer than {min_user_events} in training", events.user, min_user_events),
    ):
        training = events.keep & before
        support = np.bincount(code[training], minlength=int(code.max()) + 1)
        # A missing id, -1, reads the last count; such rows are removed already.
        events.remove(rule, training & (support[code] < least), "not trained on")
    if not (events.keep & before).any():
        raise DataError(
            "curation: min_item_events and min_user_events leave no training event", "lower them"
        )
    return events.keep & before, events.keep & ~before
