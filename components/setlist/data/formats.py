"""The file formats: Parquet, CSV and JSON lines, each opened to its column names and its rows."""

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

from setlist.errors import SetlistError

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
    """An opened file: what its columns are called, and how to load some of them."""

    label: str
    columns: Sequence[str]
    load: Callable[[list[str]], pd.DataFrame]


def format_of(name: str) -> str | None:
    """The format that the file's name promises, None if none."""
    return next((SUFFIXES[end] for end in SUFFIXES if name.lower().endswith(end)), None)


def open_table(path: Path, label: str) -> TableFile:
    """The table in a file; `label` is its name in errors, and tells the format by its suffix.

    Raises:
        SetlistError: when the file is not what its name promises; so does the table's `load`.
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
        reason = (str(fault) or type(fault).__name__).splitlines()[0].rstrip(".")[:200]
        raise SetlistError(
            f"{label}: cannot be read as {form} ({reason}); repair the file or leave it out."
        ) from fault


def _parquet(path: Path) -> TableFile:
    def load(columns: list[str]) -> pd.DataFrame:
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read(columns=columns)
        # Without this a missing value would turn integers into floats, and long ids into others.
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
    in_order = pyarrow.csv.ReadOptions(use_threads=False)  # threads cannot tell a bad row's number

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
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"it has two columns {twice[0]!r}")
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
                column.extend([None] * (rows - len(column)))  # the rows that lacked the key
                column.append(value)
            rows += 1
    for column in columns.values():
        column.extend([None] * (rows - len(column)))

    def load(names: list[str]) -> pd.DataFrame:
        # As objects: a missing value would turn integers into floats.
        return pd.DataFrame({name: pd.Series(columns[name], dtype=object) for name in names})

    return TableFile(path.name, list(columns), load)


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked if they are gzip: a download may have unpacked a .gz already."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if packed:
            with gzip.open(file) as stream:
                yield cast(IO[bytes], stream)
        else:
            yield file
