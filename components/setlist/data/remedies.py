"""What mends rows that a rule rejects, told from the first of them."""

import re

import pandas as pd

_YEAR_SECONDS = 366 * 86_400
_DAYS = (
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y"),
    *("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y"),
)
"""Days as people write them; of two orders that read as many values, the first is taken."""
_TIMES = (
    "",
    *(
        f"{gap}{time}"
        for gap in (" ", ", ")
        for time in (
            *("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M:%S%p"),
        )
    ),
)
_WHOLE = ("%a %b %d %H:%M:%S %z %Y", "%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %Z")
"""Of an interface of short messages, of the log of a web server, and of HTTP."""
_ORDERS = ("%m/%d", "%d/%m", "%d-%m-", "%m-%d-")
"""How forms begin of which another one swaps day and month."""
_DIGITS = {
    r"(19|20)\d{6}": "%Y%m%d",
    r"(19|20)\d{12}": "%Y%m%d%H%M%S",
    r"(19|20)\d{6}T\d{6}": "%Y%m%dT%H%M%S",
}
_READ_WITHOUT = r"\d{4}-\d|\d{4}/\d|\d{1,2}\.\d{1,2}\.\d{4}"
"""The forms that need no setting: ISO 8601, and dates with dots and four digits of the year."""
_MOST_TRIED, _MOST_OF_THEM = 1_000, 0.9
_SEPARATORS = "|;,/"
_MANY = 0.2  # of the texts; a comma in a name now and then separates nothing
YEAR = r"(1[5-9]|20)\d\d"
"""A year alone, in which something was released."""
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def guess_separator(texts: pd.Series, share: float = _MANY) -> str:
    """What stands between the tags in each text; "" where each seems to be one tag.

    A space does where the words come again in other texts: "Comedy Drama" and "Drama Crime" are
    made of three tags, and "Science Fiction", "Soul Music" and "Martial Arts" are three. Where it
    may be either, each text is a tag.

    Args:
        texts: without missing values.
        share: of the texts that must have the mark.
    """
    if texts.empty:
        return ""
    with_mark = {mark: texts.str.contains(mark, regex=False).mean() for mark in _SEPARATORS}
    best = max(with_mark, key=lambda mark: with_mark[mark])
    if with_mark[best] > share:
        return best
    if not several_words(texts, share):
        return ""
    different = texts.drop_duplicates()
    return " " if different.str.split().explode().nunique() < len(different) / 2 else ""


def several_words(texts: pd.Series, share: float = _MANY) -> bool:
    """Whether more than such a share of the different texts have several words."""
    return bool(texts.drop_duplicates().str.contains(r"\S\s+\S").mean() > share)


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
    setting = guess_timestamp(pd.Series([value])).get("timestamp_format")
    if setting and _either_order(value, setting):
        other = _swapped(setting)
        return (
            f"{value!r} has a day and a month in an order that only you know: set "
            f'timestamp_format: "{setting}" or "{other}"'
        )
    if setting:
        return f'{value!r} is no ISO 8601: set timestamp_format: "{setting}"'
    return f"{value!r} is no ISO 8601: set timestamp_format as strptime has it"


def release_remedy(value: str, form: str) -> str:
    """The setting that would make a release date readable.

    Args:
        value: as it is written.
        form: the `timestamp_format` with which it cannot be read, "" for none.
    """
    if re.fullmatch(YEAR, value):
        return f"{value} is a year: set data.items.timestamp_format: '%Y'"
    if form and re.match(_READ_WITHOUT, value):
        return f"take data.items.timestamp_format out, which is {form!r}"
    return f"{timestamp_remedy(value)} (under data.items)"


def _either_order(value: str, form: str) -> bool:
    """Whether a day comes first or a month cannot be told."""
    if not form.startswith(_ORDERS):
        return False
    first, second = map(int, re.findall(r"\d+", value)[:2])
    return max(first, second) <= 12


def _swapped(form: str) -> str:
    return form.translate(str.maketrans("dm", "md"))


def in_order(values: pd.Series, form: str) -> tuple[str, str]:
    """A form of dates with day and month in the order that is likelier, and why it was chosen.

    Only where both orders read all of the values. The likelier one puts them into a shorter time:
    of a few months, days that are taken for months lie over the whole year.

    Args:
        values: as text, without missing values.
        form: that reads them, by `guess_timestamp`.

    Returns:
        The form and a sentence; ("", "") where the order is no question.
    """
    some = values.drop_duplicates()
    if not form.startswith(_ORDERS):
        return "", ""
    read = {
        order: pd.to_datetime(some, format=order, errors="coerce", utc=True)
        for order in sorted((form, _swapped(form)), reverse=True)
    }
    (first, first_times), (second, second_times) = read.items()
    unlike = some[(first_times != second_times) & first_times.notna() & second_times.notna()]
    if unlike.empty or (first_times.isna() != second_times.isna()).any():
        return "", ""
    days = {order: (times.max() - times.min()).days for order, times in read.items()}
    example = unlike.index[0]
    likely, unlikely = (first, second) if days[first] <= days[second] else (second, first)
    sentence = (
        f"{str(some[example])[:40]} may be {read[likely][example]:%Y-%m-%d} "
        f"(timestamp_format: '{likely}') or {read[unlikely][example]:%Y-%m-%d} ('{unlikely}'). "
    )
    if days[likely] == days[unlikely]:
        return likely, f"{sentence}Nothing in the table tells which; set the one that is meant."
    return likely, (
        f"{sentence}The first is chosen, because the dates then lie within {days[likely]:,} days "
        f"and not {days[unlikely]:,}; set the other if that is wrong."
    )


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
    first = str(values.iloc[0])
    # Such numbers are also times in a unit, but of years that no table has.
    forms = [form for digits, form in _DIGITS.items() if re.fullmatch(digits, first)]
    if not forms:
        if unit := numeric_unit(first):
            return {} if unit == "s" else {"timestamp_unit": unit}
        if re.match(_READ_WITHOUT, first):
            return {}
        forms = [*(day + time for day in _DAYS for time in _TIMES), *_WHOLE]
    some = values.drop_duplicates().head(_MOST_TRIED)
    some = some[some.str.contains(r"\d")]  # pandas would read "now" and "today" as instants
    if some.empty:
        return {}
    best = max(forms, key=lambda form: _share(some, form))
    return {"timestamp_format": best} if _share(some, best) > _MOST_OF_THEM else {}


def _share(values: pd.Series, form: str) -> float:
    """Of the values, those of a form; 0 at once where the first is not."""
    if pd.isna(pd.to_datetime(values.iloc[0], format=form, errors="coerce", utc=True)):
        return 0.0
    return float(pd.to_datetime(values, format=form, errors="coerce", utc=True).notna().mean())
