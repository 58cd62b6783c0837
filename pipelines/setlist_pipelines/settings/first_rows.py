"""The first rows of a table, as text, with what was found out about how its files are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa

from setlist.data.files import SourceFile, open_files
from setlist.data.formats import FileOptions, TableFile, format_of
from setlist.data.keys import Column, label_text
from setlist.data.source import TableSource, in_streams
from setlist.data.table_summary import first_names
from setlist.errors import DataError

MOST_ROWS = 10_000
"""A proposal looks at this many rows of the first file."""
OTHER_ENCODING = "windows-1252"
"""What spreadsheets of western Europe write; it holds ISO 8859-1, and almost any byte is a letter
in it, so nothing else can be told from the bytes."""


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a table as text, by the file's names of the columns.

    Attributes:
        path: of the table.
        values: [rows, columns]; missing where there is no value.
        encoding: of its text files where it is not UTF-8; "" where it is, or is told by the file.
        notes: what was found out about how the file is written, as sentences.
    """

    path: str
    values: pd.DataFrame
    encoding: str
    notes: Sequence[str]

    @classmethod
    def read(cls, path: str) -> "FirstRows":
        """Read the first rows of the first file that has some.

        Raises:
            DataError: when there is no such file, it cannot be read, or it has no line of names or
                no row.
        """
        source = in_streams(TableSource(path=path), required=(), optional=None)
        with open_files(source.paths) as files, TemporaryDirectory() as scratch:
            for file in files:
                table, rows, encoding = _decodable(file, Path(scratch))
                if len(rows):
                    break
            if format_of(file.name) == "CSV" and all(map(_is_number, table.columns)):
                raise DataError(
                    f"{table.label}: its first line holds values ({', '.join(table.columns)[:80]})",
                    "write a first line with the names of the columns, such as "
                    "user_id,item_id,timestamp",
                )
        if not len(rows):
            raise DataError(
                f"{path}: the table has no rows, only the names {first_names(table.columns)}",
                "name a file with rows; they show what a column holds",
            )
        rows = rows.slice(0, MOST_ROWS)
        columns = {
            name: label_text(
                Column(rows[name], table.label, name, pd.RangeIndex(len(rows)).to_numpy())
            ).to_pandas()
            for name in table.columns
            if not pa.types.is_nested(rows[name].type)
        }
        values = pd.DataFrame(columns | dict.fromkeys(file.keys, ""))
        return cls(path, values, encoding, table.notes)

    def example(self, column: str) -> str:
        """A value of the column, "" where there is none."""
        given = self.values[column].dropna().head(1).to_list()
        return str(given[0])[:40] if given else ""


def _decodable(file: SourceFile, scratch: Path) -> tuple[TableFile, pa.Table, str]:
    """The table in a file, all of its rows, and its encoding where it has to be set."""
    table = file.open(scratch, FileOptions())
    rows = table.load(list(table.columns))
    if format_of(file.name) != "CSV" or all(map(_is_utf8, rows.columns)):
        return table, rows, ""
    table = file.open(scratch, FileOptions(encoding=OTHER_ENCODING))
    return table, table.load(list(table.columns)), OTHER_ENCODING


def _is_utf8(values: pa.ChunkedArray) -> bool:
    try:
        values.cast(pa.large_string()).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_number(text: str) -> bool:
    return text.strip().lstrip("-").replace(".", "", 1).isdecimal()
