"""A share of the score for item-item weights, where tastes are finer than vectors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.setlist.models.conftest import WINDOW

from setlist.data.features import Features
from setlist.data.schema import tie_order
from setlist.models.histories import Examples
from setlist.models.saved_model import SavedModel
from setlist.models.settings import ModelSettings
from setlist.models.two_tower.neighbourhood import Neighbourhood
from setlist.models.two_tower.refresh import refresh_items
from setlist.models.two_tower.saved_towers import SavedTowers
from setlist.models.two_tower.train import train

ALBUMS, SONGS, LISTENERS = 120, 4, 400
IDS = tie_order([f"i{item:03}" for item in range(ALBUMS * SONGS)])
"""By code: an album is four that follow each other."""


def albums() -> Features:
    """Everybody plays whole albums, three of them but for a song; there are no tags."""
    generator = np.random.default_rng(1)
    rows = []
    for listener in range(LISTENERS):
        for album in generator.choice(ALBUMS, 3, replace=False):
            left_out = generator.integers(SONGS)
            rows += [
                (listener, album * SONGS + song, 3.0) for song in range(SONGS) if song != left_out
            ]
    plays = pd.DataFrame(rows, columns=["user", "item", "age_days"])
    plays = plays.astype({"user": "int32", "item": "int32", "age_days": "float32"})
    counts = plays["item"].value_counts().reindex(range(len(IDS)), fill_value=0).astype("int64")
    items = pd.DataFrame(
        {
            "item_id": IDS,
            "title": IDS,
            "tags": [[] for _ in IDS],
            "released": pd.Series(pd.NaT, range(len(IDS)), dtype="datetime64[us, UTC]"),
            "plays": counts,
            "listeners": counts,
        }
    )
    users = pd.DataFrame({"user_id": [f"u{number:03}" for number in range(LISTENERS)]})
    return Features(
        items=items, users=users, newcomers=users[:0], plays=plays, window=WINDOW, inputs=()
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of eight dimensions for 120 albums, and its record."""
    folder = tmp_path_factory.mktemp("albums")
    record = train(albums(), ModelSettings(dimension=8, epochs=2), folder / "m", folder / "r")
    return folder / "m", record


def test_tastes_that_are_finer_than_the_vectors_get_a_share(trained):
    model, record = trained
    assert "EASE" in record.neighbours
    assert record.ndcg > record.start_ndcg + 0.2
    ids, _ = SavedModel(model).recommend([IDS[:3]], [IDS[:3]], 1)
    assert ids[0][0] == IDS[3], "the rest of the album"


def test_what_is_served_is_the_formula(trained):
    """The towers alone and the weights alone make up the score."""
    model, _ = trained
    towers = SavedTowers.read(model)
    near = towers.neighbourhood
    history = [IDS[:2], []]
    alone = model.parent / "alone"
    replace(towers, neighbourhood=None).export(albums().items, WINDOW.cutoff, alone)
    size = len(towers.catalogue)
    found = scores(model, history, size)
    expected = scores(alone, history, size)
    expected[0] *= 1 - near.share
    for item in (0, 1):
        np.add.at(expected[0], near.codes[item], near.added[item])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def scores(model, history, size):
    """float32[listeners, items], in tie order."""
    ids, values = SavedModel(model).recommend(history, [[]] * len(history), size)
    return np.array(
        [
            pd.Series(own, names).reindex(IDS).to_numpy()
            for names, own in zip(ids, values, strict=True)
        ]
    )


def test_a_refresh_places_the_neighbours_anew(trained, tmp_path):
    """An item is gone, and a new one has nobody near it; the album is still known."""
    model, _ = trained
    table = albums().items[["item_id", "title", "tags", "released"]]
    new = table.iloc[[7]].assign(item_id="a new one")
    newer = pd.concat([new, table.drop(index=2)], ignore_index=True)
    refresh_items(model, newer, WINDOW.cutoff, tmp_path)
    ids, _ = SavedModel(tmp_path).recommend([IDS[:2]], [IDS[:2]], 500)
    assert ids[0][0] == IDS[3]
    assert IDS[2] not in ids[0]
    assert "a new one" in ids[0]


def test_the_scale_makes_both_deviate_alike():
    """By hand: a play of item 0 says 2 of item 1, and a listener without plays says nothing."""
    near = Neighbourhood(np.int32([[1], [0], [0]]), np.float32([[2], [0], [0]]))
    nothing = np.zeros(0, np.int32)
    batch = Examples(
        rows=np.int32([0]),
        items=np.int32([0]),
        ranks=np.int32([0]),
        ages=np.float32([1]),
        target_rows=nothing,
        targets=nothing,
        weights=nothing.astype(np.float32),
        listeners=np.array([0, 1]),
    )
    assert replace(near, share=1.0).sums(batch).tolist() == [[0, 2, 0], [0, 0, 0]]
    scaled = near.scaled_to((batch, np.array([[-np.inf, 1.0, 5.0], [9.0, 9.0, 9.0]])))
    assert scaled.scale == pytest.approx(2.0)
    assert replace(scaled, share=0.5).added[0, 0] == pytest.approx(2.0)
