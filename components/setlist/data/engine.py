"""What curation, transformation and counting ask of a SQL engine, and the settings of one.

The statements are the same for every engine; `setlist.data.dialect` has the words that differ.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pydantic

from setlist.data.dialect import Dialect


class EngineSettings(pydantic.BaseModel, extra="forbid", frozen=True):
    """Where tables are curated and transformed, and what heuristics count is counted.

    Attributes:
        memory: the most that DuckDB may hold, such as 2GB; beyond it, it writes to the disk. Half
            of the machine's or the pod's memory where it is left out.
        threads: of DuckDB; all of the machine's where it is left out.
        spark: run on Spark instead: `local[2]` for threads of this machine, or `sc://host:port` for
            a server of Spark Connect.
    """

    spark: str = pydantic.Field("", pattern=r"^(local\[(\d+|\*)\]|sc://\S+)?$")
    memory: str = pydantic.Field("", pattern=r"^(\d+(\.\d+)?\s?(KB|MB|GB|TB|KiB|MiB|GiB|TiB))?$")
    threads: int | None = pydantic.Field(None, ge=1)


ReadFiles = Callable[[int | None], Iterator[pa.RecordBatch]]
"""Reads one file of a source, by its number from 0, or all of them."""


class Engine(Protocol):
    """What curation, transformation and counting ask of an engine."""

    dialect: Dialect

    def load(self, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Keep rows as a table."""

    def load_files(self, name: str, read: ReadFiles, files: int, schema: pa.Schema) -> None:
        """Keep the rows of files as a table, read by workers where the engine has some."""

    def read(self, name: str, path: Path) -> None:
        """Name a Parquet file, to be read where it is used."""

    def table(self, name: str, query: str) -> None:
        """Keep the result of a query as a table."""

    def view(self, name: str, query: str) -> None:
        """Name a query, to be run where it is used."""

    def drop(self, *names: str) -> None:
        """Forget tables, and free their place."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A small result."""

    def arrow(self, query: str) -> pa.Table:
        """A result that fits into memory."""

    def write(self, query: str, path: Path, schema: pa.Schema) -> None:
        """Write a result of any size as a Parquet file, in its order."""

    def close(self) -> None:
        """Let go of the scratch folder."""
