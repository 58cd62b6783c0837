"""From raw values, as files hold them, to the types of the schema; what cannot be read is missing.

A column may arrive as strings (CSV), as Python objects (JSON lines) or typed (Parquet): the same
value reads the same from each.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int64s

TimestampUnit = Literal["s", "ms", "us"]

_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_YEAR = 366 * 86_400 * 1_000_000
_LATEST = 253_402_300_799 * 1_000_000  # the end of the year 9999


def text(values: pd.Series) -> pd.Series:
    """The values as stripped strings; missing is "", and a float that is whole reads "858"."""
    if values.dtype == object:
        values = values.map(_plain, na_action="ignore")  # lists and dicts cannot be factorized
    codes, distinct = pd.factorize(values)
    plain = np.array([*map(_plain, distinct), ""], dtype=object)  # -1, missing, is the last
    return pd.Series(plain[codes], index=values.index, dtype="str")


def labels(values: pd.Series) -> pd.Series:
    """Ids and categories: as `text`, and "858.0", as floats are written to a CSV, is "858"."""
    return text(values).str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)


def codes(values: pd.Series) -> tuple[Int64s, pd.Index]:
    """For every row the number of its id in the index of distinct ids, -1 where it has none."""
    raw_codes, raw = pd.factorize(text(values))
    clean = labels(pd.Series(raw))
    merged, distinct = pd.factorize(clean.where(clean != ""))
    return np.asarray(merged, dtype=np.int64)[raw_codes], pd.Index(distinct, dtype="str")


def numbers(values: pd.Series) -> Float64s:
    """The values as floats, NaN where they are none."""
    return pd.to_numeric(values, errors="coerce").to_numpy("float64", na_value=np.nan)


def instants(values: pd.Series, unit: TimestampUnit) -> pd.Series:
    """The values as UTC instants in microseconds, NaT where they are none.

    Dates and ISO 8601 text without an offset are UTC. Numbers, and text of digits only, count
    `unit`s since 1970; one within a year of 1970 is none, because 1995 and 20260501 are written
    by people who mean something else.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return pd.to_datetime(values, utc=True).dt.as_unit("us")
    count = numbers(values)
    micro = np.rint(count * _MICROSECONDS[unit])
    usable = (np.abs(micro) > _YEAR) & (np.abs(micro) < _LATEST)
    since = np.where(usable, micro, 0).astype("int64").view("datetime64[us]")
    since[~usable] = np.datetime64("NaT")
    result = pd.Series(since, index=values.index).dt.tz_localize("UTC")
    words = values[np.isnan(count)].dropna().astype("str").str.strip()
    words = words[words.str.match(r"\d{4}")]  # pandas reads "now" and "today" as instants
    if len(words):
        dates = pd.to_datetime(words, format="ISO8601", utc=True, errors="coerce")
        result[dates.index] = dates.dt.as_unit("us")
    return result


def tag_lists(values: pd.Series, separator: str) -> list[list[str]]:
    """The tags of every row, stripped and without empty ones; a string is split."""
    return [
        [tag for tag in (str(part).strip() for part in _parts(value, separator)) if tag]
        for value in values
    ]


def _parts(value: Any, separator: str) -> list[Any]:  # noqa: ANN401
    if isinstance(value, str):
        return value.split(separator)
    return list(value) if isinstance(value, list | tuple | np.ndarray) else []


def _plain(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()
