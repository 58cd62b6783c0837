"""The file formats: column names and rows of Parquet, CSV, TSV and JSON files, as Arrow.

CSV and JSON have no types, so each of their values arrives as the text that was written. Parquet
keeps its types. Nested fields are columns under their path, as in `user.id`. Any format may be
packed with gzip or Zstandard.
"""

import csv
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from setlist.errors import DataError

SUFFIXES = {
    ".parquet": "Parquet",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".jsonl": "JSON",
    ".ndjson": "JSON",
    ".json": "JSON",
}
PACKED = (".gz", ".zst")
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 1 << 16
_SAMPLE_RECORDS = 20


@dataclass(frozen=True)
class FileOptions:
    """How a text file is written; None where that is to be found out.

    Attributes:
        delimiter: between the fields of a CSV.
        encoding: of the text, by the name that Python has for it.
    """

    delimiter: str | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class TableFile:
    """An opened file.

    Attributes:
        label: its name in messages.
        columns: the names of its columns.
        load: reads the rows of the named columns; text is large_binary or large_string.
        notes: what was found out about how it is written, as sentences.
    """

    label: str
    columns: Sequence[str]
    load: Callable[[Sequence[str]], pa.Table]
    notes: Sequence[str] = ()


def format_of(name: str) -> str | None:
    """The format that the suffix of a file's name stands for, None for an unknown suffix."""
    plain = name.lower()
    for end in PACKED:
        plain = plain.removesuffix(end)
    return next((form for end, form in SUFFIXES.items() if plain.endswith(end)), None)


def open_table(path: Path, label: str, options: FileOptions = FileOptions()) -> TableFile:
    """Open the table in a file.

    Args:
        path: the file.
        label: its name in messages; the suffix of the label, not of the path, gives the format.
        options: how a text file is written.

    Raises:
        DataError: when the file is not of that format; the table's `load` raises it too.
    """
    form = str(format_of(label))
    with _readable(label, form):
        table = {"Parquet": _parquet, "CSV": _csv, "JSON": _json}[form](path, options)
    repeated = {name.lower(): name for name in reversed(table.columns)}
    for name in table.columns:
        if (other := repeated[name.lower()]) != name:
            raise DataError(
                f"{label}: the columns {other!r} and {name!r} differ in case only",
                "rename one of them",
            )

    def load(columns: Sequence[str]) -> pa.Table:
        with _readable(label, form):
            return table.load(columns)

    return TableFile(label, table.columns, load, table.notes)


@contextmanager
def _readable(label: str, form: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError as fault:
        raise DataError(
            f"{label}: is not written in this encoding ({fault})",
            "set the encoding of the table, for example encoding: windows-1252",
        ) from fault
    except csv.Error as fault:  # Python's reader, which reads the head, has no other for a text
        raise DataError(
            f"{label}: cannot be read as {form} (a carriage return without a line feed stands "
            "outside quotes, as in line ends of old systems or in a file that is no text)",
            "end its lines with a line feed, and put a field with a line break in quotes",
        ) from fault
    except (pa.ArrowException, ValueError, LookupError, EOFError, zlib.error, OSError) as fault:
        # Arrow quotes the bad row, which may be long; its number stands in the first line.
        reason = (str(fault) or type(fault).__name__).splitlines()[0].rstrip(".")[:200]
        raise DataError(
            f"{label}: cannot be read as {form} ({reason})", "repair the file or leave it out"
        ) from fault


def _parquet(path: Path, _: FileOptions) -> TableFile:
    def load(columns: Sequence[str]) -> pa.Table:
        tops = list(dict.fromkeys(name if name in top else name.split(".")[0] for name in columns))
        with pyarrow.parquet.ParquetFile(path) as file:
            return select_leaves(file.read(columns=tops), columns)

    with pyarrow.parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
    top = set(schema.names)
    names = [name for field in schema for name in _leaves(field)]
    return TableFile(path.name, [n for n in names if not n.startswith("__index_level_")], load)


def select_leaves(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The named columns of a table, with nested fields under their paths."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table.select(list(columns))


def _leaves(field: pa.Field, path: str = "") -> list[str]:
    """The names of a field's columns: its own, or those of a struct by their paths."""
    name = path + field.name
    if not pa.types.is_struct(field.type):
        return [name]
    return [leaf for inner in field.type for leaf in _leaves(inner, f"{name}.")]


def _csv(path: Path, options: FileOptions) -> TableFile:
    """Every value is text, "" where it is missing."""
    notes = []
    with _plain(path) as stream:
        head = stream.read(_SAMPLE_BYTES)
    encoding = options.encoding
    if encoding is None and head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
        notes.append("the encoding is taken to be utf-16, by its first two bytes")
    delimiter = options.delimiter
    if delimiter is None:
        delimiter = _delimiter(head.decode(encoding or "utf-8", errors="replace"))
        if delimiter != ",":
            notes.append(f"the delimiter is taken to be {delimiter!r}")
    # Only without threads does Arrow know the number of a bad row.
    reading = pyarrow.csv.ReadOptions(use_threads=False, encoding=encoding or "utf8")
    parsing = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)

    def load(columns: Sequence[str]) -> pa.Table:
        with _plain(path) as stream:
            return pyarrow.csv.read_csv(
                stream,
                read_options=reading,
                parse_options=parsing,
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=list(columns),
                    # Bytes, so that a column that nobody reads need not be in this encoding.
                    column_types=dict.fromkeys(columns, pa.large_binary()),
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            )

    names = next(
        csv.reader(
            io.StringIO(head.decode(encoding or "utf-8-sig", errors="replace")), delimiter=delimiter
        ),
        [],
    )
    if not names:
        raise ValueError("its first line, which names the columns, is empty")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"it has two columns {repeated[0]!r}")
    return TableFile(path.name, names, load, notes)


def _delimiter(head: str) -> str:
    """The delimiter that cuts all of the first records into the same number of fields, above 1."""
    best, faults = (1, ","), []
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(head), delimiter=delimiter)
        try:
            records = list(islice(reader, _SAMPLE_RECORDS))
        except csv.Error as fault:
            # Under another delimiter, quotes may begin where a field does not.
            faults.append(fault)
            continue
        # The last record may be cut off by the end of the sample.
        widths = {len(record) for record in (records[:-1] or records) if record}
        if len(widths) == 1 and (width := widths.pop()) > best[0]:
            best = (width, delimiter)
    if len(faults) == len(_DELIMITERS):
        raise faults[0]
    return best[1]


def _json(path: Path, options: FileOptions) -> TableFile:
    """One object a line, or one array of objects; numbers as they were written, lists as JSON."""
    columns: dict[str, list[str | None]] = {}
    rows = 0
    with _plain(path) as stream:
        for where, row in _objects(stream, options.encoding or "utf-8"):
            if not isinstance(row, dict):
                raise ValueError(f"{where} is not an object such as {{...}}")
            for key, value in _fields(row):
                column = columns.setdefault(key, [])
                column.extend([None] * (rows - len(column)))  # for the rows without the key
                column.append(value)
            rows += 1
    for column in columns.values():
        column.extend([None] * (rows - len(column)))

    def load(names: Sequence[str]) -> pa.Table:
        # Half an emoji, which JSON can escape, is no text: as bytes it is found where it is used.
        arrays = [
            pa.array(
                [None if v is None else v.encode("utf-8", "surrogatepass") for v in columns[name]],
                pa.large_binary(),
            )
            for name in names
        ]
        return pa.table(arrays, names=list(names))

    return TableFile(path.name, list(columns), load)


class _Number(str):
    """A number of a JSON document, as it was written."""

    __slots__ = ()


_LOADS = json.JSONDecoder(parse_int=_Number, parse_float=_Number).decode


def _objects(stream: IO[bytes], encoding: str) -> Iterator[tuple[str, Any]]:
    lines = io.TextIOWrapper(stream, encoding)
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("["):
        for number, row in enumerate(_LOADS(first + lines.read()), 1):
            yield f"object {number}", row
        return
    for number, line in enumerate((first, *lines), 1):
        if line.strip():
            try:
                yield f"line {number}", _LOADS(line)
            except ValueError as fault:
                raise ValueError(f"line {number} is not JSON: {fault}") from fault


def _fields(row: dict[str, Any], path: str = "") -> Iterator[tuple[str, str | None]]:
    for key, value in row.items():
        name = path + key
        if isinstance(value, dict):
            yield from _fields(value, f"{name}.")
        elif value is None or isinstance(value, str):
            yield name, value
        else:
            yield name, json.dumps(value)


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked where they are packed.

    The content decides, not the name: a download may have unpacked a .gz already.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    packing = (
        "gzip" if magic[:2] == b"\x1f\x8b" else "zstd" if magic == b"\x28\xb5\x2f\xfd" else None
    )
    with pa.input_stream(str(path), compression=packing) as stream:
        yield stream
