"""Runs curation and transformation on DuckDB and on Spark, and prints which files differ.

    python tests/spark/compare.py ENGINE WORLD ...

ENGINE is local[2] or sc://host:port. A WORLD is one of tests/cases/golden.py, or a number: the seed
of random tables; or `dialect`, the table of cases of the words that differ. It runs in the
environment that has pyspark.
"""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "components")]

from tests.cases.dialect_cases import DIALECT_CASES, broken_cases
from tests.cases.golden import GOLDEN, digests, digests_of
from tests.cases.random_tables import write_random_tables

from setlist.data.engine import EngineSettings
from setlist.data.engines import open_engine


def main() -> None:
    """Print a JSON document: by world, the files whose digests differ, and how many are equal."""
    spark = EngineSettings(spark=sys.argv[1])
    found = {}
    for world in sys.argv[2:]:
        if world == "dialect":
            with open_engine(spark) as engine:
                broken = [*broken_cases(engine.rows, engine.dialect)]
            found[world] = {"differ": broken, "equal": len(DIALECT_CASES) - len(broken)}
            continue
        if world.isdecimal():
            with tempfile.TemporaryDirectory() as folder:
                settings = write_random_tables(Path(folder) / "tables", int(world))
                pinned, made = digests_of(settings), digests_of(settings, engine=spark)
        else:
            pinned = json.loads(GOLDEN.read_text("utf-8"))[world]
            made = digests(world, engine=spark)
        differ = sorted(name for name in pinned if pinned[name] != made.get(name))
        found[world] = {"differ": differ, "equal": len(pinned) - len(differ)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
