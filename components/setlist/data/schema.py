"""The three tables that everything else is built on, and the time window of a run.

events  user_id, item_id (strings), timestamp (UTC, microseconds), weight (float, default 1)
items   item_id, title (string), tags (list of strings), released (UTC or missing)
users   user_id and any number of categorical string columns; "" is "not known"
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import pandas as pd

from setlist.errors import SetlistError

EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "weight")
ITEM_COLUMNS = ("item_id", "title", "tags", "released")
TIMESTAMP_DTYPE = "datetime64[us, UTC]"
COMPACT = re.compile(r"\d{14}")
MACRO = "[[ScheduledTime]]"
"""What Kubeflow Pipelines replaces by the time of a scheduled run, 14 digits in UTC."""
SCHEDULED = " by "


def parse_instant(text: str | int | float, key: str) -> pd.Timestamp:
    """The UTC instant that a setting names.

    ISO text, Unix seconds as a number or digits, 14 digits as in 20260501060000, or what
    `scheduled` wrote.

    Law: `parse_instant(t.isoformat(), key) == t` for every UTC timestamp in microseconds.

    Raises:
        SetlistError: when the text is no date; the sentence names `key`.
    """
    try:
        if isinstance(text, str) and SCHEDULED in text:
            moment, _, cron = text.partition(SCHEDULED)
            if moment != MACRO:
                return parse_instant(moment, key)
            return pd.Timestamp(last_time(cron, datetime.now(UTC))).as_unit("us")
        if isinstance(text, str) and COMPACT.fullmatch(text):
            return pd.to_datetime(text, format="%Y%m%d%H%M%S", utc=True).as_unit("us")
        if isinstance(text, int | float) or text.isdigit():
            return pd.Timestamp(float(text), unit="s", tz="UTC").as_unit("us")
        instant = pd.Timestamp(text)
    except (ValueError, OverflowError) as fault:
        raise SetlistError(
            f"{key}: {text!r} is not a date; write it like 2026-05-01 or 2026-05-01T06:00:00Z."
        ) from fault
    if pd.isna(instant):
        raise SetlistError(f"{key}: the date is empty; write it like 2026-05-01.")
    utc = instant.tz_localize("UTC") if instant.tzinfo is None else instant.tz_convert("UTC")
    return utc.as_unit("us")


def scheduled(cron: str) -> str:
    """The moment at which a cron line (six fields, UTC) made a run start, as `parse_instant` reads.

    Kubeflow Pipelines 2.17 expands the macro in front for some recurring runs and hands it on as it
    is to others, those that are pinned to a version of their pipeline among them. Then the last
    fire time until now is taken: the same moment, unless the run waited for longer than a period.
    """
    return f"{MACRO}{SCHEDULED}{cron}"


def last_time(cron: str, until: datetime) -> datetime:
    """The last fire time of a cron line (six fields, UTC) until a moment, that moment included."""
    from croniter import croniter  # type: ignore[import-untyped]

    soon = until.replace(microsecond=0) + timedelta(seconds=1)
    return croniter(cron, soon, second_at_beginning=True).get_prev(datetime)


@dataclass(frozen=True)
class Window:
    """The period of a run: training is [start, cut), the test period is [cut, end), all in UTC."""

    start: pd.Timestamp
    cut: pd.Timestamp
    end: pd.Timestamp

    def __post_init__(self) -> None:
        if not self.start < self.cut < self.end:
            raise SetlistError(
                f"window: the training period must begin before the cut and the test period end "
                f"after it, but they are {self.start}, {self.cut} and {self.end}."
            )

    def to_json(self) -> dict[str, str]:
        """Three ISO strings; `Window.from_json(w.to_json()) == w`."""
        return {
            "start": self.start.isoformat(),
            "cut": self.cut.isoformat(),
            "end": self.end.isoformat(),
        }

    @classmethod
    def from_json(cls, document: dict[str, str]) -> Self:
        """The window that `to_json` wrote."""
        return cls(
            **{
                key: parse_instant(document[key], f"window.{key}")
                for key in ("start", "cut", "end")
            }
        )
