"""The two-tower finds what was planted, and says clearly when there is nothing to find."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from components.errors import SetlistError
from components.models.saved_model import SavedModel
from components.models.settings import ModelSettings
from components.models.train import scaled_batch, scaled_dimension, train
from components.models.two_tower import UserTower


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
    epochs = train(features, settings, tmp_path / "model", lambda epoch: None)
    assert epochs[-1].loss < epochs[0].loss
    ids, _ = SavedModel(tmp_path / "model").recommend(
        [["i0", "i4"]], [["i0", "i4"]], 6, {"country": ["Chile"]}
    )
    assert parities(ids[0]) == {0}


def test_same_seed_same_model(features, tmp_path):
    settings = ModelSettings(dimension=8, epochs=2)
    lists = []
    for name in ("one", "two"):
        train(features, settings, tmp_path / name, lambda epoch: None)
        lists.append(SavedModel(tmp_path / name).recommend([["i0"]], [[]], 25))
    assert (lists[0][0] == lists[1][0]).all()
    assert (lists[0][1] == lists[1][1]).all()


def test_reports_every_epoch(features, tmp_path):
    seen = []
    settings = ModelSettings(dimension=4, epochs=3)
    epochs = train(features, settings, tmp_path / "m", seen.append)
    assert seen == epochs
    assert [epoch.number for epoch in epochs] == list(range(1, len(epochs) + 1))


def test_a_catalogue_of_one_item_is_refused(features, tmp_path):
    one = replace(features, items=features.items.iloc[:1])
    with pytest.raises(SetlistError, match="the catalogue has 1 item"):
        train(one, ModelSettings(), tmp_path / "m", lambda epoch: None)


def test_nothing_to_learn_from_is_refused(features, tmp_path):
    single = replace(features, plays=features.plays.drop_duplicates("user", ignore_index=True))
    with pytest.raises(SetlistError, match="no listener has two plays"):
        train(single, ModelSettings(), tmp_path / "m", lambda epoch: None)
    assert not (tmp_path / "m").exists()


def test_a_loss_that_explodes_is_refused(features, tmp_path):
    with pytest.raises(SetlistError, match=r"the loss of epoch .* lower model.learning_rate"):
        train(features, ModelSettings(learning_rate=1e30), tmp_path / "m", lambda epoch: None)
    assert not (tmp_path / "m").exists()


def test_training_stops_when_held_out_plays_get_no_likelier(features, tmp_path):
    settings = ModelSettings(dimension=8, epochs=60, learning_rate=0.02, patience=2)
    epochs = train(features, settings, tmp_path / "m", lambda epoch: None)
    checks = [epoch.check for epoch in epochs]
    best = checks.index(min(checks))
    assert len(epochs) == min(best + 3, 60) < 60


def test_what_ships_is_the_epoch_that_was_best(features, tmp_path):
    """Two more epochs of patience change nothing."""
    lists = []
    for name, patience in (("short", 1), ("long", 3)):
        settings = ModelSettings(dimension=8, learning_rate=0.02, patience=patience, seed=3)
        epochs = train(features, settings, tmp_path / name, lambda epoch: None)
        checks = [epoch.check for epoch in epochs]
        lists.append((checks.index(min(checks)), SavedModel(tmp_path / name)))
    (first, one), (second, two) = lists
    if first == second:
        answers = [model.recommend([["i0"], []], [[], []], 25) for model in (one, two)]
        assert (answers[0][0] == answers[1][0]).all()
        np.testing.assert_array_equal(answers[0][1], answers[1][1])


def test_where_nobody_can_be_held_out_it_still_learns(features, tmp_path):
    """All plays of one moment: no last plays, no prior."""
    same = replace(features, plays=features.plays.assign(age_days=np.float32(5)))
    epochs = train(same, ModelSettings(dimension=8), tmp_path / "m", lambda epoch: None)
    assert {epoch.check for epoch in epochs} == {None}
    assert epochs[-1].loss < epochs[0].loss


@pytest.mark.parametrize(
    ("plays", "dimension"), [(100, 16), (45_000, 16), (144_000, 32), (500_000, 64), (10**8, 128)]
)
def test_the_dimension_grows_with_the_plays(plays, dimension):
    assert scaled_dimension(plays) == dimension


@pytest.mark.parametrize(("listeners", "batch"), [(10, 16), (2_853, 118), (70_000, 256)])
def test_the_batch_grows_with_the_listeners(listeners, batch):
    assert scaled_batch(listeners) == batch


def test_both_ways_to_the_bag_are_one():
    """Of pairs, as in training, and of padded histories, as in serving."""
    tower = UserTower([], history_length=20, dimension=5)
    generator = np.random.default_rng(1)
    tower.rank_weight.assign(generator.normal(size=tower.rank_weight.shape))
    vectors = tf.constant(generator.normal(size=(9, 5)).astype(np.float32))
    histories = [[3, 3, 8], [], [0], generator.integers(9, size=20).tolist()]
    padded = np.full((4, 20), -1, np.int32)
    for row, own in enumerate(histories):
        padded[row, 20 - len(own) :] = own
    rows = np.repeat(np.arange(4), [len(own) for own in histories]).astype(np.int32)
    items = np.array([code for own in histories for code in own], np.int32)
    ranks = np.array([rank for own in histories for rank in range(len(own))[::-1]], np.int32)
    np.testing.assert_allclose(
        tower.bag_of_pairs(vectors, rows, items, ranks, tf.constant(4)),
        tower.bag(vectors, tf.constant(padded)),
        atol=1e-6,
    )
