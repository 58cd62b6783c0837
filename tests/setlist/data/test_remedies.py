"""The setting that reads a column of times is told from how they are written, and reads them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from setlist.data.keys import Column
from setlist.data.remedies import guess_separator, guess_timestamp, in_order, timestamp_remedy
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


@pytest.mark.parametrize(
    ("days", "likely", "words"),
    [
        # Twelve days of June, and the sixth of twelve months.
        ([f"{day:02}/06/26" for day in range(1, 13)], "%d/%m/%y", "11 days and not 334"),
        ([f"06/{day:02}/26" for day in range(1, 13)], "%m/%d/%y", "11 days and not 334"),
        (["09/06/26"], "%m/%d/%y", "Nothing in the table tells which"),
    ],
)
def test_of_two_orders_that_read_all_the_one_with_the_shorter_time_is_likelier(days, likely, words):
    values = pd.Series(days)
    form, sentence = in_order(values, guess_timestamp(values)["timestamp_format"])
    assert form == likely
    assert words in sentence
    assert "'%d/%m/%y'" in sentence
    assert "'%m/%d/%y'" in sentence


@pytest.mark.parametrize("days", [["09/06/26", "13/06/26"], ["05/05/26"], ["9 Jun 2026"]])
def test_an_order_that_is_no_question_is_not_asked_for(days):
    values = pd.Series(days)
    assert in_order(values, guess_timestamp(values)["timestamp_format"]) == ("", "")


@pytest.mark.parametrize(
    ("texts", "separator"),
    [
        (
            [
                "Comedy Drama",
                "Drama",
                "Crime Drama",
                "Crime Comedy",
                "Comedy",
                "Comedy Crime",
                "Crime",
            ],
            " ",
        ),
        (["Science Fiction", "Soul Music", "Martial Arts", "Comedy", "Drama"], ""),
        (["Hard Rock", "Soft Rock", "Punk Rock", "Pop Rock", "Rock", "Pop", "Punk"], ""),
        (["Comedy/Film Noir", "Drama", "Film Noir/Drama"], "/"),
        (["Comedy|Film Noir", "Drama|Comedy", "Sci-Fi/Drama|War"], "|"),
        (["Film Noir", *["Drama"] * 9, "Crosby, Stills"], ""),
        (["A film of two friends", "The war and what it left", "Old songs on new tapes"], ""),
        # Either may be meant: names of genres, or words of folders.
        (["hard rock", "soft rock", "punk rock", "pop rock", "hard metal", "doom metal"] * 3, ""),
        (["lib core run", "lib core plugins", "test units run", "test units plugins"] * 3, ""),
        ([], ""),
    ],
)
def test_what_stands_between_tags(texts, separator):
    assert guess_separator(pd.Series(texts, dtype="str")) == separator
