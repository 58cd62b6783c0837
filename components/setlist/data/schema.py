"""The three tables that are the input of a run, and the time window of a run.

events  user_id, item_id (strings), timestamp (UTC, microseconds), weight (float, default 1)
items   item_id, title (string), tags (list of strings), released (UTC or missing)
users   user_id and any number of categorical string columns; "" is "not known"
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import pandas as pd

from setlist.arrays import Int64s
from setlist.errors import SettingsError

EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "weight")
ITEM_COLUMNS = ("item_id", "title", "tags", "released")
TIMESTAMP_DTYPE = "datetime64[us, UTC]"
UNBOUNDED_START = pd.Timestamp("1970-01-01", tz="UTC").as_unit("us")
UNBOUNDED_END = pd.Timestamp("2100-01-01", tz="UTC").as_unit("us")
"""The bounds of a window that leaves out its first or its last day."""
FIRST_INSTANT = pd.Timestamp("1971-01-01", tz="UTC").as_unit("us")
"""No setting names an earlier one: 2026 in place of a date would be one of 1970."""
_COMPACT_DATE = re.compile(r"\d{14}")
DAY_MICROSECONDS = 86_400_000_000
HISTORY_AGE = "history_age_days"
"""The name of the model input with the age of each play of a history, in days."""


def parse_instant(text: str | int | float, key: str) -> pd.Timestamp:
    """The UTC instant that a setting names.

    ISO 8601, Unix seconds as a number or digits, or 14 digits as in 20260501060000. Other forms are
    refused, because 03.04.2024 is a day of March for one reader and of April for another.

    `parse_instant(t.isoformat(), key) == t` for every UTC timestamp in microseconds.

    Args:
        text: the value of the setting.
        key: the name of the setting, for the message.

    Raises:
        SettingsError: when the text is no such date.
    """
    try:
        if isinstance(text, str) and _COMPACT_DATE.fullmatch(text):
            return pd.to_datetime(text, format="%Y%m%d%H%M%S", utc=True).as_unit("us")
        if isinstance(text, int | float) or text.isdigit():
            return pd.Timestamp(float(text), unit="s", tz="UTC").as_unit("us")
        instant = pd.Timestamp(text)
        if not pd.isna(instant):
            datetime.fromisoformat(text)
    except (ValueError, OverflowError) as fault:
        raise date_error(text, key) from fault
    if pd.isna(instant):
        raise SettingsError(f"{key}: the date is empty", "write it like 2026-05-01")
    utc = instant.tz_localize("UTC") if instant.tzinfo is None else instant.tz_convert("UTC")
    return utc.as_unit("us")


def check_instant(value: str | int) -> None:
    """Check a setting that names an instant, as `parse_instant` reads it.

    Raises:
        ValueError: it is no date with a year from 1971 to 2100. So a year alone, which is read as
            seconds, is refused, and so are words such as now, which change while a run lasts.
    """
    try:
        instant = parse_instant(value, "")
    except SettingsError:
        instant = None
    worded = isinstance(value, str) and not any(map(str.isdigit, value))
    if worded or instant is None or not FIRST_INSTANT <= instant <= UNBOUNDED_END:
        raise ValueError(
            f"{value!r:.60} is not an ISO 8601 date from 1971 to 2100; write it like 2026-05-01 or "
            "2026-05-01T06:00:00Z"
        )


def date_error(text: str | float, key: str) -> SettingsError:
    """The error for the value of a setting that cannot be read as an instant."""
    return SettingsError(
        f"{key}: {text!r} is not an ISO 8601 date",
        "write it like 2026-05-01 or 2026-05-01T06:00:00Z",
    )


def instant_microseconds(instant: pd.Timestamp) -> int:
    """Microseconds since 1970 in UTC, exact."""
    return int(instant.as_unit("us").asm8.astype("int64"))


def instant(micros: int) -> pd.Timestamp:
    """The UTC instant of microseconds since 1970."""
    return pd.Timestamp(micros, unit="us", tz="UTC")


def column_microseconds(instants: pd.Series) -> Int64s:
    """int64[rows], microseconds since 1970 in UTC, exact."""
    return instants.dt.as_unit("us").astype("int64").to_numpy()


def tie_order(item_ids: Iterable[str]) -> list[str]:
    """The ids in the order in which equal scores are listed: by SHA-256 of the id.

    `tf.math.top_k` prefers the lower index among equal scores, so a catalogue in this order follows
    the tie rule of the model contract. In an order that depends on popularity (of the file, of
    frequency) a model that gives all items the same score would list the most popular ones.
    """
    return sorted(item_ids, key=lambda item: hashlib.sha256(item.encode()).digest())


@dataclass(frozen=True)
class Window:
    """The period of a run: training is [start, cutoff), test is [cutoff, end), in UTC."""

    start: pd.Timestamp
    cutoff: pd.Timestamp
    end: pd.Timestamp

    def __post_init__(self) -> None:
        if not self.start < self.cutoff < self.end:
            raise SettingsError(
                f"window: the training period must begin before the cutoff and the test period end "
                f"after it, but they are {self.start}, {self.cutoff} and {self.end}."
            )

    def to_json(self) -> dict[str, str]:
        """Three ISO strings; `Window.from_json(w.to_json()) == w`."""
        # "cut" is the key in all documents that are stored already.
        return {
            "start": self.start.isoformat(),
            "cut": self.cutoff.isoformat(),
            "end": self.end.isoformat(),
        }

    @classmethod
    def from_json(cls, document: dict[str, str]) -> Self:
        """The window that `to_json` wrote."""
        start, cutoff, end = (
            parse_instant(document[key], f"window.{key}") for key in ("start", "cut", "end")
        )
        return cls(start, cutoff, end)
