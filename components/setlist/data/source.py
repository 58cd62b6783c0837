"""Where tables come from: a file, a folder, Google Cloud Storage, or the bundled sample.

`listing` and `fingerprint` say what a source holds without reading it; `read` reads it.
"""

import functools
import hashlib
import json
import operator
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import pydantic

from setlist.data import sample
from setlist.data.conversion import TimestampUnit
from setlist.data.formats import SUFFIXES, TableFile, format_of, open_table
from setlist.data.schema import parse_instant
from setlist.errors import DataError, StoreError

Comparison = Literal["==", "!=", "<", "<=", ">", ">="]
_COMPARE: dict[Comparison, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TRUTH = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}


class TableSource(pydantic.BaseModel, extra="forbid", frozen=True):
    """One table: where it lies and how to read it.

    Attributes:
        path: a file, a folder of files of one format, `gs://bucket/object-or-prefix`, or
            `sample://events` (`playlists`, `listeners`), with `?seed=7&planted=one_region`.
        columns: our name of a column -> the file's name, e.g. {"user_id": "listener"}.
        where: the rows kept, as (the file's column, one of == != < <= > >=, value); all must hold.
        tags_separator: splits a `tags` column of strings.
        timestamp_unit: of numeric timestamps.
    """

    path: str
    columns: dict[str, str] = {}
    where: list[tuple[str, Comparison, str | float | int | bool]] = []
    tags_separator: str = pydantic.Field("|", min_length=1)
    timestamp_unit: TimestampUnit = "s"


def listing(source: TableSource) -> list[tuple[str, int, str]]:
    """Name, size in bytes and version of every file of the source, by name.

    The version is the modification time in ns, the generation of an object, or, for the sample,
    its options and the digest of its code.

    Raises:
        DataError: when there is no file, or one that is in no known format.
    """
    with _files(source) as files:
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


def read(
    source: TableSource, *, required: Sequence[str], optional: Sequence[str] | None
) -> pd.DataFrame:
    """The rows that `where` keeps, under our names, with the values as the files hold them.

    The index is the row's number, from 0, counted through all files in order of name, before
    `where`. The values of a CSV are strings: "007" and "NA" stay what they are. An optional column
    that no file has is absent.

    Args:
        source: the table.
        required: our names of the columns that every file must have.
        optional: our names of those it may have; None means every other column, under its name.

    Raises:
        DataError: when a file is missing, unreadable or lacks a column, or a setting is wrong.
    """
    if optional is not None:
        for name in source.columns:
            if name not in (*required, *optional):
                raise DataError(
                    f"columns: {name!r} is no column of this table ({source.path})",
                    f"the names are {', '.join((*required, *optional))}",
                )
    parts = []
    rows = 0
    with _files(source) as files, tempfile.TemporaryDirectory() as scratch:
        for file in files:
            table = file.open(Path(scratch))
            names = _names(source, table, required, optional)
            filtered = [column for column, _, _ in source.where]
            raw = table.load(list(dict.fromkeys([*names.values(), *filtered])))
            raw.index = pd.RangeIndex(rows, rows + len(raw))
            rows += len(raw)
            kept = pd.Series(data=True, index=raw.index)
            for column, op, value in source.where:
                kept &= _holds(raw[column], op, value)
            parts.append(raw.loc[kept, list(names.values())].set_axis(list(names), axis=1))
    return pd.concat(parts)


def _names(
    source: TableSource, table: TableFile, required: Sequence[str], optional: Sequence[str] | None
) -> dict[str, str]:
    """Our name -> the file's name, of every column to read; the columns of `where` are checked."""
    present = f"{table.label} (it has: {', '.join(table.columns)})"
    for column, _, _ in source.where:
        if column not in table.columns:
            raise DataError(f"where: there is no column {column!r} in {present}", "correct it")
    mapped = {**{name: name for name in required}, **source.columns}
    for ours, theirs in mapped.items():
        if theirs not in table.columns:
            raise DataError(
                f"columns: there is no column {theirs!r} in {present}",
                f"name the one that holds {ours}, like columns: {{{ours}: NAME}}",
            )
    if optional is None:
        optional = [name for name in table.columns if name not in mapped.values()]
    return mapped | {n: n for n in optional if n in table.columns and n not in mapped}


def _holds(column: pd.Series, op: Comparison, value: str | float | bool) -> pd.Series:
    """Where the condition holds; a missing value fulfils only `!=`."""
    left: pd.Series
    right: Any = value
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        left, right = pd.to_datetime(column, utc=True), parse_instant(value, "where")
    elif isinstance(value, bool) and not pd.api.types.is_bool_dtype(column.dtype):
        left = column.astype("str").str.strip().str.lower().map(_TRUTH)
    elif not isinstance(value, str):
        left = pd.to_numeric(column, errors="coerce")
    elif pd.api.types.is_numeric_dtype(column.dtype):
        raise DataError(
            f"where: column {column.name!r} holds {column.dtype} values, but {value!r} is text",
            "write the value without quotes",
        )
    else:
        left = column.astype("str")
    holds: pd.Series = _COMPARE[op](left, right).astype("boolean")
    return holds.fillna(op == "!=").astype(bool)


@dataclass(frozen=True)
class _File:
    """A file of a source; `open` gets a folder for what has to be downloaded."""

    name: str
    size: int
    version: str
    open: Callable[[Path], TableFile]


@contextmanager
def _files(source: TableSource) -> Iterator[list[_File]]:
    """The files of the source by name, at least one and all of one format."""
    scheme = source.path.partition("://")[0] if "://" in source.path else ""
    if scheme == "sample":
        yield [_sample_file(source.path)]
    elif scheme == "gs":
        with _objects(source.path) as files:
            yield _checked(source.path, files)
    elif scheme:
        raise DataError(
            f"{source.path}: {scheme}:// cannot be read", "give a local path, gs:// or sample://"
        )
    else:
        yield _checked(source.path, _local(Path(source.path)))


def _checked(path: str, files: list[_File]) -> list[_File]:
    files = sorted(files, key=lambda file: file.name)
    if not files:
        raise DataError(f"{path}: there are no files in it", "correct the path")
    for file in files:
        if format_of(file.name) is None:
            raise DataError(
                f"{path}: {file.name} is in no known format",
                f"leave it out, or use one that ends in {', '.join(SUFFIXES)}",
            )
        if format_of(file.name) != format_of(files[0].name):
            raise DataError(
                f"{path}: {files[0].name} and {file.name} are in different formats",
                "keep the files of one format in a folder",
            )
    return files


def _is_data(name: str) -> bool:
    """Hidden files and those that engines leave beside the data (_SUCCESS, _metadata) are not."""
    return not any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def _local(path: Path) -> list[_File]:
    def entry(file: Path, name: str) -> _File:
        stat = file.stat()
        return _File(
            name, stat.st_size, str(stat.st_mtime_ns), lambda _: open_table(file, str(file))
        )

    if path.is_dir():
        found = {file: file.relative_to(path).as_posix() for file in path.rglob("*")}
        return [entry(f, name) for f, name in found.items() if f.is_file() and _is_data(name)]
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder", "correct the path")
    return [entry(path, path.name)]


@contextmanager
def _objects(path: str) -> Iterator[list[_File]]:
    """The object of that name, or else all those below it, each in the generation listed."""
    from setlist.store.bucket import BucketReader, ListedObject

    bucket, _, prefix = path.removeprefix("gs://").partition("/")
    if not bucket:
        raise DataError(f"{path}: the bucket is missing", "write it like gs://bucket/folder")
    folder = prefix and prefix.rstrip("/") + "/"
    with _readable(path):
        reader = BucketReader(bucket)
    with closing(reader):
        with _readable(path):
            listed = reader.listing(prefix.rstrip("/"))
        exact = [each for each in listed if each.name == prefix and prefix != folder]

        def entry(listed: ListedObject, name: str) -> _File:
            def download(scratch: Path) -> TableFile:
                label = f"gs://{bucket}/{listed.name}"
                local = scratch / "object"  # one at a time: the next one takes its place
                with _readable(label):
                    reader.fetch(listed, local)
                return open_table(local, label)

            return _File(name, listed.size, listed.generation, download)

        yield [entry(each, PurePosixPath(each.name).name) for each in exact] or [
            entry(each, name)
            for each in listed
            if each.name.startswith(folder)
            and not each.name.endswith("/")
            and _is_data(name := each.name.removeprefix(folder))
        ]


@contextmanager
def _readable(label: str) -> Iterator[None]:
    """Raise a fault of Google Cloud Storage as that of the table that it names."""
    try:
        yield
    except StoreError as fault:
        raise DataError(
            f"{label}: cannot be read ({fault.message[:300]})",
            f"{fault.remedy}; check the name and that this account may read it",
        ) from fault


def _sample_file(path: str) -> _File:
    parts = urlsplit(path)
    options = {"seed": "7", "planted": "none", **dict(parse_qsl(parts.query, strict_parsing=False))}
    if (
        parts.netloc not in ("events", "playlists", "listeners")
        or parts.path
        or set(options) != {"seed", "planted"}
        or not options["seed"].isdecimal()
        or options["planted"] not in ("none", "one_region")
    ):
        raise DataError(
            f"{path}: there is no such sample",
            "write sample:// and events, playlists or listeners, "
            "with or without ?seed=7&planted=one_region",
        )
    code = hashlib.sha256()
    for module in sorted(Path(sample.__file__).parent.glob("sample*.py")):
        code.update(module.read_bytes())
    version = f"seed={options['seed']}&planted={options['planted']}&code={code.hexdigest()}"

    def generated(_: Path) -> TableFile:
        made = _sample(int(options["seed"]), options["planted"])
        frame: pd.DataFrame = getattr(made, parts.netloc)
        return TableFile(path, list(frame.columns), lambda columns: frame[columns].copy())

    return _File(parts.netloc, 0, version, generated)


@functools.cache
def _sample(seed: int, planted: Literal["none", "one_region"]) -> sample.Sample:
    """The three tables of a seed, made once a process."""
    return sample.generate(seed, planted)
