"""What mends rows that a rule rejects, told from the first of them."""

import re

import pandas as pd

_YEAR_SECONDS = 366 * 86_400
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


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
