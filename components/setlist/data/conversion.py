"""Instants, numbers and tags from the columns of a file; a value that cannot be read is missing."""

import json
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from setlist.arrays import Bools, Float64s, Int64s
from setlist.data.keys import Column, label_text

TimestampUnit = Literal["s", "ms", "us", "ns"]

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_YEAR_SECONDS = 366 * 86_400
_LATEST_SECONDS = 253_402_300_799  # the end of the year 9999
_UTC = r" ?UTC$"  # as BigQuery writes it, which ISO 8601 does not know
_DOTTED = r"^\d{1,2}\.\d{1,2}\.\d{4}"
"""Dates with dots have the day first wherever they are written, so they need no setting."""
_OFFSET = r"(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"


def instants(
    column: Column, unit: TimestampUnit, timestamp_format: str = "", timezone: str = "UTC"
) -> tuple[Int64s, Bools]:
    """The values as instants.

    Dates and ISO 8601 text without an offset are in the time zone; where clocks go back and an hour
    occurs twice, the first is meant. Numbers, and text of digits only, count units since 1970 where
    they are not of the format; a number within a year of 1970 is no instant then, because 1995 is
    meant as a year and 20260501 as a date.

    Args:
        column: of one file.
        unit: of numbers.
        timestamp_format: of text and whole numbers, as `strptime` has it; "" for ISO 8601 and
            dates with dots.
        timezone: of text that names none.

    Returns:
        int64[rows], microseconds since 1970 in UTC, 0 where there is none; and bool[rows], whether
        there is one.
    """
    kind = column.values.type
    if pa.types.is_timestamp(kind):
        values = column.values
        if kind.tz is None and timezone != "UTC":
            values = pc.assume_timezone(
                values, timezone, ambiguous="earliest", nonexistent="latest"
            )
        return _filled(values.cast(pa.timestamp("us", values.type.tz), safe=False).cast(pa.int64()))
    if pa.types.is_date(kind):
        return _filled(column.values.cast(pa.timestamp("us")).cast(pa.int64()))
    if pa.types.is_integer(kind) and timestamp_format:
        text = column.to(column.values.cast(pa.string()).cast(pa.large_string()))
        return instants(text, unit, timestamp_format, timezone)
    if pa.types.is_integer(kind):
        return _counted(column.values.cast(pa.int64(), safe=False), unit)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _counted_floats(column.values.cast(pa.float64()).to_numpy(), unit)
    text = pc.replace_substring_regex(label_text(column), _UTC, "Z")
    digits = pc.match_substring_regex(text, r"^-?\d+$").fill_null(False)
    # Longer ones overflow int64, and are no instant in any unit.
    short = pc.match_substring_regex(text, r"^-?(\d{1,18}|[1-8]\d{18})$").fill_null(False)
    whole = pc.if_else(short, text, None)
    micros, known = _counted(whole.cast(pa.int64()), unit)
    decimal = pc.match_substring_regex(text, r"^-?\d+\.\d+([eE][+-]?\d+)?$|^-?\d+[eE][+-]?\d+$")
    if pc.any(decimal).as_py():
        floats = pc.if_else(decimal.fill_null(False), text, None).cast(pa.float64())
        of_floats, known_floats = _counted_floats(floats.to_numpy(), unit)
        micros[known_floats], known = of_floats[known_floats], known | known_floats
    # With a format, digits are words as well: 20260501 is a date. What it does not read is counted.
    words = text.to_pandas()
    words = (words if timestamp_format else words[~known & ~_bools(digits)]).dropna()
    for dates in _dates(words, timestamp_format, timezone):
        micros[dates.index] = dates.dt.as_unit("us").astype("int64")
        known[dates.index] = True
    return micros, known


def _dates(words: pd.Series, timestamp_format: str, timezone: str) -> Iterator[pd.Series]:
    """The words that are dates as UTC instants, in groups that are written alike."""
    if timestamp_format:
        yield _in_utc(_parsed(words, timestamp_format, utc="%z" in timestamp_format), timezone)
        return
    dotted = words.str.match(_DOTTED)
    for form in ("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S.%f"):
        yield _in_utc(_parsed(words[dotted], form), timezone)
    words = words[words.str.match(r"\d{4}")]  # pandas would read "now" and "today" as instants
    offset = words.str.contains(_OFFSET)
    yield _parsed(words[offset], "ISO8601", utc=True)
    yield _in_utc(_parsed(words[~offset], "ISO8601"), timezone)


def _parsed(words: pd.Series, form: str, utc: bool = False) -> pd.Series:
    """The words of that form as instants, the others left out."""
    return pd.to_datetime(words, format=form, utc=utc, errors="coerce").dropna()


def _in_utc(dates: pd.Series, timezone: str) -> pd.Series:
    """Dates without a zone as UTC instants; `nonexistent` times are those that clocks skip."""
    if dates.empty or dates.dt.tz is not None:
        return dates
    first = np.ones(len(dates), bool)  # of an hour that occurs twice, the first is summer time
    local = dates.dt.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward")
    return local.dt.tz_convert("UTC")


def numbers(column: Column, decimal: str = ".") -> Float64s:
    """The values as float64[rows], NaN where a value is no number.

    Args:
        column: of one file.
        decimal: between the whole and the fraction of a number in text.
    """
    kind = column.values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        text = label_text(column)
        if decimal != ".":
            text = pc.replace_substring(text, decimal, ".")
        return pd.to_numeric(text.to_pandas(), errors="coerce").to_numpy("float64", na_value=np.nan)
    values: Float64s = column.values.cast(pa.float64(), safe=False).to_numpy()
    return values


def tag_lists(column: Column, separator: str) -> list[list[str]]:
    """The tags of every row, stripped, without empty tags.

    Text that is a JSON list is that list; any other text is split at the separator.
    """
    if pa.types.is_nested(column.values.type):
        rows = column.values.to_pylist()
    else:
        rows = [_split(text, separator) for text in label_text(column).to_pylist()]
    return [
        [tag for tag in (str(part).strip() for part in row or () if part is not None) if tag]
        for row in rows
    ]


def _split(text: str | None, separator: str) -> Sequence[object]:
    if text is None:
        return ()
    if text.startswith("[") and text.endswith("]"):
        try:
            tags = json.loads(text)
        except ValueError:
            return text.split(separator)
        return tags if isinstance(tags, list) else ()
    return text.split(separator)


def _filled(micros: pa.ChunkedArray) -> tuple[Int64s, Bools]:
    known = ~_bools(micros.is_null())
    # A copy, since Arrow's memory is read-only and later groups of values are filled in.
    return np.array(micros.fill_null(0).to_numpy(), dtype=np.int64), known


def _counted(counts: pa.ChunkedArray, unit: TimestampUnit) -> tuple[Int64s, Bools]:
    """Counts of a unit since 1970, exact."""
    values, known = _filled(counts)
    per_second = _PER_SECOND[unit]
    # In whole seconds, because a count of seconds beyond year 9999 overflows in microseconds.
    seconds = np.abs(values // per_second)
    known &= (seconds > _YEAR_SECONDS) & (seconds < _LATEST_SECONDS)
    values = np.where(known, values, 0)
    if per_second <= 10**6:
        return values * (10**6 // per_second), known
    return values // (per_second // 10**6), known


def _counted_floats(values: Float64s, unit: TimestampUnit) -> tuple[Int64s, Bools]:
    micros = np.rint(values * (10**6 / _PER_SECOND[unit]))
    size = np.abs(micros)
    known = (size > _YEAR_SECONDS * 1e6) & (size < _LATEST_SECONDS * 1e6)
    return np.where(known, micros, 0).astype(np.int64), known


def _bools(mask: pa.ChunkedArray) -> Bools:
    return np.array(mask.fill_null(False).to_numpy(), dtype=bool)
