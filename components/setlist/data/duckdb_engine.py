"""DuckDB in this process: it holds as much as its limit allows, and writes the rest to the disk."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet

from setlist.data.dialect import Dialect
from setlist.data.engine import EngineSettings, ReadFiles
from setlist.errors import DataError
from setlist.memory import memory_bytes

SHARE_OF_MEMORY = 0.5
"""Of the machine's or the pod's memory, what DuckDB may use where the settings name no limit."""
BATCH_ROWS = 100_000
"""Rows that go from the engine to Python at once."""


class DuckDb:
    """DuckDB in this process."""

    dialect = Dialect("duckdb")

    def __init__(self, settings: EngineSettings, scratch: Path) -> None:
        """Open it on a scratch folder."""
        limit = settings.memory or SHARE_OF_MEMORY * memory_bytes()
        self._connection = duckdb.connect(
            str(scratch / "tables.duckdb"),
            config={
                "memory_limit": f"{int(limit / 1e6)}MB",
                "threads": settings.threads or os.cpu_count() or 1,
                "temp_directory": str(scratch / "spilled"),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        self._connection.execute("set TimeZone = 'UTC'")
        # In a notebook without ipywidgets there is no bar, and setting it would be an error.
        asked = self._connection.execute("select current_setting('enable_progress_bar')")
        if asked.fetchall() != [(False,)]:
            self._connection.execute("set enable_progress_bar = false")

    def load(self, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Keep rows as a table."""
        faults: list[Exception] = []

        def arriving() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except Exception as fault:
                faults.append(fault)
                raise

        reader = pa.RecordBatchReader.from_batches(schema, arriving())
        self._connection.register("arriving", reader)
        try:
            self._run(f"create table {name} as select * from arriving")
        except duckdb.Error:
            # DuckDB makes a text of whatever ends the rows; the fault itself is a sentence.
            if faults:
                raise faults[0] from None
            raise
        finally:
            self._connection.unregister("arriving")

    def load_files(self, name: str, read: ReadFiles, files: int, schema: pa.Schema) -> None:  # noqa: ARG002
        """Keep the rows of files as a table."""
        self.load(name, read(None), schema)

    def read(self, name: str, path: Path) -> None:
        """Name a Parquet file, or a folder of such files, to be read where it is used."""
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        # File by file: of a folder with brackets in its name DuckDB would make a pattern.
        names = ", ".join(self.dialect.text(str(file)) for file in files)
        try:
            self._connection.execute(f"create view {name} as select * from read_parquet([{names}])")
        except duckdb.Error as fault:
            raise DataError(
                f"{path}: is no Parquet file that can be read ({_first(fault)})",
                "run the step that writes it again",
            ) from fault

    def table(self, name: str, query: str) -> None:
        """Keep the result of a query as a table."""
        self._run(f"create table {name} as {query}")

    def view(self, name: str, query: str) -> None:
        """Name a query, to be run where it is used."""
        self._run(f"create view {name} as {query}")

    def drop(self, *names: str) -> None:
        """Forget tables, and free their place."""
        for name in names:
            self._run(f"drop table {name}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A small result."""
        return self._run(query).fetchall()

    def arrow(self, query: str) -> pa.Table:
        """A result that fits into memory."""
        with self._explained():
            return self._connection.sql(query).to_arrow_table()

    def write(self, query: str, path: Path, schema: pa.Schema) -> None:
        """Write a result of any size as a Parquet file, in its order."""
        with self._explained(), pyarrow.parquet.ParquetWriter(path, schema) as writer:
            for batch in self._connection.sql(query).to_arrow_reader(BATCH_ROWS):
                columns = [
                    column.cast(field.type) for column, field in zip(batch, schema, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))

    def close(self) -> None:
        """Let go of the scratch folder."""
        self._connection.close()

    def _run(self, statement: str) -> duckdb.DuckDBPyConnection:
        with self._explained():
            return self._connection.execute(statement)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Faults of memory and disk as a sentence; any other fault of a statement is ours."""
        try:
            yield
        except duckdb.OutOfMemoryException as fault:
            raise DataError(
                f"the tables do not fit into memory and scratch disk ({_first(fault)})",
                "raise engine.memory or the step's memory_limit, or set TMPDIR to a larger disk",
            ) from fault
        except duckdb.IOException as fault:
            raise DataError(
                f"the scratch disk cannot be used ({_first(fault)})", "set TMPDIR to another disk"
            ) from fault


def _first(fault: Exception) -> str:
    return str(fault).partition("\n")[0]
