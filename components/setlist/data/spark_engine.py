"""The same tables on Spark: in threads of this machine, or on a cluster by Spark Connect."""

import os
import re
import shutil
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sql_functions
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import LongType, TimestampType
from pyspark.util import is_remote_only

from setlist.data.dialect import Dialect
from setlist.data.engine import EngineSettings, ReadFiles
from setlist.data.scratch import SharedScratch
from setlist.errors import DataError, SettingsError

LOCAL_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
}
"""Of a session in this process: a few threads, and nothing that listens to the network."""
SESSION_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.useLargeVarTypes": "true",
}


CONNECT_PORT = 15002
"""Of a server of Spark Connect, where the address names none."""
CONNECT_SECONDS = 30.0
DATA_FAULT = re.compile(rf"^{DataError.__module__}\.{DataError.__name__}: (.+)$", re.MULTILINE)


class Spark:
    """A session of Spark, whose tables lie as Parquet in a scratch folder that its workers write.

    That is a folder of this step, on a disk that the workers see; or a shared place, and then files
    of this step are copied there before they are read, and results are copied from there.
    """

    dialect = Dialect("spark")

    def __init__(
        self, settings: EngineSettings, folder: Path, shared: SharedScratch | None = None
    ) -> None:
        """Open a session.

        Args:
            settings: which Spark.
            folder: of this step, for tables where nothing is shared.
            shared: for a server that does not see the step's disk.
        """
        remote = settings.spark.startswith("sc://")
        if not remote and is_remote_only():
            raise SettingsError(
                f"engine.spark: {settings.spark} needs all of Spark, and only its client is "
                "installed",
                "install pyspark[connect] and a Java of 17 or newer in an environment of its own, "
                "without pyspark-client, or name a server as sc://host:port",
            )
        builder = SparkSession.builder.appName("setlist")
        if remote:
            builder = builder.remote(settings.spark)
        else:
            # Else the workers would be another Python, the first on the PATH.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            builder = builder.master(settings.spark)
            for key, value in (LOCAL_SETTINGS | {"spark.local.dir": str(folder)}).items():
                builder = builder.config(key, value)
            if settings.memory:
                builder = builder.config("spark.driver.memory", f"{settings.memory // 2**20}m")
        try:
            if remote:
                _knock(settings.spark)
            with _silent_on_pandas():
                self._session = builder.getOrCreate()
        except (PySparkException, OSError) as fault:
            raise DataError(
                f"engine.spark: {settings.spark} cannot be reached or started "
                f"({type(fault).__name__})",
                "install a Java of 17 or newer for local[...], or start the server",
            ) from fault
        for key, value in SESSION_SETTINGS.items():
            self._session.conf.set(key, value)
        self._folder, self._shared = folder, shared
        self._results = 0

    def load(self, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Keep rows as a table."""
        table = pa.Table.from_batches(batches, schema)
        self._keep(name, self._session.createDataFrame(table, from_arrow_schema(schema)))

    def load_files(self, name: str, read: ReadFiles, files: int, schema: pa.Schema) -> None:
        """Keep the rows of files as a table; each file is read by a worker."""

        def rows(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in numbers:
                for number in batch.column(0).to_pylist():
                    yield from read(number)

        numbers = self._session.range(0, files, 1, max(1, files))
        with _silent_on_pandas():
            read_by_workers = numbers.mapInArrow(rows, from_arrow_schema(schema))
        self._keep(name, read_by_workers)

    def read(self, name: str, path: Path) -> None:
        """Name a Parquet file, to be read where it is used."""
        if self._shared:
            self._shared.put(path, name)
        place = self._place(name) if self._shared else str(path)
        self._session.read.parquet(place).createOrReplaceTempView(name)

    def table(self, name: str, query: str) -> None:
        """Keep the result of a query as a table."""
        self._keep(name, self._session.sql(query))

    def view(self, name: str, query: str) -> None:
        """Name a query, to be run where it is used."""
        self._session.sql(query).createOrReplaceTempView(name)

    def drop(self, *names: str) -> None:
        """Forget tables, and free their place."""
        for name in names:
            self._session.catalog.dropTempView(name)
            self._forget(name)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A small result."""
        return [tuple(row) for row in self._session.sql(query).collect()]

    def arrow(self, query: str) -> pa.Table:
        """A result that fits into memory."""
        return self._session.sql(query).toArrow()

    def write(self, query: str, path: Path, schema: pa.Schema) -> None:
        """Write a result of any size as a folder of Parquet files, whose names are in its order."""
        result = self._session.sql(query).toDF(*schema.names)
        wanted = from_arrow_schema(schema)
        columns = [_typed(result, field) for field in wanted]
        chosen = result.select(*columns)
        if self._shared:
            self._results += 1
            name = f"result-{self._results}"
            chosen.write.parquet(self._place(name))
            self._shared.fetch(name, path)
            self._shared.remove(name)
        else:
            chosen.write.parquet(str(path))

    def check_scratch(self) -> None:
        """Let a worker write where this step reads, so that a table is not the first to fail.

        Raises:
            DataError: it cannot, or the step does not see what it has written.
        """
        name = "check"
        place = self._place(name)
        remedy = "set engine.scratch to a bucket, or to a folder of a disk that both see"
        try:
            self._session.range(1).write.parquet(place)
        except PySparkException as fault:
            reason = str(fault).partition("\n")[0][:300]
            raise DataError(
                f"engine.scratch: the server of Spark cannot write to {place} ({reason})",
                f"let the server write there, or {remedy}",
            ) from fault
        if not (self._shared.data_files(name) if self._shared else Path(place).is_dir()):
            raise DataError(
                f"engine.scratch: this step does not see what the server of Spark wrote to {place}",
                remedy,
            )
        self._forget(name)

    def close(self) -> None:
        """End the session."""
        self._session.stop()

    def _place(self, name: str) -> str:
        """Where the workers write and read a table."""
        return f"{self._shared.address if self._shared else self._folder}/{name}"

    def _forget(self, name: str) -> None:
        """Free the place of a table."""
        if self._shared:
            self._shared.remove(name)
        else:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _keep(self, name: str, rows: DataFrame) -> None:
        place = self._place(name)
        try:
            rows.write.parquet(place)
        except PySparkException as fault:
            # A worker's error arrives as the text of its traceback; a fault of the tables is a
            # sentence in it.
            sentence = DATA_FAULT.search(str(fault))
            if sentence is None:
                raise
            raise DataError(sentence[1]) from None
        self._session.read.parquet(place).createOrReplaceTempView(name)


def _typed(result: DataFrame, field: Any) -> Column:  # noqa: ANN401 - pyspark has no type for it
    column = result[field.name]
    if isinstance(field.dataType, TimestampType) and isinstance(
        result.schema[field.name].dataType, LongType
    ):
        return sql_functions.timestamp_micros(column).alias(field.name)
    return column.cast(field.dataType).alias(field.name)


@contextmanager
def _silent_on_pandas() -> Iterator[None]:
    """Without the warning of Spark that pandas 3 is too new: setlist hands it Arrow only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully", FutureWarning)
        yield


def _knock(address: str) -> None:
    """Raise OSError where nothing listens at sc://host:port; the client would try for minutes."""
    parts = urlsplit(address)
    port = parts.port or CONNECT_PORT
    socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
