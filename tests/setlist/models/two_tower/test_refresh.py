"""A newer item table: new items by their tags, what was known as it was known."""

import numpy as np
import pandas as pd
import pytest

from setlist.errors import SetlistError
from setlist.models.contract import read_catalogue, read_info
from setlist.models.saved_model import SavedModel
from setlist.models.two_tower.refresh import refresh_items
from setlist.models.two_tower.saved_towers import SavedTowers

MOMENT = pd.Timestamp("2026-04-08", tz="UTC")
INPUTS = {"country": ["Chile", "Japan", ""]}
HISTORIES = [["i0", "i4"], ["i1", "i9"], []]


@pytest.fixture
def table(features):
    """The items without i3, with two new ones and one of tomorrow."""
    new = pd.DataFrame(
        {
            "item_id": ["even-new", "odd-new", "tomorrow"],
            "title": "",
            "tags": [["even"], ["odd", "never heard of"], ["odd"]],
            "released": pd.to_datetime(["2026-04-03", "2026-04-03", "2026-04-09"], utc=True),
        }
    )
    old = features.items[features.items["item_id"] != "i3"]
    both = pd.concat([old.assign(released=pd.NaT), new], ignore_index=True)
    return both.assign(released=pd.to_datetime(both["released"], utc=True))


def test_new_items_are_placed_by_their_tags(models, table, tmp_path):
    new = refresh_items(models / "two_tower", table, MOMENT, tmp_path / "new")
    assert sorted(new) == ["even-new", "odd-new"]
    catalogue = read_catalogue(tmp_path / "new")
    assert set(catalogue) == set(table["item_id"]) - {"tomorrow"}
    model = SavedModel(tmp_path / "new")
    ids, scores = model.recommend(HISTORIES, [[], [], []], len(catalogue), INPUTS)
    place = [
        {item: float(score) for item, score in zip(*row, strict=True)}
        for row in zip(ids, scores, strict=True)
    ]
    assert place[0]["even-new"] > place[0]["odd-new"] + 1
    assert place[1]["odd-new"] > place[1]["even-new"] + 1
    assert place[1]["odd-new"] == pytest.approx(place[1]["fresh"], abs=1e-5), "the same tags"


def test_what_was_known_keeps_its_scores(models, table, tmp_path):
    refresh_items(models / "two_tower", table, MOMENT, tmp_path / "new")
    scores = []
    for folder in (models / "two_tower", tmp_path / "new"):
        ids, values = SavedModel(folder).recommend(HISTORIES, [["i3"]] * 3, 50, INPUTS)
        scores.append([dict(zip(*row, strict=True)) for row in zip(ids, values, strict=True)])
    for before, after in zip(*scores, strict=True):
        for item in set(before) - {""}:
            assert after[item] == pytest.approx(before[item], abs=1e-5), item


def test_it_is_still_the_training_that_it_was(models, table, tmp_path):
    refresh_items(models / "two_tower", table, MOMENT, tmp_path / "new")
    one, other = (read_info(folder) for folder in (models / "two_tower", tmp_path / "new"))
    assert one.training_window == other.training_window
    again = SavedTowers.read(tmp_path / "new")
    np.testing.assert_array_equal(
        again.weights["tag_embedding"],
        SavedTowers.read(models / "two_tower").weights["tag_embedding"],
    )


def test_a_heuristic_cannot_be_refreshed(models, table, tmp_path):
    with pytest.raises(
        SetlistError, match=r"towers.npz is missing, so .* is no two-tower that setlist trained"
    ):
        refresh_items(models / "most_popular", table, MOMENT, tmp_path / "new")


def test_a_table_of_other_ids_is_refused(models, table, tmp_path):
    other = table.assign(item_id="x" + table["item_id"])
    with pytest.raises(SetlistError, match="knows none of the 26 items"):
        refresh_items(models / "two_tower", other, MOMENT, tmp_path / "new")
    assert not (tmp_path / "new").exists()
