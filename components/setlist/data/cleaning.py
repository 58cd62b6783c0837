"""The rules that decide which events are kept, each with a count of the rows that it removed.

Nothing at or after the cutoff decides which events are trained on: a rule looks at a single row, at
rows of the same instant, or at rows on one side of the cutoff.
"""

import re

import numpy as np
import pandas as pd

from setlist.arrays import Bools
from setlist.data.curation_report import RejectedExample
from setlist.data.events import Events
from setlist.data.schema import (
    DAY_MICROSECONDS,
    UNBOUNDED_END,
    Window,
    instant_microseconds,
)
from setlist.errors import DataError

# Older timestamps are defaults and typing errors: nobody logged plays on a home page then.
EARLIEST_EVENT = pd.Timestamp("1990-01-01", tz="UTC").as_unit("us")

_YEAR_SECONDS = 366 * 86_400
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def exclude(events: Events, users: set[str], items: set[str]) -> None:
    """Remove the events of listeners and items that are to be left out, as if they never were."""
    for rule, ids, codes, excluded in (
        ("excluded listener", events.users, events.user, users),
        ("excluded item", events.items, events.item, items),
    ):
        # A missing id has the code -1, which reads the last entry.
        left_out = np.append(ids.isin(excluded), False)
        events.remove(rule, left_out[codes], "excluded")


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
        & (time >= instant_microseconds(EARLIEST_EVENT))
        & (time < instant_microseconds(UNBOUNDED_END))
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
    half_days = 2 * (time[kept] // DAY_MICROSECONDS) + (time[kept] >= instant_microseconds(cutoff))
    # One integer for each user and half day: 2100-01-01 is half day 95,000, less than 200,000.
    groups, _ = pd.factorize(events.user[kept] * 200_000 + half_days)
    mechanical = np.zeros(len(time), dtype=bool)
    if len(kept):
        mechanical[kept] = np.bincount(groups)[groups] > max_events_per_day
    events.remove(f"bot (more than {max_events_per_day} a day)", mechanical, "rejected")

    if not events.keep.any():
        reasons = events.removed("rejected")
        worst = max(reasons, key=lambda reason: reasons[reason])
        first = rejected_example(events, worst)
        raise DataError(
            f"events: all {len(time):,} rows are rejected, most often for {worst!r} "
            f"({reasons[worst]:,} rows, the first is {first.row})",
            first.remedy,
        )


def rejected_example(events: Events, rule: str) -> RejectedExample:
    """The first row that a rule rejected, and what mends it."""
    row = events.example(rule)
    return RejectedExample(row=_shown(row), remedy=remedy(rule, row))


def remedy(rule: str, example: dict[str, str]) -> str:
    """What mends the rows that a rule rejects, told from the first of them.

    Args:
        rule: its name, as in `RuleCount`.
        example: the row as text, by column.
    """
    if rule == "bad timestamp":
        return timestamp_remedy(example["timestamp"])
    if rule == "unknown item":
        return (
            f"give item {example['item_id']!r} and the others to the items table, or see whether "
            "the ids of both tables match"
        )
    if rule == "exact duplicate":
        return "load each event once; if plays of one second are meant, give finer timestamps"
    if rule.startswith("bot"):
        return "raise curation.max_events_per_day if listeners play so much"
    if rule == "missing id":
        return "fill the missing ids, or leave such rows out with `where`"
    if rule == "bad weight":
        return (
            "weights are numbers above 0: fill the missing ones, set `decimal`, or leave the "
            "column out with another name under `columns`"
        )
    return "check the column names and settings of the source"


def timestamp_remedy(value: str) -> str:
    """The setting that would make a timestamp readable, told from its form."""
    if not value:
        return "fill the timestamps that are missing"
    if unit := numeric_unit(value):
        return f"{value} looks like {_UNITS[unit]}: set timestamp_unit: {unit}"
    if re.match(r"\d{1,2}/\d{1,2}/\d{4}", value):
        time = " %H:%M:%S" if value.count(":") == 2 else " %H:%M" if ":" in value else ""
        return (
            f"{value!r} has a day and a month in an order that only you know: set "
            f'timestamp_format: "%m/%d/%Y{time}" or "%d/%m/%Y{time}"'
        )
    return f"{value!r} is no ISO 8601: set timestamp_format as strptime has it"


def numeric_unit(value: str) -> str:
    """The unit that a number of today would have as a timestamp; "" for what is none."""
    if not re.fullmatch(r"-?\d+(\.\d+)?([eE]\+?\d+)?", value):
        return ""
    number = abs(float(value))
    least = {"ns": 1e17, "us": 1e14, "ms": 1e11, "s": _YEAR_SECONDS}
    return next((unit for unit, bound in least.items() if number >= bound), "")


def guess_timestamp(values: pd.Series) -> dict[str, str]:
    """The settings with which the timestamps of a column can be read; {} where none is needed.

    Args:
        values: as text, without missing values.
    """
    if not len(values):
        return {}
    unit = numeric_unit(str(values.iloc[0]))
    if unit:
        return {} if unit == "s" else {"timestamp_unit": unit}
    parts = values.str.extract(r"^(\d{1,2})/(\d{1,2})/\d{4}(.*)$").dropna()
    if parts.empty:
        return {}
    # Only a number above 12 tells the day from the month; without one the order stays a guess.
    day_first = (parts[0].astype(int) > 12).any()
    colons = str(parts[2].iloc[0]).count(":")
    time = {0: "", 1: " %H:%M", 2: " %H:%M:%S"}.get(colons, "")
    return {"timestamp_format": ("%d/%m/%Y" if day_first else "%m/%d/%Y") + time}


def _shown(example: dict[str, str]) -> str:
    row = ", ".join(f"{name} {value!r}" for name, value in example.items() if name != "row")
    return f"row {example['row']}: {row}"[:300]


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
    inside = (events.time >= instant_microseconds(window.start)) & (
        events.time < instant_microseconds(window.end)
    )
    events.remove("outside the window", ~inside, "outside")
    before = events.time < instant_microseconds(window.cutoff)
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
