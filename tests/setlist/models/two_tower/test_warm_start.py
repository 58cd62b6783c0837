"""A warm start begins where the live model ended, whatever was added or removed since."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from setlist.data.schema import Window, tie_order
from setlist.errors import SetlistError
from setlist.models.inner_split import inner_split
from setlist.models.settings import ModelSettings
from setlist.models.two_tower import train as training
from setlist.models.two_tower.initialization import (
    item_start,
    matched,
    read_former,
    start_user_tower,
)
from setlist.models.two_tower.network import UserTower
from setlist.models.two_tower.saved_towers import SavedTowers
from setlist.models.two_tower.train import train


def test_rows_follow_their_names():
    found = matched(["a", "b"], np.array([[1.0], [2.0]], np.float32), ["b", "c", "a"])
    assert found.tolist() == [[2.0], [0.0], [1.0]]


def test_items_tags_and_inputs_start_as_the_live_model_knew_them(models):
    former = SavedTowers.read(models / "two_tower")
    catalogue = ["new", "i3", "i0"]
    tags = ["odd", "rare"]
    weights = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    start = item_start(former, catalogue, tags, weights, np.array([7, 30, 20], np.float32))
    place = {item: former.catalogue.index(item) for item in ("i3", "i0")}
    old = former.weights
    assert (start.item_embedding[0] == 0).all()
    np.testing.assert_array_equal(start.item_embedding[1], old["item_embedding"][place["i3"]])
    assert start.item_bias[2] == old["item_bias"][place["i0"]]
    np.testing.assert_array_equal(
        start.tag_embedding,
        [old["tag_embedding"][1], 0 * old["tag_embedding"][0], old["tag_embedding"][2]],
    )
    tower = UserTower([2], former.history_length, former.dimension)
    start_user_tower(tower, former, {"country": ["Japan", "Peru"]})
    np.testing.assert_array_equal(
        tower.input_embeddings[0].numpy(),
        [old["input_0"][1], 0 * old["input_0"][0], old["input_0"][2]],
    )
    np.testing.assert_array_equal(tower.bag_kernel.numpy(), old["bag_kernel"])


def later(features):
    """The checkerboard a week on, with plays of that week and a new item."""
    ids = tie_order([*features.items["item_id"], "i24"])
    code = {item: place for place, item in enumerate(ids)}
    items = features.items.set_index("item_id").reindex(ids).reset_index()
    items["tags"] = [own if isinstance(own, list) else ["even"] for own in items["tags"]]
    plays = features.plays.assign(
        item=[code[features.items["item_id"][one]] for one in features.plays["item"]],
        age_days=features.plays["age_days"] + np.float32(7),
    )
    new = pd.DataFrame({"user": range(0, 120, 2), "item": code["i24"], "age_days": 3.0})
    both = pd.concat([plays, new]).astype(plays.dtypes.to_dict())
    both = both.sort_values(["user", "age_days"], ascending=[True, False], ignore_index=True)
    week = pd.Timedelta(days=7)
    window = Window(
        features.window.start, features.window.cutoff + week, features.window.end + week
    )
    return replace(features, items=items, plays=both, window=window)


@pytest.mark.slow
def test_it_starts_better_than_a_cold_one(features, models, tmp_path):
    settings = ModelSettings(dimension=8, epochs=1, history_length=12)
    cold = train(later(features), settings, tmp_path / "cold", tmp_path / "a")
    warm = train(
        later(features), settings, tmp_path / "warm", tmp_path / "b", live=models / "two_tower"
    )
    assert (cold.warm, warm.warm) == (False, True)
    assert warm.epochs[0].check < cold.epochs[0].check


def test_what_cannot_be_started_from_is_said(models, capsys):
    assert read_former(models / "most_popular", ModelSettings()) is None
    assert "cold start: " in capsys.readouterr().out
    assert read_former(models / "two_tower", ModelSettings(dimension=9)) is None
    assert "the live model has 8 dimensions, model.dimension is 9" in capsys.readouterr().out


@pytest.mark.slow
def test_what_the_live_model_has_seen_is_not_held_out(features, models, tmp_path, monkeypatch):
    """It ended a week before: held out is what came since."""
    asked = []

    def spied(histories, items, latest, length):
        asked.append(latest)
        held = inner_split(histories, items, latest, length)
        if latest == np.inf:
            return held
        checked = held.check[0].listeners
        kept = held.learn.listeners[np.isin(held.learn.listeners, checked)]
        lost = np.isin(histories.listeners, checked).sum() - len(kept)
        assert lost == len(checked), "each has played the new item, and lost nothing else"
        return held

    monkeypatch.setattr(training, "inner_split", spied)
    settings = ModelSettings(dimension=8, epochs=1, history_length=12)
    for live in (None, models / "two_tower"):
        train(later(features), settings, tmp_path / f"{live is None}", tmp_path / "r", live=live)
    assert asked == [np.inf, 3.5]


@pytest.mark.slow
def test_where_too_few_have_played_since_it_starts_cold(features, models, tmp_path, capsys):
    """Nobody has: what could be held out is what the live model has learnt."""
    settings = ModelSettings(dimension=8, epochs=1, history_length=12)
    live = models / "two_tower"
    trained = train(features, settings, tmp_path / "m", tmp_path / "r", live=live)
    assert not trained.warm
    assert trained.listeners > 0
    assert "cold start: too few listeners played since" in capsys.readouterr().out


@pytest.mark.slow
def test_a_refit_starts_as_its_winner_did(features, models, tmp_path):
    settings = ModelSettings(dimension=8, epochs=1, history_length=12)
    live, folder, data = models / "two_tower", tmp_path / "m", later(features)
    cold = train(data, settings, folder, tmp_path / "r")
    again = train(data, settings, folder, tmp_path / "r", live=live, recipe=cold.recipe)
    assert (again.warm, again.recipe) == (False, cold.recipe)
    warm = train(data, settings, folder, tmp_path / "r", live=live)
    again = train(data, settings, folder, tmp_path / "r", live=live, recipe=warm.recipe)
    assert (again.warm, again.recipe) == (True, warm.recipe)
    with pytest.raises(SetlistError, match="cannot be trained again without it; set refit"):
        train(data, settings, folder, tmp_path / "r", recipe=warm.recipe)
