"""A world with an obvious answer, and the models fitted on it."""

from pathlib import Path

import pandas as pd
import pytest

from setlist.data.features import Features
from setlist.data.schema import Window, parse_instant, tie_order
from setlist.models.heuristics import fit_heuristics
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.two_tower.train import train

ITEMS, LISTENERS = 24, 120
WINDOW = Window(*(parse_instant(f"2026-0{month}-01", "window") for month in (1, 4, 5)))


def checkerboard() -> Features:
    """Even listeners (Chile) play even items, odd listeners (Japan) odd ones.

    Listener u leaves out the item u % 24 and its own place on the board decides the rest. Item
    "fresh" was never played and carries the tag of the odd ones.
    """
    ids = tie_order([*(f"i{item}" for item in range(ITEMS)), "fresh"])
    code = {item: position for position, item in enumerate(ids)}
    plays = [
        (user, code[f"i{item}"], float(1 + (item * 7 + user) % 60))
        for user in range(LISTENERS)
        for item in range(ITEMS)
        if item % 2 == user % 2 and item != user % ITEMS
    ]
    table = pd.DataFrame(plays, columns=["user", "item", "age_days"]).astype(
        {"user": "int32", "item": "int32", "age_days": "float32"}
    )
    table = table.sort_values(["user", "age_days"], ascending=[True, False], ignore_index=True)
    counts = table["item"].value_counts().reindex(range(len(ids)), fill_value=0).astype("int64")
    odd = [item == "fresh" or int(item[1:]) % 2 == 1 for item in ids]
    items = pd.DataFrame(
        {
            "item_id": ids,
            "title": ids,
            "tags": [["odd"] if one else ["even"] for one in odd],
            "released": pd.Series(pd.NaT, range(len(ids)), dtype="datetime64[us, UTC]"),
            "plays": counts,
            "listeners": counts,
        }
    )
    users = pd.DataFrame(
        {
            "user_id": [f"u{user:03}" for user in range(LISTENERS)],
            "country": ["Chile" if user % 2 == 0 else "Japan" for user in range(LISTENERS)],
        }
    )
    return Features(
        items=items,
        users=users,
        newcomers=users[:0],
        plays=table,
        window=WINDOW,
        inputs=("country",),
    )


@pytest.fixture(scope="session")
def features() -> Features:
    """The checkerboard."""
    return checkerboard()


@pytest.fixture(scope="session")
def models(features: Features, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every heuristic and a two-tower, each a model folder."""
    folder = tmp_path_factory.mktemp("models")
    written = tmp_path_factory.mktemp("features")
    features.write(written)
    fit_heuristics(written, HeuristicSettings(), folder)
    settings = ModelSettings(
        dimension=8, epochs=60, patience=60, learning_rate=0.02, history_length=12
    )
    train(features, settings, folder / "two_tower", tmp_path_factory.mktemp("record"))
    return folder
