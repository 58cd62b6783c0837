"""The file formats Parquet, CSV and JSON lines: the column names and the rows of a file."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from setlist.errors import DataError

SUFFIXES = {
    ".parquet": "Parquet",
    ".csv": "CSV",
    ".csv.gz": "CSV",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON lines",
}


@dataclass(frozen=True)
class TableFile:
    """An opened file.

    Attributes:
        label: its name in messages.
        columns: the names of its columns.
        load: reads the rows of the named columns.
    """

    label: str
    columns: Sequence[str]
    load: Callable[[list[str]], pd.DataFrame]


def format_of(name: str) -> str | None:
    """The format that the suffix of a file's name stands for, None for an unknown suffix."""
    return next((SUFFIXES[end] for end in SUFFIXES if name.lower().endswith(end)), None)


def open_table(path: Path, label: str) -> TableFile:
    """Open the table in a file.

    Args:
        path: the file.
        label: its name in messages; the suffix of the label, not of the path, gives the format.

    Raises:
        DataError: when the file is not of that format; the table's `load` raises it too.
    """
    form = str(format_of(label))
    with _readable(label, form):
        table = {"Parquet": _parquet, "CSV": _csv, "JSON lines": _json_lines}[form](path)

    def load(columns: list[str]) -> pd.DataFrame:
        with _readable(label, form):
            return table.load(columns)

    return TableFile(label, table.columns, load)


@contextmanager
def _readable(label: str, form: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, ValueError, EOFError, zlib.error, OSError) as fault:
        # Arrow quotes the bad row, which may be long; its number stands in the first line.
        reason = (str(fault) or type(fault).__name__).splitlines()[0].rstrip(".")[:200]
        raise DataError(
            f"{label}: cannot be read as {form} ({reason})", "repair the file or leave it out"
        ) from fault


def _parquet(path: Path) -> TableFile:
    def load(columns: list[str]) -> pd.DataFrame:
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read(columns=columns)
        # Without this a missing value turns integers into floats, which changes long ids.
        integers = {kind(): pd.Int64Dtype() for kind in (pa.int8, pa.int16, pa.int32, pa.int64)}
        frame = table.to_pandas(types_mapper=integers.get, ignore_metadata=True)
        for name, column in frame.items():
            if isinstance(column.dtype, pd.CategoricalDtype):
                frame[name] = column.astype(column.cat.categories.dtype)
        return cast(pd.DataFrame, frame)

    with pyarrow.parquet.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]
    return TableFile(path.name, names, load)


def _csv(path: Path) -> TableFile:
    """Every value is a string, "" where it is missing."""
    # Only without threads does Arrow know the number of a bad row.
    in_order = pyarrow.csv.ReadOptions(use_threads=False)

    def load(columns: list[str]) -> pd.DataFrame:
        with _plain(path) as stream:
            table = pyarrow.csv.read_csv(
                stream,
                read_options=in_order,
                parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=columns,
                    column_types=dict.fromkeys(columns, pa.large_string()),
                    strings_can_be_null=False,
                ),
            )
        return cast(pd.DataFrame, table.to_pandas())

    with _plain(path) as stream, pyarrow.csv.open_csv(stream, read_options=in_order) as reader:
        names = reader.schema.names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"it has two columns {repeated[0]!r}")
    return TableFile(path.name, names, load)


def _json_lines(path: Path) -> TableFile:
    columns: dict[str, list[Any]] = {}
    rows = 0
    with _plain(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as fault:
                raise ValueError(f"line {number} is not JSON: {fault}") from fault
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not an object such as {{...}}")
            for key, value in row.items():
                column = columns.setdefault(key, [])
                column.extend([None] * (rows - len(column)))  # for the rows without the key
                column.append(value)
            rows += 1
    for column in columns.values():
        column.extend([None] * (rows - len(column)))

    def load(names: list[str]) -> pd.DataFrame:
        # As objects, because a missing value would turn integers into floats.
        return pd.DataFrame({name: pd.Series(columns[name], dtype=object) for name in names})

    return TableFile(path.name, list(columns), load)


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked if they are gzip.

    The content decides, not the name: a download may have unpacked a .gz already.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if packed:
            with gzip.open(file) as stream:
                yield cast(IO[bytes], stream)
        else:
            yield file
