"""The two-tower finds what was planted, and says clearly when there is nothing to find."""

from dataclasses import replace

import numpy as np
import pytest

from components.errors import SetlistError
from components.models.saved_model import SavedModel
from components.models.settings import ModelSettings
from components.models.train import hide, latest, recency_prior, train


def parities(ids):
    return {1 if item == "fresh" else int(item[1:]) % 2 for item in ids}


@pytest.mark.parametrize(("history", "parity"), [(["i0", "i4"], 0), (["i1", "i9", "i3"], 1)])
def test_completes_the_checkerboard_from_history(models, history, parity):
    ids, _ = SavedModel(models / "two_tower").recommend([history], [history], 8, {"country": [""]})
    assert parities(ids[0]) == {parity}


@pytest.mark.parametrize(("country", "parity"), [("Chile", 0), ("Japan", 1)])
def test_serves_a_newcomer_from_the_country_alone(models, country, parity):
    ids, _ = SavedModel(models / "two_tower").recommend([[]], [[]], 8, {"country": [country]})
    assert parities(ids[0]) == {parity}


def test_places_an_unplayed_item_by_its_tags(models):
    model = SavedModel(models / "two_tower")
    inputs = {"country": ["Japan", "Chile"]}
    ids, scores = model.recommend([["i1", "i3"], ["i0", "i2"]], [[], []], 25, inputs)
    japan, chile = (list(row).index("fresh") for row in ids)
    assert japan <= 12, "ahead of every even item, for who plays odd ones"
    assert scores[0][japan] > scores[1][chile] + 1


def test_sampled_softmax_finds_it_too(features, tmp_path):
    settings = ModelSettings(
        dimension=8, epochs=60, learning_rate=0.02, history_length=12, full_softmax_items=0
    )
    losses = train(features, settings, tmp_path / "model", lambda epoch, loss: None)
    assert losses[-1] < losses[0]
    ids, _ = SavedModel(tmp_path / "model").recommend(
        [["i0", "i4"]], [["i0", "i4"]], 6, {"country": ["Chile"]}
    )
    assert parities(ids[0]) == {0}


def test_same_seed_same_model(features, tmp_path):
    settings = ModelSettings(dimension=8, epochs=2)
    lists = []
    for name in ("one", "two"):
        train(features, settings, tmp_path / name, lambda epoch, loss: None)
        lists.append(SavedModel(tmp_path / name).recommend([["i0"]], [[]], 25))
    assert (lists[0][0] == lists[1][0]).all()
    assert (lists[0][1] == lists[1][1]).all()


def test_reports_every_epoch(features, tmp_path):
    seen = []
    settings = ModelSettings(dimension=4, epochs=3)
    losses = train(
        features, settings, tmp_path / "m", lambda epoch, loss: seen.append((epoch, loss))
    )
    assert seen == list(enumerate(losses, start=1))


def test_a_catalogue_of_one_item_is_refused(features, tmp_path):
    one = replace(features, items=features.items.iloc[:1])
    with pytest.raises(SetlistError, match="the catalogue has 1 item"):
        train(one, ModelSettings(), tmp_path / "m", lambda epoch, loss: None)


def test_nothing_to_learn_from_is_refused(features, tmp_path):
    single = replace(features, plays=features.plays.drop_duplicates("user", ignore_index=True))
    with pytest.raises(SetlistError, match="no listener has two plays"):
        train(single, ModelSettings(), tmp_path / "m", lambda epoch, loss: None)
    assert not (tmp_path / "m").exists()


def test_a_loss_that_explodes_is_refused(features, tmp_path):
    with pytest.raises(SetlistError, match=r"the loss of epoch .* lower model.learning_rate"):
        train(features, ModelSettings(learning_rate=1e30), tmp_path / "m", lambda epoch, loss: None)
    assert not (tmp_path / "m").exists()


def test_latest_keeps_the_newest_plays_at_the_right_end(features):
    table = latest(features, 5)
    own = features.plays[features.plays["user"] == 7]["item"].to_numpy()
    assert (table[7] == own[-5:]).all()
    padded = latest(features, 50)
    assert (padded[7][-len(own) :] == own).all()
    assert (padded[7][: -len(own)] == -1).all()


def test_hide_takes_every_copy_of_a_target_out_of_the_history():
    plays = np.array(
        [[-1, 3, 3, 5, 3, 8], [-1, -1, -1, -1, 1, 2], [-1, -1, -1, -1, -1, 4]], np.int32
    )
    generator = np.random.default_rng(0)
    for _ in range(50):
        history, targets = hide(plays, 4, generator)
        for row in range(3):
            chosen = targets[row][targets[row] >= 0]
            assert len(chosen) == len(set(chosen)) >= 1
            assert set(chosen) <= set(plays[row])
            assert not set(chosen) & set(history[row])
            left = [item for item in plays[row] if item not in chosen]
            assert [item for item in history[row] if item >= 0] == [i for i in left if i >= 0]
        assert (targets[0] >= 0).sum() <= 2


def test_recency_prior_raises_what_is_played_now(features):
    prior = recency_prior(features, 10)
    mean_age = features.plays.groupby("item")["age_days"].mean()
    assert np.corrcoef(prior[mean_age.index], mean_age)[0, 1] < -0.5
    assert (recency_prior(features, 0) == 0).all()
