"""Converts raw values, as files hold them, to the types of the schema.

A value that cannot be read becomes a missing value. A column may arrive as strings (CSV), as
Python objects (JSON lines) or typed (Parquet): equal values are read alike from all three.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int64s

TimestampUnit = Literal["s", "ms", "us"]

_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_YEAR_MICROSECONDS = 366 * 86_400 * 1_000_000
_END_OF_9999_MICROSECONDS = 253_402_300_799 * 1_000_000


def text(values: pd.Series) -> pd.Series:
    """The values as stripped strings; a missing value is "", and the float 858.0 is "858"."""
    if values.dtype == object:
        # First, because lists and dicts cannot be factorized.
        values = values.map(_text_of, na_action="ignore")
    # Each distinct value is converted once; a column has far fewer of them than rows.
    places, distinct = pd.factorize(values)
    texts = np.array([*map(_text_of, distinct), ""], dtype=object)  # place -1, missing, is the last
    return pd.Series(texts[places], index=values.index, dtype="str")


def labels(values: pd.Series) -> pd.Series:
    """Ids and categories: as `text`, but "858.0", as a CSV holds a float, is "858" too."""
    return text(values).str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)


def codes(values: pd.Series) -> tuple[Int64s, pd.Index]:
    """int64[rows], the place of each row's id in the index of ids, -1 if missing; and the index."""
    text_codes, texts = pd.factorize(text(values))
    ids = labels(pd.Series(texts))
    # Two texts, such as "858" and "858.0", may be the same id.
    id_codes, distinct = pd.factorize(ids.where(ids != ""))
    return np.asarray(id_codes, dtype=np.int64)[text_codes], pd.Index(distinct, dtype="str")


def numbers(values: pd.Series) -> Float64s:
    """The values as float64[rows], NaN where a value is no number."""
    return pd.to_numeric(values, errors="coerce").to_numpy("float64", na_value=np.nan)


def instants(values: pd.Series, unit: TimestampUnit) -> pd.Series:
    """The values as UTC instants in microseconds, NaT where a value is no instant.

    Dates and ISO 8601 text without an offset are UTC. Numbers, and text of digits only, count
    `unit`s since 1970. A number within a year of 1970 is no instant: 1995 is meant as a year and
    20260501 as a date.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return pd.to_datetime(values, utc=True).dt.as_unit("us")
    count = numbers(values)
    microseconds = np.rint(count * _MICROSECONDS[unit])
    size = np.abs(microseconds)
    usable = (size > _YEAR_MICROSECONDS) & (size < _END_OF_9999_MICROSECONDS)
    times = np.where(usable, microseconds, 0).astype("int64").view("datetime64[us]")
    times[~usable] = np.datetime64("NaT", "us")
    result = pd.Series(times, index=values.index).dt.tz_localize("UTC")
    words = values[np.isnan(count)].dropna().astype("str").str.strip()
    words = words[words.str.match(r"\d{4}")]  # pandas would read "now" and "today" as instants
    if len(words):
        dates = pd.to_datetime(words, format="ISO8601", utc=True, errors="coerce")
        result[dates.index] = dates.dt.as_unit("us")
    return result


def tag_lists(values: pd.Series, separator: str) -> list[list[str]]:
    """The tags of every row, stripped, without empty tags; a string is split at the separator."""
    return [
        [tag for tag in (str(part).strip() for part in _parts(value, separator)) if tag]
        for value in values
    ]


def _parts(value: Any, separator: str) -> list[Any]:  # noqa: ANN401
    if isinstance(value, str):
        return value.split(separator)
    return list(value) if isinstance(value, list | tuple | np.ndarray) else []


def _text_of(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()
