"""Where tables come from: files, folders, Google Cloud Storage, BigQuery, or the bundled sample.

`listing` and `fingerprint` say what a source holds without reading it; `read_parts` reads it, file
by file, as Arrow.
"""

import hashlib
import json
import operator
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic

from setlist.addresses import checked_table
from setlist.arrays import Bools, Int64s
from setlist.data.conversion import TimestampUnit, instants, numbers
from setlist.data.files import SourceFile, bigquery_reader, is_table, open_files, table_of
from setlist.data.formats import FileOptions, TableFile
from setlist.data.keys import Column, label_text
from setlist.data.schema import instant_microseconds, parse_instant
from setlist.errors import DataError
from setlist.section import Section

Comparison = Literal["==", "!=", "<", "<=", ">", ">=", "in"]
_COMPARE: dict[Comparison, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TRUTH = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}
MAX_PATHS, MAX_COLUMNS, MAX_CONDITIONS, MAX_VALUES = 10_000, 1_000, 1_000, 10_000
"""The most paths, columns and conditions of a table, and values of one condition."""
Whole = Annotated[int, pydantic.Field(ge=-(2**63), lt=2**64)]
"""What a column of whole numbers can hold."""
Value = str | float | Whole | bool
ValueList = Annotated[list[Value], pydantic.Field(max_length=MAX_VALUES)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as fault:
        raise ValueError(
            f"there is no time zone {name!r}; write it like Europe/Stockholm"
        ) from fault
    return name


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError) as fault:
        raise ValueError(
            f"there is no encoding {name!r}; write it like utf-8 or windows-1252"
        ) from fault
    return name


class TableSource(Section):
    """One table: where it lies and how to read it.

    Attributes:
        path: a file, a folder of files of one format, `gs://bucket/object-or-prefix`,
            `bigquery://project.dataset.table`, or `sample://events` (`playlists`, `listeners`),
            with `?seed=7&planted=one_region`; or a list of such paths. Folders named KEY=VALUE
            give a column KEY.
        columns: our name of a column -> the file's name, e.g. {"user_id": "listener"}; a nested
            field by its path, `user.id`.
        where: the rows kept, as (the file's column, one of == != < <= > >= in, value); all must
            hold. The value of `in` is a list.
        tags_separator: splits a `tags` column of strings.
        timestamp_unit: of numeric timestamps.
        timestamp_format: of timestamps in text, as `strptime` has it; ISO 8601 and dates with dots
            need none.
        timezone: of timestamps that name none.
        delimiter, encoding: of CSV files; the delimiter is found where it is left out, the encoding
            is UTF-8.
        decimal: between the whole and the fraction of numbers in text.
    """

    path: str | Annotated[tuple[str, ...], pydantic.Field(min_length=1, max_length=MAX_PATHS)]
    columns: dict[str, str] = pydantic.Field({}, max_length=MAX_COLUMNS)
    where: list[tuple[str, Comparison, Value | ValueList]] = pydantic.Field(
        [], max_length=MAX_CONDITIONS
    )
    tags_separator: str = pydantic.Field("|", min_length=1)
    timestamp_unit: TimestampUnit = "s"
    timestamp_format: str = ""
    timezone: Annotated[str, pydantic.AfterValidator(_zone)] = "UTC"
    delimiter: str | None = pydantic.Field(None, min_length=1, max_length=1)
    encoding: Annotated[str, pydantic.AfterValidator(_encoding)] | None = None
    decimal: Literal[".", ","] = "."

    @pydantic.field_validator("path")
    @classmethod
    def _readable_paths(cls, path: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for each in (path,) if isinstance(path, str) else path:
            checked_table(each)
        return path

    @pydantic.field_validator("where")
    @classmethod
    def _lists_for_in(cls, where: list[tuple[str, Comparison, Any]]) -> list[Any]:
        for column, comparison, value in where:
            if isinstance(value, list) != (comparison == "in"):
                raise ValueError(
                    f"{column} {comparison} {value}: write a list behind `in`, and a single value "
                    "behind any other comparison"
                )
        return where

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the table, one or several."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def name(self) -> str:
        """The paths, for messages."""
        return ", ".join(dict.fromkeys(map(table_of, self.paths)))

    def instants(self, column: Column) -> tuple[Int64s, Bools]:
        """The instants of a column, as `setlist.data.conversion.instants` returns them."""
        return instants(column, self.timestamp_unit, self.timestamp_format, self.timezone)


@dataclass(frozen=True)
class Part:
    """The rows of one file that `where` keeps.

    Attributes:
        label: the file's name in messages.
        number: of the file, from 0.
        files: how many the table has.
        size: the number of rows in the file, with those that `where` does not keep.
        rows: int64[rows], the number of each row in the file, from 0.
        table: under our names.
        names: our name of a column -> the file's.
        unread: the file's names of all other columns, but those of `where`.
    """

    label: str
    number: int
    files: int
    size: int
    rows: Int64s
    table: pa.Table
    names: Mapping[str, str]
    unread: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Column:
        return Column(self.table[name], self.label, self.names[name], self.rows)


def listing(source: TableSource) -> list[tuple[str, int, str]]:
    """Name, size in bytes and version of every file of the source, by name.

    The version is the modification time in ns, the generation of an object, the last change of a
    table of BigQuery, or, for the sample, its options and the digest of its code.

    Raises:
        DataError: when there is no file, or one that is in no known format.
    """
    with open_files(source.paths) as files:
        return [(file.name, file.size, file.version) for file in files]


def fingerprint(sources: Mapping[str, TableSource]) -> str:
    """The sha256, in hex, of the settings and the listings: equal ones read the same tables.

    Raises:
        DataError: as `listing`.
    """
    document = {
        name: {"settings": source.model_dump(mode="json"), "files": listing(source)}
        for name, source in sources.items()
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def in_streams(
    source: TableSource, required: Sequence[str], optional: Sequence[str] | None
) -> TableSource:
    """The source with the streams of a snapshot in place of every table of BigQuery.

    Any process reads the same rows in them, for six hours. Each stream counts as a file.

    Args:
        source: the table.
        required: our names of the columns that it must have.
        optional: our names of those it may have; None means every other column.

    Raises:
        DataError: when a table cannot be read or lacks a column.
    """
    paths: list[str] = []
    for path in source.paths:
        if not is_table(path):
            paths.append(path)
            continue
        bigquery = bigquery_reader(path)
        columns, size, _ = bigquery.describe(path)
        wanted = _wanted(source, _names(source, path, columns, required, optional))
        # No names at all would be taken for all columns.
        paths += bigquery.streams(path, wanted or columns[:1], size)
    return source.model_copy(update={"path": tuple(paths)})


@contextmanager
def read_parts(
    source: TableSource,
    *,
    required: Sequence[str],
    optional: Sequence[str] | None,
    say: Callable[[str], None] = print,
    only: int | None = None,
) -> Iterator[Iterator[Part]]:
    """The rows that `where` keeps, under our names, with the values as the files hold them.

    Files come in order of their paths and names; empty files are left out. Text of CSV and JSON
    files arrives as bytes. An optional column that a file does not have is absent from its part.

    Args:
        source: the table.
        required: our names of the columns that every file must have.
        optional: our names of those it may have; None means every other column, under its name.
        say: told what was found out about how a file is written.
        only: read one file, by its number from 0.

    Raises:
        DataError: when a file is missing, unreadable or lacks a column, or a setting is wrong.
    """
    if optional is not None:
        for name in source.columns:
            if name not in (*required, *optional):
                raise DataError(
                    f"columns: {name!r} is no column of this table ({source.name})",
                    f"the names are {', '.join((*required, *optional))}",
                )
    source = in_streams(source, required, optional)
    options = FileOptions(source.delimiter, source.encoding)
    # A context, so that a reader that stops early leaves no scratch folder and no connection.
    with open_files(source.paths) as files, tempfile.TemporaryDirectory() as scratch:
        numbered = [(n, file) for n, file in enumerate(files) if only in (None, n)]
        parts = _parts(source, numbered, Path(scratch), options, required, optional, say)
        yield (replace(part, files=len(files)) for part in parts)


def _parts(
    source: TableSource,
    files: Sequence[tuple[int, SourceFile]],
    scratch: Path,
    options: FileOptions,
    required: Sequence[str],
    optional: Sequence[str] | None,
    say: Callable[[str], None],
) -> Iterator[Part]:
    """The parts of `read_parts`, each read when it is asked for."""
    for number, file in files:
        table = file.open(scratch, options)
        for note in table.notes:
            say(f"{table.label}: {note}")
        columns = [*table.columns, *(key for key in file.keys if key not in table.columns)]
        names = _names(source, table.label, columns, required, optional)
        wanted = _wanted(source, names)
        raw = table.load([name for name in wanted if name in table.columns])
        size = len(raw) if raw.num_columns else _rows(table)
        for key, value in file.keys.items():
            if key in wanted and key not in table.columns:
                raw = raw.append_column(key, pa.array([value] * size, pa.large_string()))
        kept = np.ones(size, bool)
        for column, comparison, operand in source.where:
            every = Column(raw[column], table.label, column, np.arange(size))
            kept &= _holds(every, comparison, operand, source)
        rows = np.flatnonzero(kept)
        chosen = raw.select(list(names.values())).rename_columns(list(names))
        kept_rows = chosen if kept.all() else chosen.take(rows)
        unread = tuple(name for name in columns if name not in wanted)
        yield Part(table.label, number, number + 1, size, rows, kept_rows, names, unread)


def _rows(table: TableFile) -> int:
    """The number of rows of a file of which no column is wanted."""
    return len(table.load(list(table.columns)[:1]))


def _wanted(source: TableSource, names: Mapping[str, str]) -> list[str]:
    """The file's names of the columns to read, those of `where` among them."""
    return [*dict.fromkeys([*names.values(), *(column for column, _, _ in source.where)])]


def _names(
    source: TableSource,
    label: str,
    columns: Sequence[str],
    required: Sequence[str],
    optional: Sequence[str] | None,
) -> dict[str, str]:
    """Our name -> the file's name, of every column to read; the columns of `where` are checked."""
    present = f"{label} (it has: {', '.join(columns)})"
    for column, _, _ in source.where:
        if column not in columns:
            raise DataError(f"where: there is no column {column!r} in {present}", "correct it")
    mapped = {**{name: name for name in required}, **source.columns}
    for name, column in mapped.items():
        if column not in columns:
            raise DataError(
                f"columns: there is no column {column!r} in {present}",
                f"name the column that holds {name}, like columns: {{{name}: NAME}}",
            )
    if optional is None:
        optional = [name for name in columns if name not in mapped.values()]
    return mapped | {n: n for n in optional if n in columns and n not in mapped}


def _holds(
    column: Column, comparison: Comparison, value: Value | list[Value], source: TableSource
) -> Bools:
    """bool[rows]: where the condition holds; a missing value fulfils only `!=`."""
    if isinstance(value, list):
        conditions = [_holds(column, "==", each, source) for each in value]
        return np.logical_or.reduce([np.zeros(len(column.rows), bool), *conditions])
    left: pd.Series
    right: Any = value
    kind = column.values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        micros, known = source.instants(column)
        left = pd.Series(micros, dtype="Int64").where(known)
        right = instant_microseconds(parse_instant(value, "where"))
    elif isinstance(value, bool) and not pa.types.is_boolean(kind):
        left = label_text(column).to_pandas().str.lower().map(_TRUTH)
    elif isinstance(value, bool):
        left = column.values.to_pandas().astype("boolean")
    elif not isinstance(value, str):
        left = pd.Series(numbers(column, source.decimal))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        raise DataError(
            f"where: column {column.name!r} holds {kind} values, but {value!r} is text",
            "write the value without quotes",
        )
    else:
        left = label_text(column).to_pandas()
    holds: pd.Series = _COMPARE[comparison](left, right).astype("boolean")
    missing = left.isna()
    return holds.where(~missing, comparison == "!=").fillna(False).to_numpy(bool)
