"""Runs curation, transformation and counting on DuckDB and on Spark, and prints what differs.

    python tests/spark/compare.py ENGINE WORLD ...

ENGINE is a section `engine` of settings as JSON. A WORLD is one of tests/cases/golden.py, or a
number: the seed of random tables; or `dialect`, the table of cases of the words that differ; or
`fault`, a file that cannot be read. It runs in an environment that has pyspark or its client.

Random tables lie in the folder of the variable TABLES, or else in that of the other scratch files.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "components")]

from tests.cases.counted import counted_digests
from tests.cases.dialect_cases import DIALECT_CASES, broken_cases
from tests.cases.golden import GOLDEN, digests, digests_of, folder_digests, made
from tests.cases.random_tables import write_random_tables

from setlist.data.engine import EngineSettings
from setlist.data.engines import open_engine
from setlist.errors import DataError

DUCKDB = EngineSettings()


def fault_of_a_worker(engine: EngineSettings) -> str:
    """What is raised where a file that a worker reads has an id with a line break."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TABLES")) as folder:
        settings = write_random_tables(Path(folder) / "tables", 1)
        event = {"user_id": "a\nb", "item_id": "x", "timestamp": "2026-04-01"}
        (Path(folder) / "tables" / "events" / "1.jsonl").write_text(json.dumps(event), "utf-8")
        try:
            digests_of(settings, engine=engine)
        except DataError as fault:
            return str(fault)
    return ""


def of_random(settings: dict, engine: EngineSettings) -> dict[str, str]:
    """The digests of what is made of random tables, and of what is counted of it."""
    with made(settings, engine=engine) as folder:
        counted = counted_digests(folder / "features", settings["inputs"][0], engine)
        return dict(folder_digests(folder)) | counted


def main() -> None:
    """Print a JSON document: by world, the files whose digests differ, and how many are equal."""
    spark = EngineSettings.model_validate_json(sys.argv[1])
    found = {}
    for world in sys.argv[2:]:
        if world == "dialect":
            with open_engine(spark) as engine:
                broken = [*broken_cases(engine.rows, engine.dialect)]
            found[world] = {"differ": broken, "equal": len(DIALECT_CASES) - len(broken)}
            continue
        if world == "fault":
            found[world] = {"sentence": fault_of_a_worker(spark)}
            continue
        if world.isdecimal():
            with tempfile.TemporaryDirectory(dir=os.environ.get("TABLES")) as folder:
                settings = write_random_tables(Path(folder) / "tables", int(world))
                pinned, found_here = (of_random(settings, engine) for engine in (DUCKDB, spark))
        else:
            pinned = json.loads(GOLDEN.read_text("utf-8"))[world]
            found_here = digests(world, engine=spark)
        differ = sorted(name for name in pinned if pinned[name] != found_here.get(name))
        found[world] = {"differ": differ, "equal": len(pinned) - len(differ)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
