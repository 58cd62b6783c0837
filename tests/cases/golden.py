"""What curation and transformation made of tables before they ran on an engine, as digests.

`python tests/cases/golden.py [SPARK [WORLD ...]]` prints the document that lies beside it,
golden.json. It was made by
the code of commit 5a95790, which held all events in memory. Equal digests mean equal rows, in equal
order. What has changed on purpose is not in it: rejected.parquet shows an instant in ISO 8601 where
it could be read, and counts.json its examples. The items of the sample got other titles later;
their digests are what the code before that made of the new titles. Of the generated events
counts.json counts by day the duplicates of no bot, where it counted those of bots, too; nothing
else in it is another.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "components"), str(ROOT / "pipelines")]

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from tests.cases.generated_tables import CUTOFF, write_tables

from setlist.data.curation import (
    CurationSettings,
    DataSettings,
    WindowSettings,
    curate,
    resolve_window,
)
from setlist.data.engine import EngineSettings
from setlist.data.schema import parse_instant
from setlist.data.transformation import transform, transform_whole

GOLDEN = Path(__file__).with_suffix(".json")
SHARED = ROOT.parents[0] / "shared" / "data"
if not SHARED.is_dir():
    SHARED = ROOT.parents[1] / "shared" / "data"
RATINGS = {"events": {"path": "interactions.parquet"}, "items": {"path": "items.parquet"}}
MOVIES = RATINGS | {"users": {"path": "users.parquet"}}
LIKED = {"where": [["rating", ">=", 4], ["ts_exact", "==", True]]}
ANY_NUMBER = {"max_events_per_day": 1_000_000}
WINDOW = {"train_days": 90, "test_days": 14}


def generated(folder: Path) -> dict:
    """One million events with dirt of every kind."""
    write_tables(folder, 1_000_000)
    return {name: {"path": str(folder / name)} for name in ("events", "items", "users")}


def sampled(planted: str) -> Callable[[Path], dict]:
    return lambda _: {
        "events": {
            "path": f"sample://events?planted={planted}",
            "columns": {"user_id": "listener", "item_id": "playlist", "timestamp": "played_at"},
        },
        "items": {
            "path": f"sample://playlists?planted={planted}",
            "columns": {"item_id": "playlist"},
        },
        "users": {
            "path": f"sample://listeners?planted={planted}",
            "columns": {"user_id": "listener"},
        },
    }


def shared(name: str, tables: dict) -> Callable[[Path], dict]:
    return lambda _: {
        table: source | {"path": str(SHARED / name / source["path"])}
        for table, source in tables.items()
    }


WORLDS: dict[str, dict] = {
    "sample": {
        "data": sampled("none"),
        "window": WINDOW,
        "as_of": "2026-05-01",
        "inputs": ["country", "age_band"],
    },
    "sample flooded": {
        "data": sampled("one_region"),
        "window": WINDOW,
        "as_of": "2026-04-24",
        "inputs": ["country"],
        "curation": {"min_item_events": 5, "min_user_events": 3},
    },
    "1 million generated events": {
        "data": generated,
        "window": {"split_at": CUTOFF, **WINDOW},
        "inputs": ["country", "age_band"],
        "curation": {"max_events_per_day": 12},
    },
    "lastfm-2k": {
        "data": shared("lastfm-2k", {"events": {"path": "events.parquet"}}),
        "window": {"split_at": 1700000000},
        "curation": ANY_NUMBER,
    },
    "ml-1m": {
        "data": shared("ml-1m", MOVIES | {"events": RATINGS["events"] | LIKED}),
        "window": {"split_at": 977516291},
        "inputs": ["gender", "age", "region"],
        "curation": ANY_NUMBER,
    },
    "ml-100k": {
        "data": shared("ml-100k", MOVIES),
        "window": {"split_at": "1998-03-01"},
        "inputs": ["age", "gender"],
        "curation": ANY_NUMBER,
    },
    "ml-latest-small": {
        "data": shared("ml-latest-small", RATINGS),
        "window": {"split_at": "2015-01-01"},
        "curation": ANY_NUMBER | {"min_item_events": 2},
    },
}


def digests(name: str, **engine: object) -> dict[str, str]:
    """The digest of each file that is made of a world's tables."""
    with tempfile.TemporaryDirectory() as scratch:
        tables = WORLDS[name]["data"](Path(scratch))
        return digests_of(WORLDS[name] | {"data": tables}, **engine)


def digests_of(world: dict, **engine: object) -> dict[str, str]:
    """The same of settings: data, window, and as_of, inputs, curation where they are not usual."""
    with made(world, **engine) as folder:
        return dict(folder_digests(folder))


@contextmanager
def made(world: dict, **engine: object) -> Iterator[Path]:
    """A folder with the dataset, the features and the features of all days of such settings."""
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(StringIO()):
        folder = Path(scratch)
        data = DataSettings.model_validate(world["data"])
        window = resolve_window(
            WindowSettings.model_validate(world["window"]),
            world.get("as_of", ""),
            parse_instant("2026-05-01", "now"),
        )
        curation = CurationSettings.model_validate(world.get("curation", {}))
        inputs = tuple(world.get("inputs", ()))
        curate(data, window, curation, folder / "dataset", **engine)
        transform(folder / "dataset", window, inputs, folder / "features", **engine)
        transform_whole(folder / "dataset", window, inputs, folder / "whole", **engine)
        yield folder


def folder_digests(folder: Path) -> Iterator[tuple[str, str]]:
    """The digest of each file of what `made` has made."""
    for part, names in (
        ("dataset", ("train", "test", "items", "users")),
        ("features", ("items", "users", "newcomers", "plays")),
        ("whole", ("items", "users", "newcomers", "plays")),
    ):
        for name in names:
            table = pyarrow.parquet.read_table(folder / part / f"{name}.parquet")
            yield f"{part}/{name}", table_digest(table)
        if part != "dataset":
            profile = json.loads((folder / part / "data_profile.json").read_text("utf-8"))
            yield f"{part}/data_profile", _digest(json.dumps(_rounded(profile), sort_keys=True))
    rejected = pyarrow.parquet.read_table(folder / "dataset" / "rejected.parquet")
    yield "dataset/rejected", table_digest(rejected.select(["row", "user_id", "item_id", "reason"]))
    counts = json.loads((folder / "dataset" / "counts.json").read_text("utf-8"))
    counts.pop("examples")
    yield "dataset/counts", _digest(json.dumps(counts, sort_keys=True))


def table_digest(table: pa.Table) -> str:
    """The digest of the rows in their order: names of columns and values, not how they are held."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            column = pa.array(
                [None if tags is None else "\x1f".join(tags) for tags in column.to_pylist()]
            )
        elif pa.types.is_integer(kind):
            column = column.cast(pa.int64())
        if pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        columns[name] = column
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(pa.table(columns), sink)
    return hashlib.sha256(sink.getvalue()).hexdigest()[:16]


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 9) if isinstance(value, float) else value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    engine = {"engine": EngineSettings(spark=sys.argv[1])} if sys.argv[1:] else {}
    worlds = sys.argv[2:] or WORLDS
    print(json.dumps({name: digests(name, **engine) for name in worlds}, indent=1))
