"""Opens the engine that the settings name.

What an engine holds lies in a scratch folder of its own, which is removed when it is closed.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setlist.data.engine import Engine, EngineSettings


@contextmanager
def open_engine(settings: EngineSettings) -> Iterator[Engine]:
    """An engine on a scratch folder, which is removed at the end.

    Raises:
        DataError: it runs out of memory and disk.
    """
    with tempfile.TemporaryDirectory(prefix="setlist-") as scratch:
        engine = _opened(settings, Path(scratch))
        try:
            yield engine
        finally:
            engine.close()


def _opened(settings: EngineSettings, scratch: Path) -> Engine:
    # The engines are in extras; the base install reads profiles and verdicts on data without them.
    if settings.spark:
        from setlist.data.spark_engine import Spark

        return Spark(settings, scratch)
    from setlist.data.duckdb_engine import DuckDb

    return DuckDb(settings, scratch)
