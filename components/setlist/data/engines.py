"""Opens the engine that the settings name.

What an engine holds lies in a scratch folder of its own, which is removed when it is closed.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from setlist.data.engine import Engine, EngineSettings


@contextmanager
def open_engine(settings: EngineSettings) -> Iterator[Engine]:
    """An engine on a scratch folder, which is removed at the end.

    Raises:
        DataError: it runs out of memory and disk, or cannot be reached.
        SettingsError: the settings ask for what is not installed.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="setlist-")))
        # The engines are in extras; the base install reads profiles and verdicts on data without
        # them.
        if settings.spark:
            from setlist.data.scratch import SharedScratch
            from setlist.data.spark_engine import Spark

            shared = SharedScratch(settings.scratch) if settings.scratch else None
            if shared:
                stack.enter_context(closing(shared))
            spark = stack.enter_context(closing(Spark(settings, folder, shared)))
            if settings.spark.startswith("sc://"):
                spark.check_scratch()
            yield spark
        else:
            from setlist.data.duckdb_engine import DuckDb

            yield stack.enter_context(closing(DuckDb(settings, folder)))
