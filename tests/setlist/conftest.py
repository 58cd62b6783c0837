"""The folder of a small run, made from tables of a few lines."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from setlist.data.schema import TIMESTAMP_DTYPE, Window, parse_instant
from setlist.data.transformation import transform

LISTENERS = [f"u{number:02}" for number in range(80)]
WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 2, 3)))
ITEMS = [f"{side}{number}" for number in range(4) for side in "ab"]


def plays(listeners: list[str], side: str, day: str) -> pd.DataFrame:
    """One play a listener, of one of four items of a side: every fourth listener plays the same."""
    items = [f"{side}{LISTENERS.index(listener) % 4}" for listener in listeners]
    table = pd.DataFrame({"user_id": listeners, "item_id": items, "weight": 1.0})
    table["timestamp"] = pd.Series(pd.Timestamp(day, tz="UTC"), table.index, TIMESTAMP_DTYPE)
    return table


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """The folder of a run up to its models: whoever plays "a0" goes on to play "b0"."""
    from setlist.models.heuristics import fit_heuristics
    from setlist.models.settings import HeuristicSettings

    run = tmp_path_factory.mktemp("run")
    dataset = run / "curate" / "dataset"
    dataset.mkdir(parents=True)
    early, late = LISTENERS[:40], LISTENERS[40:]
    train = [plays(LISTENERS, "a", "2026-01-10"), plays(early, "b", "2026-01-11")]
    train = pd.concat(train).sort_values(["user_id", "timestamp"], ignore_index=True)
    tables = {
        "train": train,
        "test": plays(late, "b", "2026-02-10"),
        "items": pd.DataFrame(
            {
                "item_id": ITEMS,
                "title": ITEMS,
                "tags": [["x"] for _ in ITEMS],
                "released": pd.Series(pd.NaT, range(len(ITEMS)), TIMESTAMP_DTYPE),
            }
        ),
        "users": pd.DataFrame({"user_id": LISTENERS}),
    }
    for name, table in tables.items():
        table.to_parquet(dataset / f"{name}.parquet", index=False)
    transform(dataset, WINDOW, (), run / "transform" / "features")
    models = run / "fit-heuristics" / "models"
    settings = HeuristicSettings(fit=("most_popular", "co_visited"))
    fit_heuristics(run / "transform" / "features", settings, models)
    (run / "train").mkdir()
    (models / "co_visited").rename(run / "train" / "candidate")
    shutil.copytree(models / "most_popular", run / "resolve-live" / "live" / "live-3")
    return run
