"""The files of a table: in local folders, in Google Cloud Storage, or of the bundled sample.

A table of BigQuery counts as one file, and so does each stream that it is read in.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import pandas as pd
import pyarrow as pa

from setlist.data import sample
from setlist.data.formats import PACKED, SUFFIXES, FileOptions, TableFile, format_of, open_table
from setlist.errors import DataError, StoreError, missing_extra

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_TABLE = "bigquery://"


@dataclass(frozen=True)
class SourceFile:
    """A file of a source; `open` gets a folder for what has to be downloaded.

    Attributes:
        keys: column -> value, from folders named KEY=VALUE.
    """

    name: str
    size: int
    version: str
    open: Callable[[Path, FileOptions], TableFile]
    keys: Mapping[str, str | None] = field(default_factory=dict)


@contextmanager
def open_files(paths: Sequence[str]) -> Iterator[list[SourceFile]]:
    """The files of all paths, at least one with rows for each path and all of one format.

    Raises:
        DataError: when there is no file, or one that is in no known format.
    """
    with ExitStack() as stack:
        files = [file for path in paths for file in stack.enter_context(_files_of(path))]
        _check_formats(", ".join(paths), files)
        yield files


@contextmanager
def _files_of(path: str) -> Iterator[list[SourceFile]]:
    scheme = path.partition("://")[0] if "://" in path else ""
    if scheme == "sample":
        yield [_sample_file(path)]
    elif scheme == "gs":
        with _objects(path) as files:
            yield _sorted(path, files)
    elif scheme == "bigquery":
        yield [_bigquery_file(path)]
    elif scheme:
        raise DataError(
            f"{path}: {scheme}:// cannot be read",
            "give a local path, gs://, bigquery:// or sample://",
        )
    else:
        yield _sorted(path, _local(Path(path)))


def _sorted(path: str, files: list[SourceFile]) -> list[SourceFile]:
    """The files by name, without empty ones: engines leave them where a part had no rows."""
    if not files:
        raise DataError(f"{path}: there are no files in it", "correct the path")
    filled = sorted((file for file in files if file.size), key=lambda file: file.name)
    if not filled:
        raise DataError(f"{path}: all of its files are empty", "export the table again")
    return filled


def _check_formats(path: str, files: list[SourceFile]) -> None:
    for file in files:
        if file.version.startswith(("seed=", "changed=")):
            continue
        if format_of(file.name) is None:
            known = ", ".join((*SUFFIXES, *PACKED))
            raise DataError(
                f"{path}: {file.name} is in no known format",
                f"leave it out, or use a file that ends in {known}",
            )
        if format_of(file.name) != format_of(files[0].name):
            raise DataError(
                f"{path}: {files[0].name} and {file.name} are in different formats",
                "keep the files of one format in a folder",
            )


def _hive_keys(name: str) -> dict[str, str | None]:
    """The columns that the folders of a file's name give, as in country=SE/date=2026-05-01/."""
    pairs = [part.partition("=") for part in PurePosixPath(name).parts[:-1] if "=" in part]
    return {key: None if value == _HIVE_NULL else unquote(value) for key, _, value in pairs}


def _is_data(name: str) -> bool:
    """Hidden files and those that engines leave beside the data (_SUCCESS, _metadata) are not."""
    return not any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def _local(path: Path) -> list[SourceFile]:
    def entry(file: Path, name: str) -> SourceFile:
        stat = file.stat()
        return SourceFile(
            name,
            stat.st_size,
            str(stat.st_mtime_ns),
            lambda _, options: open_table(file, str(file), options),
            _hive_keys(name),
        )

    if path.is_dir():
        names = {file: file.relative_to(path).as_posix() for file in path.rglob("*")}
        return [entry(f, name) for f, name in names.items() if f.is_file() and _is_data(name)]
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder", "correct the path")
    if not path.is_file():
        raise DataError(f"{path} is a pipe or a device", "name a file, or a folder of files")
    return [entry(path, path.name)]


@contextmanager
def _objects(path: str) -> Iterator[list[SourceFile]]:
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

        def entry(listed: ListedObject, name: str) -> SourceFile:
            def download(scratch: Path, options: FileOptions) -> TableFile:
                label = f"gs://{bucket}/{listed.name}"
                local = scratch / "object"  # one at a time: the next one takes its place
                with _readable(label):
                    reader.fetch(listed, local)
                return open_table(local, label, options)

            return SourceFile(name, listed.size, listed.generation, download, _hive_keys(name))

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


def is_table(path: str) -> bool:
    """Whether a path is a whole table of BigQuery, and no stream of one."""
    return path.startswith(_TABLE) and "#" not in path


def table_of(path: str) -> str:
    """The path of the table that a stream is of; any other path as it is."""
    return path.partition("#")[0] if path.startswith(_TABLE) else path


def bigquery_reader(path: str) -> ModuleType:
    """`setlist.data.bigquery`, imported for the path.

    Raises:
        DataError: when its extra is not installed.
    """
    try:
        from setlist.data import bigquery
    except ModuleNotFoundError as fault:
        if missing := missing_extra(fault):
            raise DataError(f"{table_of(path)}: {missing.message}", missing.remedy) from fault
        raise
    return bigquery


def _bigquery_file(path: str) -> SourceFile:
    bigquery = bigquery_reader(path)
    if not is_table(path):
        return SourceFile(path, 1, "changed=", lambda *_: bigquery.open_stream(path))
    columns, size, version = bigquery.describe(path)

    def load(wanted: Sequence[str]) -> pa.Table:
        streams = bigquery.streams(path, wanted, size)
        return pa.concat_tables(bigquery.open_stream(stream).load(wanted) for stream in streams)

    return SourceFile(path, size, f"changed={version}", lambda *_: TableFile(path, columns, load))


def _sample_file(path: str) -> SourceFile:
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

    def generated(_: Path, __: FileOptions) -> TableFile:
        tables = _sample(int(options["seed"]), options["planted"])
        frame: pd.DataFrame = getattr(tables, parts.netloc)

        def load(columns: Sequence[str]) -> pa.Table:
            return pa.Table.from_pandas(frame[list(columns)], preserve_index=False)

        return TableFile(path, list(frame.columns), load)

    return SourceFile(parts.netloc, 1, version, generated)


@functools.cache
def _sample(seed: int, planted: Literal["none", "one_region"]) -> sample.Sample:
    """The three tables of a seed, made once a process."""
    return sample.generate(seed, planted)
