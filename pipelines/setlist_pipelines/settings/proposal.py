"""Proposes a settings file for tables: which columns are meant, and how their times are written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from setlist.data.curation import TEST_DAYS, TRAIN_DAYS
from setlist.data.files import open_files
from setlist.data.formats import FileOptions
from setlist.data.keys import Column, label_text
from setlist.data.remedies import guess_timestamp
from setlist.data.source import TableSource, in_streams, read_parts
from setlist.errors import DataError

NAMES: dict[str, tuple[str, ...]] = {
    "user_id": (
        *("userid", "user", "uid", "listenerid", "listener", "customerid", "customer", "memberid"),
        *("member", "accountid", "account", "profileid", "visitorid", "sessionid", "reviewerid"),
    ),
    "item_id": (
        *("itemid", "item", "playlistid", "playlist", "trackid", "track", "songid", "song"),
        *("movieid", "movie", "productid", "product", "articleid", "article", "artistid", "asin"),
        *("artist", "videoid", "contentid", "parentasin", "businessid", "venueid", "poiid"),
    ),
    "timestamp": (
        *("timestamp", "time", "ts", "eventtime", "playedat", "createdat", "datetime", "date"),
        *("eventtimestamp", "occurredat", "eventts", "unixtime", "utctimestamp", "checkintime"),
    ),
    "title": ("title", "name", "itemname", "itemtitle", "playlistname"),
    "tags": ("tags", "genres", "categories", "keywords", "genre", "category"),
    "released": ("released", "releasedate", "releasedat", "publishedat", "published"),
    "valid_from": ("validfrom",),
    "weight": ("weight",),
}
"""Our name of a column -> how others call it, without case and marks, the most telling first."""
MEANT = {
    "user_id": "who: any id, as text or integer",
    "item_id": "what was played, bought or read",
    "timestamp": "when",
}
MAX_INPUT_VALUES = 200
SAMPLE_ROWS = 10_000
"""A proposal looks at this many rows of the first file."""


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a table as text, by the file's names of the columns."""

    path: str
    values: pd.DataFrame
    notes: Sequence[str]

    @classmethod
    def read(cls, path: str) -> "FirstRows":
        """Read the first rows of the first file that has some.

        Raises:
            DataError: when there is no such file, or it cannot be read.
        """
        source = in_streams(TableSource(path=path), required=(), optional=None)
        with open_files(source.paths) as files, TemporaryDirectory() as scratch:
            for file in files:
                table = file.open(Path(scratch), FileOptions())
                rows = table.load(list(table.columns)).slice(0, SAMPLE_ROWS)
                if len(rows):
                    break
        columns = {
            name: label_text(
                Column(rows[name], table.label, name, pd.RangeIndex(len(rows)).to_numpy())
            ).to_pandas()
            for name in table.columns
            if not pa.types.is_nested(rows[name].type)
        }
        return cls(path, pd.DataFrame(columns | dict.fromkeys(file.keys, "")), table.notes)


def propose(events: str, items: str | None = None, users: str | None = None) -> str:
    """A commented settings file for tables.

    Args:
        events: a path, as in the settings of a table.
        items: the same, or None where there is no such table.
        users: the same.

    Returns:
        YAML that `read_settings` accepts.

    Raises:
        DataError: when a table cannot be read, or a column is not found; the sentence lists the
            columns that there are.
    """
    lines = [
        "# Proposed by `setlist init`; see what was made of it with `setlist data check`.",
        "name: home                     # of the model in the store",
        "store: .setlist/store          # or gs://bucket/prefix",
        "data:",
    ]
    span = None
    for name, path, required, optional in (
        ("events", events, ("user_id", "item_id", "timestamp"), ("weight",)),
        ("items", items, ("item_id",), ("title", "tags", "released", "valid_from")),
        ("users", users, ("user_id",), ()),
    ):
        if path is None:
            continue
        rows = FirstRows.read(path)
        columns = _columns(rows, required, optional)
        section: dict[str, object] = {"path": path}
        renamed = {key: column for key, column in columns.items() if key != column}
        lines += [f"  {name}:", f"    path: {_yaml(path)}"]
        lines += [f"    # {note}" for note in rows.notes]
        if renamed:
            lines.append("    columns:")
            for key, column in renamed.items():
                example = rows.values[column].dropna().head(1).to_list()
                shown = f", such as {str(example[0])[:40]!r}" if example else ""
                meaning = MEANT.get(key, key)
                lines.append(f"      {key}: {_yaml(column)}  # {meaning}{_comment(shown)}")
            section["columns"] = renamed
        for key in ("timestamp", "released"):
            if key in columns:
                setting = guess_timestamp(rows.values[columns[key]].dropna())
                lines += [f"    {option}: {_yaml(value)}" for option, value in setting.items()]
                section |= setting
        if name == "events":
            only_time = {"timestamp": columns["timestamp"]}
            span = _span(TableSource.model_validate(section | {"columns": only_time}))
        if name == "users":
            inputs = _inputs(rows, columns["user_id"])
    test_days = TEST_DAYS
    if span:
        first, last = span
        # Of a short table the last fifth, so that both periods have events.
        test_days = int(np.clip((last - first).days // 5, 1, TEST_DAYS))
        end = (last.floor("D") + pd.Timedelta(days=1)).date().isoformat()
        lines.append(f"as_of: {end}              # where the events end; leave it out to use now")
    days = f"window: {{train_days: {TRAIN_DAYS}, test_days: {test_days}}}"
    lines.append(f"{days}  # trained on, and held out to judge")
    if users is not None:
        lines.append(f"inputs: [{', '.join(inputs)}]   # columns of users that the models may read")
    return "\n".join(lines) + "\n"


def _columns(rows: FirstRows, required: Sequence[str], optional: Sequence[str]) -> dict[str, str]:
    """Our name -> the file's name, by what others call such columns."""
    present = [str(name) for name in rows.values.columns]
    plain = {_plain(name): name for name in reversed(present)}
    # A nested field is known by its whole path, or by its last part.
    last = {_plain(name.rsplit(".", 1)[-1]): name for name in reversed(present)}
    columns: dict[str, str] = {}
    for key in (*required, *optional):
        names = (key.replace("_", ""), *NAMES[key])
        match = next(
            (name for other in names if (name := plain.get(other) or last.get(other))), None
        )
        if match is not None and match not in columns.values():
            columns[key] = match
        elif key in required:
            raise DataError(
                f"{rows.path}: no column seems to hold {key} (there are: {', '.join(present)})",
                f"write a settings file with columns: {{{key}: NAME}}",
            )
    return columns


def _plain(name: str) -> str:
    """A column's name without case and marks: "User ID" is "userid"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _span(source: TableSource) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """The first and the last instant of all rows; None where none can be read.

    Files are often sorted by user or by time, so the first rows say nothing about the end.
    """
    ends: list[int] = []
    with read_parts(source, required=("timestamp",), optional=()) as parts:
        for part in parts:
            micros, known = source.instants(part["timestamp"])
            if known.any():
                ends += [int(micros[known].min()), int(micros[known].max())]
    if not ends:
        return None
    first, last = (pd.Timestamp(end, unit="us") for end in (min(ends), max(ends)))
    return first, last


def _inputs(rows: FirstRows, key: str) -> list[str]:
    """The columns of users with few enough values to say something about a listener."""
    return [
        name
        for name in rows.values.columns
        if name != key
        and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        and 1 < rows.values[name].nunique() <= min(MAX_INPUT_VALUES, len(rows.values) / 5)
    ]


def _yaml(value: str) -> str:
    """A value as YAML writes it, on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).split("\n...")[0].strip()
    )


def _comment(text: str) -> str:
    """Text from a file, without what would end the comment that it stands in."""
    return "".join(character if character.isprintable() else "?" for character in text)
