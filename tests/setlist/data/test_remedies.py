"""The setting that reads a column of times is told from how they are written, and reads them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from setlist.data.keys import Column
from setlist.data.remedies import guess_timestamp, timestamp_remedy
from setlist.data.source import TableSource

TIMES = pd.date_range("2026-02-27 09:05:07", periods=40, freq="17h")
DATES, MINUTES = TIMES.floor("D"), TIMES.floor("min")
WRITTEN = {
    "%Y%m%d": DATES,
    "%Y%m%d%H%M%S": TIMES,
    "%Y%m%dT%H%M%S": TIMES,
    "%m/%d/%Y": DATES,
    "%d/%m/%Y": DATES,
    "%m/%d/%Y %I:%M %p": MINUTES,
    "%m/%d/%y %H:%M": MINUTES,
    "%d-%m-%Y %H:%M:%S": TIMES,
    "%d.%m.%y %H:%M": MINUTES,
    "%d-%b-%Y": DATES,
    "%b %d, %Y": DATES,
    "%b %d, %Y, %H:%M": MINUTES,
    "%a %b %d %H:%M:%S +0000 %Y": TIMES,
    "%d/%b/%Y:%H:%M:%S +0000": TIMES,
    "%Y-%m-%d %H:%M:%S": TIMES,
    "%Y/%m/%d": DATES,
    "%d.%m.%Y %H:%M": MINUTES,
}


def read(values: pa.Array, settings: dict[str, str]) -> list[pd.Timestamp]:
    source = TableSource.model_validate({"path": "events.csv"} | settings)
    column = Column(pa.chunked_array([values]), "events.csv", "time", np.arange(len(values)))
    micros, known = source.instants(column)
    assert known.all()
    return list(pd.to_datetime(micros, unit="us"))


@pytest.mark.parametrize("form", WRITTEN)
def test_times_of_a_form_are_read_with_the_setting_that_is_proposed(form):
    written = pd.Series(WRITTEN[form].strftime(form), dtype="str")
    settings = guess_timestamp(written)
    assert read(pa.array(written, pa.large_string()), settings) == list(WRITTEN[form])


def test_whole_numbers_of_a_parquet_file_may_be_dates():
    numbers = pa.array(DATES.strftime("%Y%m%d").astype("int64"))
    assert read(numbers, {"timestamp_format": "%Y%m%d"}) == list(DATES)


def test_numbers_that_are_not_of_the_format_count_seconds():
    mixed = pa.array(["20260501", "1777593600"], pa.large_string())
    assert read(mixed, {"timestamp_format": "%Y%m%d"}) == [pd.Timestamp("2026-05-01")] * 2


@pytest.mark.parametrize("value", ["7", "soon", "now", "today", "1995", "2026"])
def test_nothing_is_proposed_for_what_is_no_time(value):
    assert guess_timestamp(pd.Series([value])) == {}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("01/04/2026 09:30", 'set timestamp_format: "%m/%d/%Y %H:%M" or "%d/%m/%Y %H:%M"'),
        ("25/04/2026", "'25/04/2026' is no ISO 8601: set timestamp_format: \"%d/%m/%Y\""),
        ("20260503", 'set timestamp_format: "%Y%m%d"'),
        ("1766275279000", "looks like milliseconds: set timestamp_unit: ms"),
        ("soon", "set timestamp_format as strptime has it"),
    ],
)
def test_the_remedy_for_a_time_that_cannot_be_read_names_the_setting(value, sentence):
    assert sentence in timestamp_remedy(value)
