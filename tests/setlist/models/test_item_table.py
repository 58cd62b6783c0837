"""What people see of a model's items travels with it."""

import pandas as pd
import pytest

from setlist.errors import SetlistError
from setlist.models.contract import read_catalogue
from setlist.models.item_table import ITEMS, read_item_table
from setlist.models.two_tower.refresh import refresh_items


@pytest.mark.parametrize("name", ["two_tower", "most_popular"])
def test_every_model_of_ours_carries_it(models, features, name):
    shelf = read_item_table(models / name)
    assert shelf["item_id"].tolist() == read_catalogue(models / name)
    assert shelf["listeners"].tolist() == features.items["listeners"].tolist()
    assert [list(tags) for tags in shelf["tags"]] == [list(t) for t in features.items["tags"]]


def test_a_model_without_it_is_shown_by_its_ids(models, tmp_path):
    (tmp_path / "catalogue.txt").write_text("a\nb\n", "utf-8")
    shelf = read_item_table(tmp_path)
    assert shelf["title"].tolist() == ["a", "b"]
    assert shelf["tags"].tolist() == [[], []]
    assert shelf["released"].isna().all()


def test_it_follows_a_newer_item_table(models, features, tmp_path):
    new = {"item_id": "new", "title": "A New One", "tags": ["odd"], "released": pd.NaT}
    table = pd.concat([features.items, pd.DataFrame([new])], ignore_index=True)
    table["released"] = pd.to_datetime(table["released"], utc=True)
    refresh_items(models / "two_tower", table, pd.Timestamp("2026-04-08", tz="UTC"), tmp_path / "m")
    shelf = read_item_table(tmp_path / "m").set_index("item_id")
    assert shelf.loc["new", "title"] == "A New One"
    assert shelf.loc["new", "listeners"] == 0
    heard = features.items.set_index("item_id")["listeners"]
    assert shelf.loc[heard.index, "listeners"].tolist() == heard.tolist()


def test_another_catalogues_table_is_refused(models, tmp_path):
    (tmp_path / "catalogue.txt").write_text("a\nb\n", "utf-8")
    (tmp_path / ITEMS).write_bytes((models / "two_tower" / ITEMS).read_bytes())
    with pytest.raises(SetlistError, match=r"items.parquet is not the table of catalogue.txt"):
        read_item_table(tmp_path)
