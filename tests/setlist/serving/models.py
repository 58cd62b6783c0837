"""Real two-towers, untrained, whose items tell which revision listed them."""

from pathlib import Path

# isort: split
import numpy as np
import pandas as pd

from setlist.data.features import Features
from setlist.data.schema import Window, parse_instant, tie_order
from setlist.models.contract import folder_digest, read_info
from setlist.models.item_table import write_item_table
from setlist.models.profile import write_profile
from setlist.models.two_tower.network import UserTower
from setlist.models.two_tower.prior import FRESH_DAYS, Prior
from setlist.models.two_tower.saved_towers import SavedTowers
from setlist.store.model_store import open_store

WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 4, 5)))


def write_towers(
    folder: Path,
    mark: str,
    items: int = 60,
    dimension: int = 8,
    length: int = 50,
    features: Features | None = None,
) -> Path:
    """A model folder; its items are called MARK-00000 and so on, "Title of MARK-00000".

    It has the profile of the features where they are given.
    """
    rng = np.random.default_rng(1)
    ids = tie_order([f"{mark}-{item:05d}" for item in range(items)])
    tags = [f"tag {tag}" for tag in range(10)]
    tower = UserTower([3], length, dimension)
    weights = {one.name.partition(":")[0]: one.numpy() for one in tower.trainable_variables}
    sizes = {
        "item_embedding": (items, dimension),
        "item_bias": (items,),
        "item_weight": (items,),
        "tag_embedding": (len(tags) + 1, dimension),
        "tag_bias": (len(tags) + 1,),
        "input_0": (4, dimension),
    }
    for name, size in sizes.items():
        weights[name] = rng.normal(0, 0.1, size).astype(np.float32)
    # Inputs and popularity count for everybody, so that every answer says which model gave it.
    weights["input_weight"] = weights["bias_weight"] = np.full(9, 0.2, np.float32)
    table = pd.DataFrame(
        {
            "item_id": ids,
            "title": [f"Title of {item}" for item in ids],
            "tags": [[tags[row % len(tags)]] for row in range(items)],
            "released": pd.Series(pd.NaT, range(items), "datetime64[us, UTC]"),
            "listeners": 1,
        }
    )
    SavedTowers(
        catalogue=ids,
        tags=tags,
        vocabularies={"country": ["Chile", "Japan", "Sweden"]},
        history_length=length,
        weights=weights,
        plays=np.ones(items, np.float32),
        prior=Prior(np.zeros((items, 2), np.float32), np.zeros((len(FRESH_DAYS) + 1, 2))),
        window=WINDOW,
    ).export(table, WINDOW.cutoff, folder)
    write_item_table(folder, table)
    if features:
        write_profile(folder, features)
    return folder


def stage(uri: str, model: Path, run_id: str) -> int:
    """Stage a model under `home`; its revision."""
    return open_store(uri).stage(
        "home",
        model,
        run_id=run_id,
        digest=folder_digest(model),
        training_window=read_info(model).training_window,
        metadata={},
    )


def promote(uri: str, revision: int) -> None:
    """Make it live, whatever was."""
    store = open_store(uri)
    store.promote("home", revision, expected=store.head("home"))
