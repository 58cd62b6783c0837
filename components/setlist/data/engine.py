"""What curation, transformation and counting ask of a SQL engine, and the settings of one.

The statements are the same for every engine; `setlist.data.dialect` has the words that differ.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol, Self
from urllib.parse import urlsplit

import pyarrow as pa
import pydantic

from setlist.addresses import folders_fault
from setlist.data.dialect import Dialect
from setlist.section import Section

LEAST_MEMORY, MOST_MEMORY = 16_000_000, 2**50
"""Bytes: with less DuckDB opens no table, and it refuses numbers beyond some petabytes."""
MOST_THREADS = 4_096


def _spark_address(spark: str) -> str:
    threads = re.fullmatch(r"local\[([1-9]\d*|\*)\]", spark)
    try:
        server = urlsplit(spark)
        known = server.scheme == "sc" and bool(server.hostname) and server.port != 0
    except ValueError:  # of a port that is no number or beyond 65,535, or of an open bracket
        known = False
    if spark and not threads and not known:
        raise ValueError(
            f"{spark!r} is no Spark; write it like sc://host:15002, or local[2] for two threads of "
            "this machine"
        )
    return spark


def _shared_place(scratch: str) -> str:
    if scratch and not re.fullmatch(r"gs://[^/\s]+(/\S*)?|file:///\S+", scratch):
        raise ValueError(
            f"{scratch!r} is no place that a server of Spark and this step share; write it like "
            "gs://bucket/folder, or file:///folder"
        )
    if sentence := folders_fault(scratch):
        raise ValueError(sentence)
    return scratch


class EngineSettings(Section):
    """Where tables are curated and transformed, and what heuristics count is counted.

    Attributes:
        memory: the most that DuckDB may hold, such as 2GB or 1.5GiB; beyond it, it writes to the
            disk. Half of the machine's or the pod's memory where it is left out.
        threads: of DuckDB, at most 4,096; all of the machine's where it is left out.
        scratch: with `sc://...`, where tables and results lie that the server's workers write and
            this step reads: gs://bucket/folder, or file:///folder on a disk that both see. The
            step's temporary folder where it is left out, which has to be on such a disk then.
        spark: run on Spark instead: `sc://host:port` for a server of Spark Connect, or `local[2]`
            for threads of this machine, which needs more than the extra `spark`.
    """

    spark: Annotated[str, pydantic.AfterValidator(_spark_address)] = ""
    memory: pydantic.ByteSize | None = pydantic.Field(None, ge=LEAST_MEMORY, le=MOST_MEMORY)
    threads: int | None = pydantic.Field(None, ge=1, le=MOST_THREADS)
    scratch: Annotated[str, pydantic.AfterValidator(_shared_place)] = ""

    @pydantic.model_validator(mode="after")
    def _scratch_of_a_server(self) -> Self:
        if self.scratch and not self.spark.startswith("sc://"):
            raise ValueError(
                "scratch is for a server of Spark only; leave it out, or name a server as "
                "spark: sc://host:port"
            )
        return self


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
        """Name a Parquet file, or a folder of such files, to be read where it is used.

        Raises:
            DataError: when it cannot be read.
        """

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
        """Let go of the tables."""
